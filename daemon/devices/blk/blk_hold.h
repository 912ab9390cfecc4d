/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that the host failed to carry out, and that --werror or --rerror tells to hold: they are
 * tried again twice a second, or when told to, until they succeed. The guest sees a disk that takes
 * its time. Others go on meanwhile.
 */
#pragma once

#include "daemon/devices/blk/blk_engine.h"

#define BLK_HOLD_RETRY_US 500000

/* Holds the request because of -errno, if that is the policy; it is bq's then. */
bool blk_hold(struct blk_queue *bq, struct blk_req *r, int result);
/* Holds it once more, or leaves it to the queue's next run if this one ends. */
void blk_hold_more(struct blk_queue *bq, struct blk_req *r);
/* Called when a request that was held is complete, or is left for the queue's next run. */
void blk_hold_end(struct blk_queue *bq, struct blk_req *r);
/* Tells all queues to try again what is held, and to look at the limits. A device verb. */
void blk_hold_wake(struct blk *b);
