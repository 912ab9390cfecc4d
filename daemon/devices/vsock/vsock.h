/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiod-vsock from the inside (virtio 1.3 §5.10). A connection has two ends, a port of the guest
 * and a socket of the host, a Unix socket as a rule:
 *
 *	guest --> host	vsock_tx.c takes a packet from the guest's memory and writes its data to the
 *			socket. What the socket does not take is kept in the connection's buffer,
 *			which has room for all that the guest was permitted to send (its credit):
 *			so no connection ever keeps another one's packets waiting.
 *	host --> guest	vsock_rx.c reads from the sockets of connections that have something to say,
 *			in turn, into the guest's buffers, as far as the guest permits. Nothing is
 *			kept here; the rest stays in the socket.
 *
 *	by the guest	REQUEST: DIALLING until the socket is connected (vsock_dial.c), then OPEN
 *	by the host	a client of PATH (vsock_listen.c): HELLO until it has said which port it
 *			wants, ASKED until the guest answers, then OPEN
 *			at a port of the host's kernel it is ASKED at once (vsock_native.c)
 *	of a sibling	the same at the group's socket; to one: GREETING between DIALLING and OPEN,
 *			until the sibling has accepted (vsock_group.c)
 *	the end		by either side, in each direction; then CLOSING until the guest confirms, or
 *			LINGERING until the host has taken what the guest sent
 */
#pragma once

#include "daemon/device.h"

#include <linux/virtio_vsock.h>

#include "daemon/devices/vsock/vsock_buffer.h"

/* What older headers lack. */
#define VSOCK_F_STREAM 0
#define VSOCK_F_NO_IMPLIED_STREAM 2
#define VSOCK_SEQ_EOM 1u /* flags of RW: a message ends with this packet */
#define VSOCK_EVENT_TRANSPORT_RESET 0

#define VSOCK_HOST_CID 2
#define VSOCK_MAX_FORWARD 16
#define VSOCK_MAX_NATIVE_PORTS 16

enum vsock_queue { VSOCK_RX, VSOCK_TX, VSOCK_EVENT, VSOCK_QUEUES };

/* Where the program listens: at its path, in its group, at ports of the host's kernel. */
enum vsock_listener {
	VSOCK_AT_PATH,
	VSOCK_AT_GROUP,
	VSOCK_AT_GROUP_RECORDS,
	VSOCK_AT_NATIVE,
	VSOCK_LISTENERS = VSOCK_AT_NATIVE + VSOCK_MAX_NATIVE_PORTS,
};

/* Directions of a connection that have ended, as in SHUTDOWN: seen from who says it. */
enum { VSOCK_NO_RECEIVE = 1, VSOCK_NO_SEND = 2, VSOCK_NEITHER = 3 };

enum vsock_state {
	VSOCK_FREE,
	VSOCK_HELLO,
	VSOCK_DIALLING,
	VSOCK_ASKED,
	VSOCK_GREETING,
	VSOCK_OPEN,
	VSOCK_CLOSING,
	VSOCK_LINGERING,
};

/* What the guest is to be told of a connection. */
enum vsock_news {
	VSOCK_NEWS_REQUEST = 1 << 0,
	VSOCK_NEWS_RESPONSE = 1 << 1,
	VSOCK_NEWS_CREDIT = 1 << 2,
	VSOCK_NEWS_CREDIT_REQUEST = 1 << 3,
	VSOCK_NEWS_SHUTDOWN = 1 << 4,
};

/* Who a connection, or a packet, is of. */
struct vsock_key {
	uint64_t cid; /* the other end's: the host's, or one that is forwarded */
	uint32_t guest_port, host_port;
};

struct vsock_conn {
	struct vsock *v;
	enum vsock_state state;
	struct vsock_key key;
	uint16_t type; /* enum virtio_vsock_type */
	struct virtio_watch watch; /* of the socket; fd -1: none yet, or none any more */
	struct virtio_timer timer;
	uint32_t serial; /* of a request to the process that connects */
	int64_t dial_end; /* when the host is given up */

	bool by_kernel; /* its socket is one of AF_VSOCK */
	enum vsock_listener came_to; /* if the guest has not made it */
	bool readable, writable; /* the socket: to try is not known to be in vain */
	bool hung_up; /* its peer sends no more: it is read to its end */
	bool closed; /* nor does it take any more */
	unsigned guest_ended, host_ended; /* VSOCK_NO_* */
	unsigned told_ended; /* of host_ended */
	unsigned news;

	uint32_t grant; /* bytes that the guest may send ahead, for good: its buf_alloc */
	uint32_t received, forwarded; /* bytes from the guest, as counters of 32 bits */
	uint32_t told_forwarded;
	uint32_t peer_alloc, peer_forwarded, sent; /* the same of the guest */
	uint32_t wanted; /* bytes of the host's next message, if the guest takes less; else 0 */
	bool asked_credit;
	unsigned window; /* buffers that are filled by one read */

	struct vsock_buffer buffer;

	struct vsock_conn *next; /* with the same hash, or free */
	bool is_ready; /* in the list of those that have something for the guest */
	struct vsock_conn *ready_prev, *ready_next;
};

/* A message from the host that is longer than one buffer of the guest, on its way. */
#define VSOCK_STAGE (208u << 10)

/* How long the guest may take to agree that a connection has ended. */
#define VSOCK_CLOSE_US 8000000

/* When a guest is asked again whether it has room for a message. */
#define VSOCK_ASK_AGAIN_US 1000000

/* Packets that get RST for an answer, and are no connection's. */
#define VSOCK_MAX_RESETS 1024
struct vsock_reset {
	struct vsock_key key;
	uint64_t guest_cid;
	uint16_t type;
};

struct vsock {
	struct virtio_device *d;
	uint32_t guest_cid;
	uint64_t forward[VSOCK_MAX_FORWARD];
	unsigned n_forward;
	char *path; /* of the host's sockets; NULL: none */
	char *group, *group_records; /* of the group's, up to the address; NULL: none */
	bool native; /* the guest's connections go to sockets of the host's kernel */
	uint32_t native_port[VSOCK_MAX_NATIVE_PORTS];
	unsigned n_native_ports;
	bool begun; /* a driver has used this device, and this process knows its connections */
	bool must_reset; /* the driver is to be told that they are gone */
	uint64_t features; /* negotiated */
	struct log_limit limit;

	/* vsock_conn.c */
	struct vsock_conn *conn; /* all there can be */
	unsigned max_conns, n_conns;
	struct vsock_conn *free;
	struct vsock_conn **bucket;
	uint32_t bucket_mask;
	uint64_t seed;
	size_t spare; /* bytes of buffers that no connection was granted */
	uint8_t *memory; /* of buffers */
	struct vsock_conn *ready_first, *ready_last;

	/* vsock_listen.c */
	struct virtio_watch listener[VSOCK_LISTENERS];
	struct virtio_timer listen_again;
	uint32_t next_port; /* of the host */

	/* vsock_dial.c */
	struct virtio_watch maker;
	uint32_t last_serial;

	/* vsock_rx.c */
	struct vsock_reset reset[VSOCK_MAX_RESETS];
	unsigned first_reset, n_resets;
	uint8_t *stage;
	struct vsock_conn *staged; /* whose message is in it; NULL: none, or its connection ended */
	uint32_t stage_at, stage_end;

	struct {
		uint64_t opened, refused, reset, dropped_resets;
	} count;
};

/* vsock_conn.c: allocates the tables. */
bool vsock_conns_open(struct vsock *v, unsigned max, GError **error);
void vsock_conns_close(struct vsock *v);
/* Returns a connection without a key, or NULL: there are too many. */
struct vsock_conn *vsock_conn_new(struct vsock *v, enum vsock_state state);
/* Gives it its key, by which packets find it; and its credit. */
void vsock_conn_name(struct vsock_conn *c, const struct vsock_key *key, uint16_t type);
/* The guest knows it no more: packets do not find it. */
void vsock_conn_unname(struct vsock_conn *c);
struct vsock_conn *vsock_conn_find(struct vsock *v, const struct vsock_key *key);
/* Ends it at once; the guest is told nothing. */
void vsock_conn_free(struct vsock_conn *c);
/* The same, and RST to the guest if it knows of it. */
void vsock_conn_reset(struct vsock_conn *c);
void vsock_conns_free_all(struct vsock *v);
/* It has something for the guest, after those that are in the list. */
void vsock_conn_ready(struct vsock_conn *c);
void vsock_conn_not_ready(struct vsock_conn *c);
void vsock_conn_tell(struct vsock_conn *c, unsigned news);

/* vsock_tx.c: takes all that the guest has sent. */
void vsock_tx_run(struct vsock *v, struct vq *q);
/* Returns whether the driver may use this type of connection. */
bool vsock_is_type(const struct vsock *v, unsigned type);

/* vsock_rx.c: gives the guest what its buffers have room for. */
void vsock_rx_run(struct vsock *v);
/* Answers a packet with RST. */
void vsock_rx_refuse(struct vsock *v, const struct vsock_reset *r);
/* The guest has said what it takes. */
void vsock_rx_credit_came(struct vsock_conn *c);

/* vsock_host.c: gives a connection its socket. */
void vsock_host_attach(struct vsock_conn *c, int fd);
/*
 * Sends the guest's data, all that is left in `out`, or keeps it. ends: of a message. There is
 * room: the caller has checked the credit.
 */
void vsock_host_send(struct vsock_conn *c, struct iov_cursor *out, bool ends);
/* The guest ends directions; what it sent before goes on. The connection may be gone after it. */
void vsock_host_guest_ended(struct vsock_conn *c, unsigned directions);
/*
 * Reads up to len bytes of a stream, or a message, of which any more is lost (*cut). 0: nothing
 * more for now, or for good (host_ended); -1: the connection is broken.
 */
ssize_t vsock_host_read(
	struct vsock_conn *c, const struct iovec *iov, unsigned n, size_t len, bool *cut);
/* The socket's peer does not go on in these directions. */
void vsock_host_ended(struct vsock_conn *c, unsigned directions);
/* The guest forgets the connection; what it sent goes on to the host. */
void vsock_host_linger(struct vsock_conn *c);

/* vsock_dial.c: connects a connection to its socket of the host. */
void vsock_dial(struct vsock_conn *c);
/* Goes on with a socket, or -errno. */
void vsock_dialled(struct vsock_conn *c, int result);
/* The other end has accepted. */
void vsock_dial_open_now(struct vsock_conn *c);
void vsock_dial_open(struct vsock *v);
void vsock_dial_close(struct vsock *v);

/* vsock_native.c: connects a connection to a socket of the host's kernel. */
void vsock_native_dial(struct vsock_conn *c);
/* Listens at a port of the host, for its own processes. -1 on error. */
int vsock_native_listen(uint32_t port, GError **error);
/* What vsock_native_dial() takes. */
extern const struct syscall_rule vsock_native_calls[];

/* vsock_listen.c: serves clients of all kinds. */
bool vsock_listen_open(struct vsock *v, GError **error);
void vsock_listen_close(struct vsock *v);
/* The guest has accepted the client's connection. */
void vsock_listen_accepted(struct vsock_conn *c);
/* There is data of a client that is in HELLO; hung_up: and no more to come. */
void vsock_listen_hello(struct vsock_conn *c, bool hung_up);

/* vsock.c: a connection's timer. */
void vsock_expired(struct virtio_device *d, struct vq *q, struct virtio_timer *t);
void vsock_set_timer(struct vsock_conn *c, int64_t us);

/* Takes a line, or a message that is one; false: it has not come whole (EAGAIN), or is bad. */
#define VSOCK_MAX_LINE 64
bool vsock_listen_read_line(struct vsock_conn *c, char line[VSOCK_MAX_LINE + 1]);

/* vsock_group.c: tells whether this is the address of another guest of the group. */
bool vsock_is_sibling(const struct vsock *v, uint64_t cid);
/* A socket is connected to a sibling's daemon: tells it what is wanted. */
void vsock_group_greet(struct vsock_conn *c);
/* There may be its answer; hung_up: and no more to come. */
void vsock_group_answered(struct vsock_conn *c, bool hung_up);
/* Reads what a sibling's daemon wants. */
bool vsock_group_parse(struct vsock *v, const char *line, struct vsock_key *key);

/* vsock_control.c */
extern const struct virtio_method vsock_methods[];
