/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One message, read and written the same way by front-end and back-end, on the main socket and on
 * the back-end channel.
 */
#pragma once

#include <glib.h>

#include "vhost-user/wire/vu_proto.h"

#define VU_MSG_ERROR vu_msg_error_quark()
GQuark vu_msg_error_quark(void);
enum vu_msg_error {
	VU_MSG_ERROR_FRAMING, /* where the next message begins is unknown from here on */
	VU_MSG_ERROR_SHAPE, /* a whole message, but not what it should be */
	VU_MSG_ERROR_GONE, /* the peer closed (in the middle of a message), or does not read */
};

/*
 * Owned by the function that declares it; the fds in it are closed by vu_msg_clear() unless taken.
 */
struct vu_msg {
	struct vu_header header;
	unsigned n_fds;
	int fds[SOCK_MAX_FDS]; /* -1 where taken */
	bool truncated; /* MSG_CTRUNC, or more fds than fit */
	union {
		uint64_t u64;
		uint32_t u32;
		struct vu_vring_state state;
		struct vu_vring_addr addr;
		struct vu_mem_table table;
		struct vu_config config;
		struct vu_log log;
		struct vu_inflight inflight;
		struct vu_device_state device_state;
		struct vu_shmem_config shmem_config;
		struct vu_shmem_map shmem_map;
		uint8_t bytes[VU_MAX_PAYLOAD];
	} payload;
};

/* An empty message: version 1, no payload, no fds. Does not touch the payload's bytes. */
void vu_msg_init(struct vu_msg *msg, uint32_t request);
/* Closes what fds are left. */
void vu_msg_clear(struct vu_msg *msg);
/* Takes fd i out of the message; the caller owns it. -1 if there is none. */
int vu_msg_take_fd(struct vu_msg *msg, unsigned i);

/* Makes this u64 the payload. */
void vu_msg_set_u64(struct vu_msg *msg, uint64_t value);

/* Collects one message from a socket that need not have it all at once. Zero-initialised. */
struct vu_reader {
	size_t have; /* bytes of header and payload so far */
};

enum vu_read {
	VU_READ_AGAIN, /* nothing more there yet: wait for POLLIN */
	VU_READ_DONE, /* msg is whole; the reader is ready for the next */
	VU_READ_CLOSED, /* the peer closed between two messages */
	VU_READ_ERROR, /* framing damaged, or the stream ended inside a message: close */
};

/*
 * Goes on reading into msg, the same one until it is DONE; never waits. Reads no byte beyond the
 * message. msg was initialised once, and is clear when the next message begins. Only framing is
 * checked here: version, size <= VU_MAX_PAYLOAD. On ERROR, error names what (request number, size),
 * and msg may hold fds as ever.
 */
enum vu_read vu_msg_read(struct vu_reader *r, int fd, struct vu_msg *msg, GError **error);

/*
 * The other way to read, where another process may have to go on with the stream at any
 * instruction: nothing is taken before all of a message is there, and then all of it at once.
 */
/*
 * DONE: a whole message, with this header, is at the head of the stream, and stays there. (With fds
 * it is so only if its header came in one piece, as all peers send it.) AGAIN: wait for more
 * to arrive, not for POLLIN, which is there with the first byte.
 */
enum vu_read vu_msg_peek(int fd, struct vu_header *header, GError **error);
/*
 * Takes the message that vu_msg_peek() has just seen. In one piece, unless fds are attached to
 * its middle. Fds beyond max_fds are lost, as vu_msg_check() reports; 0: this process never has
 * any. False: error, as VU_READ_ERROR.
 */
bool vu_msg_take(int fd, const struct vu_header *header, unsigned max_fds, struct vu_msg *msg,
	GError **error);

/*
 * Is this request of its shape? Size, number of fds, truncation, and what the shape says of the
 * body: region count, config length, an fd where SET_VRING_KICK and so on promise one. False: error
 * names the message, what it had and what it should have ("SET_VRING_NUM: 7 bytes of payload
 * instead of 8").
 */
bool vu_msg_check(const struct vu_msg *msg, const struct vu_shape *shape, GError **error);
/* Is this the reply to such a request? Number, flags, size, fds, truncation. */
bool vu_msg_check_reply(
	const struct vu_msg *msg, uint32_t request, const struct vu_shape *shape, GError **error);

/* Of messages that passed vu_msg_check(): */

/* The ring that the message names; its shape has a ring field. Not checked against any limit. */
unsigned vu_msg_ring_index(const struct vu_msg *msg, const struct vu_shape *shape);
/*
 * Decodes the regions of SET_MEM_TABLE, ADD_MEM_REG or REM_MEM_REG, 32- or 40-byte ones by the
 * message's size, into desc, which has room for VU_MAX_REGIONS. Returns how many; the fd of region
 * i is fd i.
 */
unsigned vu_msg_regions(const struct vu_msg *msg, struct mem_region_desc *desc);

/*
 * Sends header, payload (header.size bytes of it) and fds, which stay the message's; all of that or
 * nothing, also if the process is killed meanwhile. Waits at most timeout_ms. False with an error
 * if the peer has closed or does not read.
 */
bool vu_msg_write(int fd, const struct vu_msg *msg, int timeout_ms, GError **error);
