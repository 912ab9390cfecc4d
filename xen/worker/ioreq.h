/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest accesses as Xen forwards them: one slot per vCPU in the ioreq page (xen/hvm/ioreq.h).
 *
 *	READY -> INPROCESS -> (device, perhaps LATER) -> RESP_READY, notify the vCPU's port
 *
 * The kernel's ioeventfd code briefly takes every write to a server that has an ioeventfd (READY ->
 * INPROCESS -> READY): a slot that is INPROCESS by others is looked at again. The journal records
 * which ones the worker took; a successor repeats the accesses that its predecessor left
 * unfinished.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mmio/virtio_mmio.h"
#include "xen/ipc.h"

struct ioreq_page; /* the mapped page: Xen's struct shared_iopage */

/*
 * What the accesses go to. Called from ioreq_event(), ioreq_resume() and ioreq_again(), on their
 * thread; must not call back.
 */
struct ioreq_ops {
	/*
	 * Returns the device at this guest address, and the offset in its window; NULL: there is
	 * none.
	 */
	void *(*find)(void *opaque, uint64_t addr, uint64_t *offset);
	/* See vmm_dev_access(). */
	enum virtio_mmio_result (*access)(void *opaque, void *device, uint64_t offset,
		unsigned size, bool write, uint64_t *value, void *token);
	/*
	 * Pages have left the guest. Returns the number of completions to wait for; each calls
	 * ioreq_done() with token once, possibly before this returns.
	 */
	unsigned (*invalidate)(void *opaque, void *token);
	/* Returns whether the kernel serves writes to QueueNotify of this device and queue. */
	bool (*kernel_has)(void *opaque, void *device, uint64_t offset, uint32_t queue);
	/* The vCPU's response is ready. Any thread. */
	void (*notify)(void *opaque, unsigned vcpu);
};

struct ioreq;

struct ioreq *ioreq_new(struct ioreq_page *page, unsigned vcpus, struct ipc_journal *journal,
	const struct ioreq_ops *ops, void *opaque);
void ioreq_free(struct ioreq *q);

/* The next three: on one thread. */

/* Handles an event of the vCPU's port, which is still masked. */
void ioreq_event(struct ioreq *q, unsigned vcpu);
/*
 * To be called at the start, before all ports are unmasked. Handles requests that wait, repeats
 * those that a predecessor had begun (registers tolerate the same write twice), and notifies of
 * those that it answered without notifying.
 */
void ioreq_resume(struct ioreq *q);
/*
 * Looks again at slots that could not be taken: the kernel has them, or their device was not added
 * yet. To be called when a device was added, too. Returns the milliseconds until the next call; -1:
 * not before the next event.
 */
int ioreq_again(struct ioreq *q);
/* Completes an access that was LATER, or one part of an invalidation. Any thread. */
void ioreq_done(void *token, uint64_t value);

struct ioreq_counters {
	uint64_t requests, invalidates;
	uint64_t strays; /* no device there, or no such access; among requests */
};
void ioreq_counters(const struct ioreq *q, struct ioreq_counters *counters);
