/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remote processor messaging: what its files share. A message has a header and up to 496 bytes. The
 * device plays the remote processor: each of its services has an address and an end on the host.
 */
#pragma once

#include "../console/console_end.h"

#define RPMSG_MAX_SERVICES 64
#define RPMSG_NAME_BYTES 32 /* with its NUL */
#define RPMSG_NS_ADDRESS 53 /* of the name service, on both sides */
#define RPMSG_FIRST_ADDRESS 1024 /* below are those that both sides know */
#define RPMSG_MAX_MESSAGE 512 /* with its header, as Linux has it */

#define RPMSG_RX 0 /* to the guest */
#define RPMSG_TX 1 /* from the guest */

#define RPMSG_F_NS 0

/* All little-endian. */
struct rpmsg_header {
	uint32_t source, destination, reserved;
	uint16_t len; /* of what follows */
	uint16_t flags;
};

enum rpmsg_news { RPMSG_NEWS_DESTROY = 1 << 0, RPMSG_NEWS_CREATE = 1 << 1 };

struct rpmsg_service {
	struct rpmsg_device *r;
	char name[RPMSG_NAME_BYTES];
	uint32_t address;
	bool echo; /* answers each message with itself, and has no end */
	struct console_end end;
	unsigned connections; /* of the end, that the guest was told of */
	unsigned news; /* that the guest is still to be told */
	bool told; /* it may have been told that the service exists */
	bool has_peer;
	uint32_t peer; /* who sent the last message: what the host has is for it */
	GQueue waiting; /* of struct vq_chain, not taken yet; of the first a part perhaps */
	size_t sent; /* of the first one that was kept when the queue stopped */
};

struct rpmsg_device {
	struct virtio_device *d;
	struct rpmsg_service service[RPMSG_MAX_SERVICES];
	unsigned n_services;
	unsigned next; /* the service whose turn it is to send to the guest */
	bool in_step; /* what the driver was told is known here */
	struct log_limit limit;
};

/* Serves what can be served, in both directions. */
void rpmsg_run(struct rpmsg_device *r);

/* rpmsg_service.c */

/* Opens the end; on error rpmsg_service_close() follows. backend: "echo", or of console_end.h. */
bool rpmsg_service_open(struct rpmsg_service *s, const char *backend, GError **error);
void rpmsg_service_close(struct rpmsg_service *s);
bool rpmsg_service_is_connected(const struct rpmsg_service *s);
const char *rpmsg_service_kind(const struct rpmsg_service *s);
/* Takes a message of len bytes, which c->out is at. Completes it, now or later. */
void rpmsg_service_take(struct rpmsg_service *s, struct vq_chain *c, size_t len);
/* Writes what waits, as far as the end takes it. */
void rpmsg_service_write(struct rpmsg_service *s);
/* Sends what the end has, one message. Returns false if there is nothing, or no buffer. */
bool rpmsg_service_read(struct rpmsg_service *s, struct vq *rx);
/* The queue of messages from the guest stops: keeps those that wait. */
void rpmsg_service_keep(struct rpmsg_service *s);

/* rpmsg_message.c */

/*
 * Returns a buffer of the guest for a message with at least this payload, its cursor behind the
 * header; NULL: there is none.
 */
struct vq_chain *rpmsg_buffer(struct vq *rx, size_t payload, struct iov_cursor *head);
/* Sends it, with all that was written behind the header. */
void rpmsg_send(struct vq_chain *c, struct iov_cursor *head, uint32_t source, uint32_t destination);
/* Tells the guest of services that are there or have left. Returns false without a buffer. */
bool rpmsg_announce(struct rpmsg_service *s, struct vq *rx);
/* Logs what the guest announces; c->out is at the message. */
void rpmsg_take_announcement(struct rpmsg_device *r, struct vq_chain *c, size_t len);
