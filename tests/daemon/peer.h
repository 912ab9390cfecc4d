/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon's tests share: a front-end that sends raw messages to a back-end in the same
 * process, a driver that knows no more than these tests need, and a device that does as it is told.
 */
#pragma once

#include "tests/lib/test.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>

#include "base/util.h"
#include "daemon/session/backend.h"
#include "memory/shm.h"
#include "vhost-user/wire/vu_msg.h"

/* The device: two queues, 24 bytes of configuration, of which 4 to 7 and 12 to 13 are writable. */

enum toy_mode {
	TOY_ECHO, /* copies out to in at once */
	TOY_HOLD, /* keeps requests until toy.release is signalled */
	TOY_HANG, /* the first request keeps the thread until toy.gate is signalled */
	TOY_EAGAIN, /* as TOY_ECHO, and leaves that in errno */
	TOY_BREAK, /* calls the first request a violation */
};

#define TOY_QUEUES 2
#define TOY_CONFIG_SIZE 24
#define TOY_FEATURE 5

/* What workers and the test's thread both look at is atomic. */
struct toy {
	_Atomic enum toy_mode mode;
	int release[TOY_QUEUES]; /* eventfds: what is held is completed */
	int gate; /* eventfd */
	_Atomic int hangs; /* at the gate */
	_Atomic unsigned held, kicks, starts, stops;
	unsigned resets, reloads, closes;
	unsigned writes; /* config_written */
	uint32_t write_offset[4], write_size[4];
	_Atomic int thread[TOY_QUEUES]; /* that kicked it last */
	_Atomic uint64_t driver_features; /* at the last start */
	struct virtio_device *device;
	bool fail_open;
	unsigned claims, releases;
	bool fail_claim;
};
extern struct toy toy;
extern const struct virtio_device_ops toy_ops;
/* The configuration space changes, to what it was. */
void toy_config_change(void);

/* A front-end. */

#define MEM_SIZE 0x200000
#define MEM_GPA 0x40000000ull
#define MEM_UVA 0x7f0000000000ull
#define RING_SIZE 16
#define PEER_QUEUES 6 /* more than the toy has */

struct peer {
	struct backend *backend;
	int sock; /* -1 once the back-end closed */
	unsigned closed; /* times that the back-end became idle */
	int memfd;
	uint8_t *mem;
	uint64_t gpa, uva; /* where it is for the guest, and in messages */
	int kick[PEER_QUEUES], call[PEER_QUEUES], err[PEER_QUEUES];
	int channel; /* our end of the back-end channel; -1 */
	uint16_t avail[PEER_QUEUES]; /* the driver's next available index */
	/* The last message received. */
	struct vu_msg msg;
	struct vu_reader reader;
};

#define ALL_PROTOCOL_FEATURES                                                  \
	(VU_BIT(VU_F_MQ) | VU_BIT(VU_F_REPLY_ACK) | VU_BIT(VU_F_BACKEND_REQ) | \
		VU_BIT(VU_F_CONFIG) | VU_BIT(VU_F_RESET_DEVICE) |              \
		VU_BIT(VU_F_CONFIGURE_MEM_SLOTS) | VU_BIT(VU_F_STATUS) |       \
		VU_BIT(VU_F_INFLIGHT_SHMFD) | VU_BIT(VU_F_LOG_SHMFD) | VU_BIT(VU_F_PROBE))
#define DRIVER_FEATURES (VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES))

/* The options of the back-ends to come: set to their defaults by peer_setup(). */
extern struct backend_options peer_options;
/* Makes p->backend, of another device perhaps; the last one is idle, or NULL. */
void peer_make_backend(struct peer *p, const struct virtio_device_ops *ops);
/* As peer_setup(), with these many workers. */
int peer_setup_workers(void **state, unsigned workers);

/* cmocka's setup and teardown: a back-end and a connection; counts fds, mappings, held requests. */
int peer_setup(void **state);
int peer_teardown(void **state);

/* Mappings of memfds in this process. */
unsigned peer_mappings(void);
/* Lets the main loop do what it can do now. */
void peer_run_loop(void);
/* Lets the back-end, its workers too, do all that it can do now; no device hangs. */
void peer_run(void);
void peer_connect(struct peer *p);
/* Closes our end and lets the back-end notice. */
void peer_disconnect(struct peer *p);

/* Sends a message; flags beyond the version. */
void peer_send(struct peer *p, uint32_t request, uint32_t flags, const void *payload, size_t size,
	const int *fds, unsigned n_fds);
/* Sends and lets the back-end run. */
void peer_tell(struct peer *p, uint32_t request, const void *payload, size_t size);
/* One message from the back-end into p->msg; false: there is none. */
bool peer_receive(struct peer *p);
/* Sends and requires a reply: its u64 (or u32). */
uint64_t peer_ask(struct peer *p, uint32_t request, const void *payload, size_t size);
/* Sends with need_reply and requires an acknowledgement. */
uint64_t peer_ack(struct peer *p, uint32_t request, const void *payload, size_t size,
	const int *fds, unsigned n_fds);
uint64_t peer_ack_u64(struct peer *p, uint32_t request, uint64_t value);
uint64_t peer_ack_state(struct peer *p, uint32_t request, uint32_t index, uint32_t num);
/* Gives the back-end a channel; our end, which does not block, replaces p->channel. */
void peer_open_channel(struct peer *p);
/* Returns where ring index is in the memory. */
size_t ring_offset(unsigned index);
/* SET_VRING_KICK and so on; fd -1: none, and bit 8 says so. */
uint64_t peer_ack_fd(struct peer *p, uint32_t request, uint32_t index, int fd);
uint32_t peer_get_base(struct peer *p, uint32_t index);
bool peer_is_closed(struct peer *p);

/* Steps of a session, each acknowledged with success. */
void peer_negotiate(struct peer *p);
void peer_share_memory(struct peer *p);
uint64_t peer_set_addr(struct peer *p, unsigned index, uint64_t user_addr);
/* NUM, BASE, ADDR, CALL, ERR, KICK; not ENABLE. */
void peer_setup_ring(struct peer *p, unsigned index, uint32_t base);
void peer_enable(struct peer *p, unsigned index, bool on);
/* All of these, for both rings. */
void peer_start(struct peer *p);
/* The next connection is served: GET_FEATURES on this one if it lives, and on a new one. */
void peer_check_served(struct peer *p);

/* The driver: a request with 8 bytes out and 8 in. */
void driver_submit(struct peer *p, unsigned index);
void driver_kick(struct peer *p, unsigned index);
/* The ring as new: indices at 0. */
void driver_reset(struct peer *p, unsigned index);
uint16_t driver_used(const struct peer *p, unsigned index);
/* Submits, kicks, runs: the request was completed. */
void driver_round_trip(struct peer *p, unsigned index);
/* Takes the eventfd's count; 0: not signalled. */
uint64_t eventfd_take(int fd);

/* Everything logged since setup or the last log_clear(). */
bool log_has(const char *text);
void log_clear(void);
#define assert_logged(text)                                                   \
	do {                                                                  \
		if (!log_has(text))                                           \
			fail_msg("not in the log: %s\n%s", text, log_text()); \
	} while (0)
const char *log_text(void);
