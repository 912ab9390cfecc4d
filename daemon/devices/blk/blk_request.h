/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of a queue of virtiod-blk, on its owner. */
#pragma once

#include "daemon/devices/blk/blk_engine.h"

/* Serves what is available in the queue, and reaps and begins as the engine can. */
void blk_serve(struct blk_queue *bq);

/* For engines: a request that was BLK_PENDING has ended. */
void blk_done(struct blk_queue *bq, struct blk_req *r, int result);
/* For engines: a sync that was BLK_PENDING has ended. */
void blk_sync_done(struct blk_queue *bq, int result);
