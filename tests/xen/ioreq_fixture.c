/* SPDX-License-Identifier: Apache-2.0 */
/* The fake device, and what tests do with slots. */
#include "ioreq_fixture.h"

#include <linux/virtio_mmio.h>

static int device;

static void *fake_find(void *opaque, uint64_t addr, uint64_t *offset)
{
	struct ioreq_test *w = opaque;

	*offset = addr - BASE;
	return w->there && addr >= BASE && addr < BASE + WINDOW ? &device : NULL;
}

static enum virtio_mmio_result fake_access(void *opaque, void *d, uint64_t offset, unsigned size,
	bool write, uint64_t *value, void *token)
{
	struct ioreq_test *w = opaque;

	assert_ptr_equal(d, &device);
	w->accesses++;
	w->offset = offset;
	w->size = size;
	w->write = write;
	w->value = *value;
	w->token = token;
	if (!w->later) {
		if (!write)
			*value = UINT64_C(0x1122334455667788);
		return VIRTIO_MMIO_DONE;
	}
	if (w->early)
		ioreq_done(token, UINT64_C(0xaabbccddeeff0011));
	return VIRTIO_MMIO_LATER;
}

static unsigned fake_invalidate(void *opaque, void *token)
{
	struct ioreq_test *w = opaque;

	w->token = token;
	if (w->early && w->invalidations)
		ioreq_done(token, 0);
	return w->invalidations;
}

static bool fake_kernel_has(void *opaque, void *d, uint64_t offset, uint32_t queue)
{
	struct ioreq_test *w = opaque;

	assert_int_equal(offset, VIRTIO_MMIO_QUEUE_NOTIFY);
	return w->kernel && queue == 1;
}

static void fake_notify(void *opaque, unsigned vcpu)
{
	struct ioreq_test *w = opaque;

	/* The notified vCPU finds the answer. */
	assert_int_equal(w->page[vcpu].bits & IOREQ_STATE_BITS, IOREQ_RESP_READY);
	assert_int_equal(w->journal.taken[vcpu], 0);
	w->notifies[vcpu]++;
}

static const struct ioreq_ops ops = {
	.find = fake_find,
	.access = fake_access,
	.invalidate = fake_invalidate,
	.kernel_has = fake_kernel_has,
	.notify = fake_notify,
};

int ioreq_setup(void **state)
{
	struct ioreq_test *w = g_aligned_alloc0(1, sizeof(*w), 4096);

	test_begin(&w->test);
	w->there = true;
	w->q = ioreq_new((struct ioreq_page *)w->page, VCPUS, &w->journal, &ops, w);
	*state = w;
	return 0;
}

int ioreq_teardown(void **state)
{
	struct ioreq_test *w = *state;

	ioreq_free(w->q);
	test_end(&w->test);
	g_aligned_free(w);
	return 0;
}

/* Succeeds one that died. */
void ioreq_succeed(struct ioreq_test *w)
{
	ioreq_free(w->q);
	w->q = ioreq_new((struct ioreq_page *)w->page, VCPUS, &w->journal, &ops, w);
}

void slot_set_state(struct ioreq_test *w, unsigned vcpu, enum ioreq_state state)
{
	w->page[vcpu].bits = (w->page[vcpu].bits & ~IOREQ_STATE_BITS) | state;
}

void slot_post(struct ioreq_test *w, unsigned vcpu, bool write, uint64_t addr, uint32_t size,
	uint64_t data)
{
	struct ioreq_slot *s = &w->page[vcpu];

	*s = (struct ioreq_slot){
		.addr = addr,
		.data = data,
		.size = size,
		.count = 1,
		.type = IOREQ_COPY,
		.bits = IOREQ_READY | (write ? 0 : IOREQ_DIR_READ),
	};
}

void slot_assert_answered(struct ioreq_test *w, unsigned vcpu, unsigned notifies)
{
	assert_int_equal(w->page[vcpu].bits & IOREQ_STATE_BITS, IOREQ_RESP_READY);
	assert_int_equal(w->journal.taken[vcpu], 0);
	assert_int_equal(w->notifies[vcpu], notifies);
	assert_int_equal(ioreq_again(w->q), -1);
}

void slot_assert_waits(struct ioreq_test *w, unsigned vcpu, enum ioreq_state state)
{
	assert_int_equal(w->page[vcpu].bits & IOREQ_STATE_BITS, state);
	assert_int_equal(w->notifies[vcpu], 0);
}

/* Looks at the slots until that is no longer wanted. */
void ioreq_look_until_done(struct ioreq_test *w)
{
	WAIT_UNTIL(ioreq_again(w->q) < 0);
}
