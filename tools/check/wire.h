/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of a case. What is sent and received goes into the record. Every function does nothing
 * and returns 0 once the case has failed.
 */
#pragma once

#include "tools/check/check.h"

/* How long to wait for something, and how long for nothing to happen. */
uint64_t wire_timeout_us(const struct check *k);
uint64_t wire_quiet_us(const struct check *k);

/*
 * Connects. A back-end that closes at once is busy with the last connection: this tries again. The
 * first message, GET_FEATURES, has been answered then, by whatever reply.
 */
void wire_connect(struct check *k);
/* Closes the connection, and forgets what was negotiated. */
void wire_close(struct check *k);

/* Sends a message of these bytes; flags beyond the version. The fds stay the caller's. */
void wire_send(struct check *k, uint32_t request, uint32_t flags, const void *payload, size_t size,
	const int *fds, unsigned n_fds);
/* Sends bytes as they are. A peer that has closed is no failure. */
void wire_bytes(struct check *k, const void *bytes, size_t size);

enum wire_next {
	WIRE_MESSAGE, /* in k->msg */
	WIRE_CLOSED,
	WIRE_NOTHING, /* in time */
};
/* What comes next; fails on a damaged message alone. */
enum wire_next wire_next(struct check *k, uint64_t timeout_us);
/* The next message; none is a failure. */
bool wire_receive(struct check *k);
/* Sends a message and requires the reply of its shape; returns its u64 or u32. */
uint64_t wire_ask(struct check *k, uint32_t request, const void *payload, size_t size);
/* Requires a message that replies to such a request in k->msg. */
void wire_check_reply(struct check *k, uint32_t request, const struct vu_shape *shape);
/* Requires an acknowledgement, after a message with need_reply; returns its value. */
uint64_t wire_ack(struct check *k, uint32_t request);
/*
 * Sends a message without a reply of its own. With REPLY_ACK, requires that it is acknowledged with
 * success; without, the next message waits for it.
 */
void wire_tell(struct check *k, uint32_t request, const void *payload, size_t size, const int *fds,
	unsigned n_fds);
void wire_tell_u64(struct check *k, uint32_t request, uint64_t value);
void wire_tell_state(struct check *k, uint32_t request, uint32_t index, uint32_t num);
/* SET_VRING_KICK and so on; fd -1: none. */
void wire_tell_fd(struct check *k, uint32_t request, uint32_t index, int fd);
/* Requires that nothing came before the reply to a GET_FEATURES that is sent now. */
void wire_barrier(struct check *k);
/* Adds a line to the record. */
void wire_note(struct check *k, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Adds a message with its bytes; arrow: ">" from the front-end, "<" to it. */
void wire_note_message(struct check *k, const char *arrow, const struct vu_msg *msg);
/* The name of a front-end's message, or its number, in static memory. */
const char *wire_name(uint32_t request, uint32_t size);
