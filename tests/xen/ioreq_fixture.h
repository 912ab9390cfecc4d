/* SPDX-License-Identifier: Apache-2.0 */
/* One ioreq server with a fake device; the test is the guest, Xen and the kernel. */
#pragma once

#include "tests/lib/test.h"

#include "xen/hypervisor/ioreq_page.h"
#include "xen/worker/ioreq.h"

#define BASE UINT64_C(0x2000000)
#define WINDOW 0x200
#define VCPUS 4

struct ioreq_test {
	struct ioreq_slot page[IPC_MAX_VCPUS] __attribute__((aligned(4096)));
	struct test test;
	struct ipc_journal journal;
	struct ioreq *q;
	/* What the fake device does. */
	bool there, later, early, kernel;
	unsigned invalidations; /* to wait for */
	/* What was seen. */
	unsigned accesses, notifies[VCPUS];
	uint64_t offset, value;
	unsigned size;
	bool write;
	void *token;
};

int ioreq_setup(void **state);
int ioreq_teardown(void **state);
/* The worker died; this is the next one. */
void ioreq_succeed(struct ioreq_test *w);
/* Looks at the slots until none has to be looked at again. */
void ioreq_look_until_done(struct ioreq_test *w);

void slot_set_state(struct ioreq_test *w, unsigned vcpu, enum ioreq_state state);
/* Xen puts a request in. */
void slot_post(struct ioreq_test *w, unsigned vcpu, bool write, uint64_t addr, uint32_t size,
	uint64_t data);
void slot_assert_answered(struct ioreq_test *w, unsigned vcpu, unsigned notifies);
void slot_assert_waits(struct ioreq_test *w, unsigned vcpu, enum ioreq_state state);
