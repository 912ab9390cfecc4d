/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiod-blk with an io_uring (daemon/uring.h) that notes operations, which end as the test wants.
 */
#pragma once

#include "blk_image.h"
#include "daemon/uring.h"

struct blk_fake_op {
	char kind; /* read, write, sync, allocate: its first letter */
	bool submitted;
	int mode;
	unsigned n_iov;
	uint64_t offset, len;
	void *tag;
};

/* One ring for all queues, of which only the first runs. */
struct blk_fake_uring {
	int event;
	bool forbidden, never_enabled; /* what does not work */
	GArray *ops; /* not ended yet */
	GArray *ended; /* events */
};
extern struct blk_fake_uring fake;

/* cmocka's fixture. */
int setup(void **state);
int teardown(void **state);
/* Operation i of those that have not ended; it has been submitted. */
const struct blk_fake_op *op(unsigned i);
/* The oldest operation ends with this result, and the device is told. */
void end(struct kit_core *c, int result);
