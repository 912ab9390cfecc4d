/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which a queue of virtiod-blk serves its requests, on its owner. */
#pragma once

#include "daemon/devices/blk/blk_engine.h"

/* Before the first blk_serve() of a run. */
void blk_serve_start(struct blk_queue *bq);
/* Serves what is available in the queue, and reaps and begins as the engine can. */
void blk_serve(struct blk_queue *bq);
/* Takes no more requests; those that wait for something are left to the queue's next run. */
void blk_serve_stop(struct blk_queue *bq);
