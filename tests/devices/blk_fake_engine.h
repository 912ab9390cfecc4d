/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-blk on an image that only exists here: an engine that notes what it is asked to do. */
#pragma once

#include "blk_driver.h"
#include "daemon/devices/blk/blk_request.h"
#include "daemon/devices/blk/blk_serve.h"

#define F(bit) (1ull << VIRTIO_BLK_F_##bit)

struct blk_fake_engine {
	/* What it is asked to do, in order: Read, Write, Discard, Zero, Unmap, Sync. */
	GString *done;
	int result, sync_result; /* what it answers */
	bool lazy; /* everything is pending until end_one() and end_sync() */
	unsigned full; /* refuses so many times */
	GPtrArray *pending; /* requests, in order */
	struct blk_queue *syncing;
};
extern struct blk_fake_engine image;

/* cmocka's fixture. */
int setup(void **state);
int teardown(void **state);
/* Opens the device unless it is, and starts a driver with these features, and this in wce. */
void begin(struct kit_core *c, uint64_t features, uint8_t wce);

struct blk_driver_request *add_write(struct kit_core *c);
/* Ends the oldest request that is pending, as an engine does in its reap(), and what follows. */
void end_one(struct kit_core *c, int result);
/* The same for the sync. */
void end_sync(struct kit_core *c, int result);
/* This was done since the last call. */
void assert_done(const char *want);
