/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of a virtqueue (virtio 1.2 §2.7): lays the vring out in a driver_mem, makes
 * requests available and reaps them. Used by virtioctl and the tests. It trusts the device as
 * little as a device trusts a driver: an id or a length that cannot be is an error, not a crash.
 */
#pragma once

#include "driver/driver_mem.h"

typedef struct driver_ring driver_ring; /* for g_autoptr */

/* A buffer of a request: guest address and length. */
struct driver_buf {
	uint64_t addr;
	uint32_t len;
};

/* The most buffers in an indirect table; a longer request takes descriptors of the vring. */
#define DRIVER_RING_TABLE_LEN 66u

/*
 * Makes a vring of size descriptors (a power of two, unless packed). features:
 * VIRTIO_F_RING_PACKED, VIRTIO_RING_F_INDIRECT_DESC (requests of more than one buffer go into an
 * indirect table, of which each descriptor has one), VIRTIO_RING_F_EVENT_IDX and VIRTIO_F_IN_ORDER
 * are read. Calls are wanted at first.
 */
struct driver_ring *driver_ring_new(
	struct driver_mem *mem, unsigned size, uint64_t features, GError **error);
void driver_ring_free(struct driver_ring *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(driver_ring, driver_ring_free)

/* Returns the bytes that such a vring takes of the memory, up to alignment to 64 bytes. */
uint64_t driver_ring_footprint(unsigned size, uint64_t features);

/* Returns the guest addresses (= user addresses) of the three areas, for SET_VRING_ADDR. */
void driver_ring_addresses(
	const struct driver_ring *r, uint64_t *desc, uint64_t *avail, uint64_t *used);
/* Returns the base of a vring that has not been used yet, for SET_VRING_BASE. */
uint32_t driver_ring_initial_base(const struct driver_ring *r);
/*
 * Returns the base for a device that goes on after another one that has ended: of a split vring the
 * used index, so that nothing that was available and not used is left out. A packed vring does not
 * show how far the device was; there the in-flight area says it, and the base is the initial one.
 */
uint32_t driver_ring_resume_base(const struct driver_ring *r);
unsigned driver_ring_size(const struct driver_ring *r);

/*
 * Makes a request available to the device at the next driver_ring_publish(): n_out buffers that
 * the device reads, then n_in that it writes. token comes back from driver_ring_reap(). -ENOSPC:
 * not enough free descriptors; -EINVAL: no buffer at all.
 */
int driver_ring_add(struct driver_ring *r, const struct driver_buf *buf, unsigned n_out,
	unsigned n_in, void *token);
/* Publishes what was added; true if the device wants a kick for it. */
bool driver_ring_publish(struct driver_ring *r);
/*
 * Takes the next completed request: 1, with its token and used length; 0: none; -EPROTO: the device
 * returned more than was out, or an id that is not out; -EMSGSIZE: a used length larger than the
 * request's writable part. After an error nothing more can come.
 */
int driver_ring_reap(struct driver_ring *r, void **token, uint32_t *len);
/* Used lengths larger than the request's writable part; the numbers are the first one's. */
struct driver_excess {
	uint64_t times;
	uint32_t len;
	uint64_t writable;
};
const struct driver_excess *driver_ring_excess(const struct driver_ring *r);
/* From now on driver_ring_reap() cuts such a length to the writable part. */
void driver_ring_cut_excess(struct driver_ring *r);
/*
 * Asks for a call at the next completion. True if one is there already: reap again before
 * waiting.
 */
bool driver_ring_arm(struct driver_ring *r);
/* Asks for no calls, while polling. */
void driver_ring_disarm(struct driver_ring *r);
/* Returns how many requests are available or in the device's hands. */
unsigned driver_ring_outstanding(const struct driver_ring *r);
