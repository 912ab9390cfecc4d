/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest accesses, as Xen passes them on: one slot per vCPU in the ioreq page (xen/hvm/ioreq.h).
 *
 *	READY -> INPROCESS -> (device, perhaps LATER) -> RESP_READY, notify the vCPU's port
 *
 * The kernel's ioeventfd code takes every write to a server that has one for a moment, too (READY ->
 * INPROCESS -> READY): an INPROCESS that is not ours is looked at again. Which are ours is in the journal, so that a
 * successor finds those that its predecessor died over and puts them in again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mmio/virtio_mmio.h"
#include "xen/ipc.h"

struct ioreq_page; /* the mapped page: struct shared_iopage */

/*
 * What the slots are connected to. Calls come from ioreq_event(), _resume() and _again(), on their
 * thread, and must not call back.
 */
struct ioreq_ops {
	/*
	 * The device at this guest address, as the others here are given it, and the offset in its
	 * window; NULL: none.
	 */
	void *(*find)(void *opaque, uint64_t addr, uint64_t *offset);
	/* vmm_dev_access() */
	enum virtio_mmio_result (*access)(void *opaque, void *device, uint64_t offset,
		unsigned size, bool write, uint64_t *value, void *token);
	/*
	 * Pages have left the guest. Returns for how many answers it must wait; for each of them
	 * ioreq_done() is called with token once, possibly before this returns.
	 */
	unsigned (*invalidate)(void *opaque, void *token);
	/* Writes to QueueNotify of this device and queue are the kernel's business. */
	bool (*kernel_has)(void *opaque, void *device, uint64_t offset, uint32_t queue);
	/* The vCPU's answer is there. Any thread. */
	void (*notify)(void *opaque, unsigned vcpu);
};

struct ioreq;

struct ioreq *ioreq_new(struct ioreq_page *page, unsigned vcpus, struct ipc_journal *journal,
	const struct ioreq_ops *ops, void *opaque);
void ioreq_free(struct ioreq *q);

/* All three of these: one thread. */

/* The vCPU's port fired, and is still masked. */
void ioreq_event(struct ioreq *q, unsigned vcpu);
/*
 * At the start: requests that wait, and those that a predecessor had begun (again: registers take
 * the same write twice), or answered without saying so. Then all ports are to be unmasked.
 */
void ioreq_resume(struct ioreq *q);
/*
 * Looks again at slots that were not ours to take: the kernel has them for a moment, or their
 * device is still to come. Returns after how many milliseconds to call it once more, -1: not before
 * the next event. Also to be called when a device was added.
 */
int ioreq_again(struct ioreq *q);
/* For vmm_ops.access_done and the completion of invalidate. Any thread. */
void ioreq_done(void *token, uint64_t value);

struct ioreq_counters {
	uint64_t requests, invalidates;
	uint64_t strays; /* no device there, or no such access; among requests */
};
void ioreq_counters(const struct ioreq *q, struct ioreq_counters *counters);
