/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest accesses, as Xen passes them on: one slot per vCPU in the ioreq page (xen/hvm/ioreq.h).
 *
 *	READY -> INPROCESS -> (device, perhaps LATER) -> RESP_READY, notify the vCPU's port
 *
 * The kernel's ioeventfd code takes every write for a moment, too (READY -> INPROCESS -> READY): an
 * INPROCESS that is not ours is looked at again. Which are ours is in the journal, so that a
 * successor finds those that its predecessor died over and puts them in again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/vmm_dev.h"

struct ioreq_page; /* the mapped page: struct shared_iopage */

/* Shared with successors; zeroed for a new guest. */
struct ioreq_journal {
	uint32_t ours[128]; /* by vCPU: its slot is INPROCESS, or about to be, because of us */
};

/* What the slots are connected to. Calls come from ioreq_port(), _resume() and their callers. */
struct ioreq_ops {
	/* The device at this guest address, and the offset in its window; NULL: none. */
	struct vmm_dev *(*find)(void *opaque, uint64_t addr, uint64_t *offset);
	/* Pages have left the guest: LATER, with token, or DONE. */
	enum virtio_mmio_result (*invalidate)(void *opaque, void *token);
	/* Writes to QueueNotify of this device and queue are the kernel's business. */
	bool (*kernel_has)(void *opaque, struct vmm_dev *d, uint64_t offset, uint32_t queue);
	/* The vCPU's answer is there. Any thread. */
	void (*notify)(void *opaque, unsigned vcpu);
};

struct ioreq;

struct ioreq *ioreq_new(struct ioreq_page *page, unsigned vcpus, struct ioreq_journal *journal,
	const struct ioreq_ops *ops, void *opaque);
void ioreq_free(struct ioreq *q);

/* The vCPU's port fired. */
void ioreq_event(struct ioreq *q, unsigned vcpu);
/*
 * At the start, when all devices are there: requests that wait, and those that a predecessor had
 * begun (again: registers take the same write twice).
 */
void ioreq_resume(struct ioreq *q);
/* For vmm_ops.access_done and the completion of invalidate. Any thread. */
void ioreq_done(struct ioreq *q, void *token, uint64_t value);

struct ioreq_counters {
	uint64_t requests, invalidates, strays; /* strays: no device there, or no such access */
};
void ioreq_counters(const struct ioreq *q, struct ioreq_counters *counters);
