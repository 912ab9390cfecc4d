/* SPDX-License-Identifier: Apache-2.0 */
/* Everything of one measurement: the device, the shared memory, queues and threads. */
#pragma once

#include "tools/bench/bench_thread.h"
#include "tools/block/blk_driver.h"

typedef struct bench_session bench_session; /* for g_autoptr */

struct bench_session {
	const struct bench_options *options;
	struct connect_options connect; /* to do so again */
	struct vu_front *f; /* NULL: the back-end has gone (--survive) */
	char *away; /* why the next one is not there yet */
	unsigned reconnects;
	uint32_t device_id;
	struct blk_device device;
	struct blkio_layout layout; /* of each queue */
	uint64_t length; /* of the region, whole blocks */
	struct vu_front_inflight inflight;
	struct driver_mem *mem;
	struct bench_queue *queues;
	uint32_t run; /* tells the data of this run from others' */
	struct bench_verify *verify; /* for each queue; used with --verify */
	unsigned n_started;
	struct bench_thread *threads;
	struct bench_control control;
};

/*
 * Negotiates, shares memory, starts the queues. The threads sleep. Takes over f, also on error; the
 * options stay the caller's.
 */
struct bench_session *bench_session_new(struct vu_front *f, const struct bench_options *o,
	const struct connect_options *connect, GError **error);
/* Has the back-end serve the queues, as they are. */
bool bench_session_start(struct bench_session *s, GError **error);
/* The threads have been joined. Stops the queues and resets the device. */
void bench_session_free(struct bench_session *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(bench_session, bench_session_free)

/*
 * Warms up, measures, waits for what is in flight, reads back what is to be verified, and ends the
 * threads. A signal shortens that. What was measured is in r also on error.
 */
bool bench_session_run(struct bench_session *s, struct bench_result *r, GError **error);
/* Warns of used lengths that were cut, once for all queues. */
void bench_session_warn(const struct bench_session *s);
/* Of one request that failed; NULL: none did. */
const char *bench_session_request_error(const struct bench_session *s);
