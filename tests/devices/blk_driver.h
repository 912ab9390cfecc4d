/* SPDX-License-Identifier: Apache-2.0 */
/* The driver of a block device, for tests. */
#pragma once

#include <linux/virtio_blk.h>

#include "tests/lib/kit_core.h"

/* No status was written. */
#define NO_STATUS 0xee

struct blk_driver_request {
	uint64_t data, status; /* guest addresses */
	uint32_t used; /* length; UINT32_MAX: not complete */
};

/* Makes a request with `len` bytes of data available: read by the device, or written by it. */
struct blk_driver_request *blk_add(
	struct kit_core *c, uint32_t type, uint64_t sector, const void *out, uint32_t len);
/* NO_STATUS if it is not complete. */
uint8_t blk_status_of(struct kit_core *c, struct blk_driver_request *r);
/* Adds, kicks, reaps; the status. `in` receives len bytes, except for requests that write. */
uint8_t blk_request(struct kit_core *c, uint32_t type, uint64_t sector, void *buf, uint32_t len);
/* A request laid out by the test: header and so on in buf; complete or not, kicks and reaps. */
void blk_raw(struct kit_core *c, const struct driver_buf *buf, unsigned n_out, unsigned n_in,
	struct blk_driver_request *r);
/* A header in guest memory. */
uint64_t blk_header(struct kit_core *c, uint32_t type, uint64_t sector);
/* Reaps what is complete; blk_await_all(): waits until all that was taken is. */
void blk_reap(struct kit_core *c);
void blk_await_all(struct kit_core *c);
/* Lets the next timer expire, and reaps what is complete then. */
void blk_hurry(struct kit_core *c);
