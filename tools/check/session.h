/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a session, as an ordinary front-end takes them. */
#pragma once

#include "tools/check/check.h"

/* Virtio features of an ordinary session: VERSION_1 and bit 30, as far as they are offered. */
uint64_t session_basic_features(const struct check *k);

/* Connects and negotiates: protocol features that are offered and known, owner, these features. */
void session_open(struct check *k, uint64_t features);
/* Makes the memory, if there is none yet, and shares it. */
void session_memory(struct check *k);
/* SET_MEM_TABLE of n pieces of the memory, with user addresses that differ by this. */
void session_share(struct check *k, unsigned pieces, uint64_t user_offset);
/* The region that this is; fd is the memory's. */
struct vu_region session_region(const struct check *k, int *fd);
/* SET_MEM_TABLE of these. */
void session_table(struct check *k, const struct vu_region *region, const int *fd, unsigned n);
/* The payload of ADD_MEM_REG and REM_MEM_REG. */
struct session_slot {
	struct vu_mem_single single;
	struct vu_region region;
};

/* Makes a vring; nothing is sent. NULL: the case has failed. */
struct check_queue *session_queue(struct check *k, unsigned index, unsigned size);
struct vu_vring_addr session_addr(const struct check_queue *q, uint64_t user_offset);
/* NUM, BASE, ADDR, CALL, ERR, KICK; then ENABLE if that is negotiated. */
void session_start_queue(struct check *k, struct check_queue *q, uint32_t base);
void session_enable(struct check *k, struct check_queue *q, bool on);
/* Returns the base after n requests without indirect tables, all completed. */
uint32_t session_base_after(const struct check *k, const struct check_queue *q, unsigned n);
/* GET_VRING_BASE: returns the base. */
uint32_t session_stop_queue(struct check *k, struct check_queue *q);
/* Closes the connection and frees what was shared. */
void session_end(struct check *k);

/* Starts the queues that the device's requests need: returns the requests' one. */
struct check_queue *session_start_queues(struct check *k, unsigned size);
/* All of these, with the queues that the device's requests need: returns the requests' one. */
struct check_queue *session_start(struct check *k, uint64_t features, unsigned size);

/* Requests of the device. */

/* Adds n requests (as many as fit) and kicks if the device asks for that. Returns how many. */
unsigned data_submit(struct check *k, struct check_queue *q, unsigned n);
void data_kick(struct check *k, struct check_queue *q);
/* Takes what is completed, and checks it. */
void data_reap(struct check *k, struct check_queue *q);
/* Waits until all requests are completed; a completion without a call is a failure. */
void data_wait(struct check *k, struct check_queue *q);
/*
 * A request of these buffers, of which the first n_out are read; returns the used length once it is
 * completed. Not with others in flight.
 */
uint32_t data_exchange(struct check *k, struct check_queue *q, const struct driver_buf *buf,
	unsigned n_out, unsigned n_in);
/* n requests, one after the other. */
void data_run(struct check *k, struct check_queue *q, unsigned n);
/* n requests, as many at a time as fit. */
void data_flood(struct check *k, struct check_queue *q, unsigned n);
/* Waits for a call; false: none came. */
bool data_call(struct check *k, struct check_queue *q, uint64_t timeout_us);
