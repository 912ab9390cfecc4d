/* SPDX-License-Identifier: Apache-2.0 */
/* The slots one by one: what is taken, what is left, and what a successor finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glib.h>
#include <pthread.h>
#include <string.h>
#include <linux/virtio_mmio.h>

#include "base/log.h"
#include "tests/lib/leak.h"
#include "xen/worker/ioreq.h"
#include "xen/hypervisor/ioreq_page.h"

#define BASE UINT64_C(0x2000000)
#define WINDOW 0x200
#define VCPUS 4

static int device;

struct world {
	struct ioreq_slot page[128] __attribute__((aligned(4096)));
	struct ipc_journal journal;
	struct ioreq *q;
	unsigned n_fds;
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

static void *fake_find(void *opaque, uint64_t addr, uint64_t *offset)
{
	struct world *w = opaque;

	*offset = addr - BASE;
	return w->there && addr >= BASE && addr < BASE + WINDOW ? &device : NULL;
}

static enum virtio_mmio_result fake_access(void *opaque, void *d, uint64_t offset, unsigned size,
	bool write, uint64_t *value, void *token)
{
	struct world *w = opaque;

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
	struct world *w = opaque;

	w->token = token;
	if (w->early && w->invalidations)
		ioreq_done(token, 0);
	return w->invalidations;
}

static bool fake_kernel_has(void *opaque, void *d, uint64_t offset, uint32_t queue)
{
	struct world *w = opaque;

	assert_int_equal(offset, VIRTIO_MMIO_QUEUE_NOTIFY);
	return w->kernel && queue == 1;
}

static void fake_notify(void *opaque, unsigned vcpu)
{
	struct world *w = opaque;

	/* Whoever is told finds the answer. */
	assert_int_equal(w->page[vcpu].bits & IOREQ_STATE_BITS, IOREQ_RESP_READY);
	assert_int_equal(w->journal.ours[vcpu], 0);
	w->notifies[vcpu]++;
}

static const struct ioreq_ops ops = {
	.find = fake_find,
	.access = fake_access,
	.invalidate = fake_invalidate,
	.kernel_has = fake_kernel_has,
	.notify = fake_notify,
};

static void ignore_line(enum log_level level, const char *line, void *opaque)
{
}

static int setup(void **state)
{
	struct world *w = g_aligned_alloc0(1, sizeof(*w), 4096);

	w->n_fds = count_fds();
	w->there = true;
	w->q = ioreq_new((struct ioreq_page *)w->page, VCPUS, &w->journal, &ops, w);
	log_set_sink(ignore_line, NULL);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	ioreq_free(w->q);
	assert_int_equal(count_fds(), w->n_fds);
	g_aligned_free(w);
	log_set_sink(NULL, NULL);
	return 0;
}

/* Died; here is the next one. */
static void successor(struct world *w)
{
	ioreq_free(w->q);
	w->q = ioreq_new((struct ioreq_page *)w->page, VCPUS, &w->journal, &ops, w);
}

static void set_state(struct world *w, unsigned vcpu, enum ioreq_state state)
{
	w->page[vcpu].bits = (w->page[vcpu].bits & ~IOREQ_STATE_BITS) | state;
}

static void post(
	struct world *w, unsigned vcpu, bool write, uint64_t addr, uint32_t size, uint64_t data)
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

static void assert_answered(struct world *w, unsigned vcpu, unsigned notifies)
{
	assert_int_equal(w->page[vcpu].bits & IOREQ_STATE_BITS, IOREQ_RESP_READY);
	assert_int_equal(w->journal.ours[vcpu], 0);
	assert_int_equal(w->notifies[vcpu], notifies);
	assert_int_equal(ioreq_again(w->q), -1);
}

static void assert_waits(struct world *w, unsigned vcpu, enum ioreq_state state)
{
	assert_int_equal(w->page[vcpu].bits & IOREQ_STATE_BITS, state);
	assert_int_equal(w->notifies[vcpu], 0);
}

/* Until it has looked often enough, 30 s at most. */
static void look_again(struct world *w)
{
	for (unsigned i = 0; i < 30000; i++) {
		int wait = ioreq_again(w->q);

		if (wait < 0)
			return;
		g_usleep(1000);
	}
	fail_msg("it looks for ever");
}

static void test_read(void **state)
{
	static const uint64_t want[] = { 0, 0x88, 0x7788, 0, 0x55667788, 0, 0, 0,
		UINT64_C(0x1122334455667788) };
	struct world *w = *state;
	unsigned n = 0;

	for (unsigned size = 1; size <= 8; size *= 2) {
		post(w, 2, false, BASE + 0x100, size, 99);
		ioreq_event(w->q, 2);
		assert_answered(w, 2, ++n);
		assert_int_equal(w->page[2].bits & IOREQ_DIR_READ, IOREQ_DIR_READ);
		assert_true(w->page[2].data == want[size]);
		assert_int_equal(w->offset, 0x100);
		assert_int_equal(w->size, size);
		assert_false(w->write);
	}
	/* Nothing there any more. */
	ioreq_event(w->q, 2);
	set_state(w, 2, IOREQ_NONE);
	ioreq_event(w->q, 2);
	ioreq_event(w->q, 127);
	assert_int_equal(w->accesses, n);
}

static void test_write(void **state)
{
	struct world *w = *state;

	post(w, 0, true, BASE + 0x70, 2, 0xabcdef);
	ioreq_event(w->q, 0);
	assert_answered(w, 0, 1);
	assert_true(w->write);
	assert_int_equal(w->value, 0xcdef);
	assert_int_equal(w->page[0].data, 0xabcdef);
}

static void test_later(void **state)
{
	struct world *w = *state;
	void *token;

	w->later = true;
	post(w, 1, false, BASE, 4, 0);
	ioreq_event(w->q, 1);
	token = w->token;
	assert_waits(w, 1, IOREQ_INPROCESS);
	assert_int_equal(w->journal.ours[1], 1);
	assert_int_equal(ioreq_again(w->q), -1);
	ioreq_event(w->q, 1);
	assert_int_equal(w->accesses, 1);
	/* Others go on. */
	w->later = false;
	post(w, 0, false, BASE, 4, 0);
	ioreq_event(w->q, 0);
	assert_answered(w, 0, 1);
	ioreq_done(token, 0x1234567890);
	assert_answered(w, 1, 1);
	assert_int_equal(w->page[1].data, 0x34567890);
}

static void test_early(void **state)
{
	struct world *w = *state;

	w->later = w->early = true;
	post(w, 1, false, BASE, 4, 0);
	ioreq_event(w->q, 1);
	assert_answered(w, 1, 1);
	assert_int_equal(w->page[1].data, 0xeeff0011);
}

static void test_strays(void **state)
{
	struct world *w = *state;
	struct ioreq_counters c;
	unsigned n = 0;

	for (unsigned kind = 0; kind < 6; kind++) {
		post(w, 3, false, BASE, 4, 0);
		if (kind == 0)
			w->page[3].size = 3;
		else if (kind == 1)
			w->page[3].size = 0x80000000;
		else if (kind == 2)
			w->page[3].count = 2;
		else if (kind == 3)
			w->page[3].bits |= IOREQ_DATA_IS_PTR;
		else if (kind == 4)
			w->page[3].type = 0;
		else
			w->page[3].type = 2;
		ioreq_event(w->q, 3);
		assert_answered(w, 3, ++n);
		assert_true(w->page[3].data == UINT64_MAX);
	}
	ioreq_counters(w->q, &c);
	assert_int_equal(c.requests, n);
	assert_int_equal(c.strays, n);
	assert_int_equal(w->accesses, 0);
}

static void test_invalidate(void **state)
{
	struct world *w = *state;
	struct ioreq_counters c;

	for (unsigned i = 0; i < 4; i++) {
		w->invalidations = i;
		w->early = i == 2;
		w->notifies[0] = 0;
		post(w, 0, true, 0, 4, UINT64_MAX);
		w->page[0].type = IOREQ_INVALIDATE;
		ioreq_event(w->q, 0);
		for (unsigned k = w->early ? 1 : 0; k < i; k++) {
			assert_waits(w, 0, IOREQ_INPROCESS);
			ioreq_done(w->token, 0);
		}
		assert_answered(w, 0, 1);
	}
	ioreq_counters(w->q, &c);
	assert_int_equal(c.invalidates, 4);
	assert_int_equal(c.requests, 0);
}

static void *answer_main(void *token)
{
	ioreq_done(token, 0);
	return NULL;
}

/* Devices have a thread each. */
static void test_invalidate_threads(void **state)
{
	struct world *w = *state;
	pthread_t thread[VCPUS];

	w->invalidations = VCPUS;
	post(w, 0, true, 0, 4, UINT64_MAX);
	w->page[0].type = IOREQ_INVALIDATE;
	ioreq_event(w->q, 0);
	for (unsigned i = 0; i < VCPUS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, answer_main, w->token), 0);
	for (unsigned i = 0; i < VCPUS; i++)
		pthread_join(thread[i], NULL);
	assert_answered(w, 0, 1);
}

/* QueueNotify that the kernel has is left to it; if it does not come, it is taken. */
static void test_kernel(void **state)
{
	struct world *w = *state;

	w->kernel = true;
	post(w, 0, true, BASE + VIRTIO_MMIO_QUEUE_NOTIFY, 4, 0xffff0001);
	ioreq_event(w->q, 0);
	assert_waits(w, 0, IOREQ_READY);
	assert_true(ioreq_again(w->q) > 0);
	set_state(w, 0, IOREQ_INPROCESS);
	ioreq_event(w->q, 0);
	assert_waits(w, 0, IOREQ_INPROCESS);
	assert_true(ioreq_again(w->q) > 0);
	set_state(w, 0, IOREQ_RESP_READY);
	assert_int_equal(ioreq_again(w->q), -1);
	assert_int_equal(w->accesses, 0);

	/* Another queue, another width, a read: not the kernel's. */
	post(w, 0, true, BASE + VIRTIO_MMIO_QUEUE_NOTIFY, 4, 2);
	ioreq_event(w->q, 0);
	assert_answered(w, 0, 1);
	post(w, 0, true, BASE + VIRTIO_MMIO_QUEUE_NOTIFY, 2, 1);
	ioreq_event(w->q, 0);
	assert_answered(w, 0, 2);
	post(w, 0, false, BASE + VIRTIO_MMIO_QUEUE_NOTIFY, 4, 1);
	ioreq_event(w->q, 0);
	assert_answered(w, 0, 3);

	post(w, 1, true, BASE + VIRTIO_MMIO_QUEUE_NOTIFY, 4, 1);
	ioreq_event(w->q, 1);
	assert_waits(w, 1, IOREQ_READY);
	look_again(w);
	assert_answered(w, 1, 1);
}

/* The kernel looks at every write for a moment. */
static void test_flip(void **state)
{
	struct world *w = *state;

	post(w, 0, true, BASE + 0x70, 4, 1);
	set_state(w, 0, IOREQ_INPROCESS);
	ioreq_event(w->q, 0);
	assert_true(ioreq_again(w->q) > 0);
	g_usleep(5000);
	assert_true(ioreq_again(w->q) > 0);
	assert_waits(w, 0, IOREQ_INPROCESS);
	assert_int_equal(w->journal.ours[0], 0);
	set_state(w, 0, IOREQ_READY);
	assert_int_equal(ioreq_again(w->q), -1);
	assert_answered(w, 0, 1);
}

static void test_device_to_come(void **state)
{
	struct world *w = *state;

	w->there = false;
	post(w, 0, false, BASE, 4, 0);
	ioreq_event(w->q, 0);
	assert_waits(w, 0, IOREQ_READY);
	assert_true(ioreq_again(w->q) > 0);
	w->there = true;
	assert_int_equal(ioreq_again(w->q), -1);
	assert_answered(w, 0, 1);
	assert_int_equal(w->accesses, 1);
}

/* Every state that one who was killed can leave (ioreq.c). */
static void test_successor(void **state)
{
	struct world *w = *state;

	/* Before it was taken; the journal first. */
	for (unsigned ours = 0; ours < 2; ours++) {
		post(w, ours, false, BASE, 4, 0);
		w->journal.ours[ours] = ours;
		successor(w);
		ioreq_resume(w->q);
		assert_answered(w, ours, 1);
		assert_int_equal(w->accesses, ours + 1);
	}
	/* Answered, and perhaps not said. */
	for (unsigned ours = 0; ours < 2; ours++) {
		post(w, 2, false, BASE, 4, 77);
		set_state(w, 2, IOREQ_RESP_READY);
		set_state(w, 0, IOREQ_NONE);
		set_state(w, 1, IOREQ_NONE);
		w->journal.ours[2] = ours;
		successor(w);
		ioreq_resume(w->q);
		assert_answered(w, 2, ours + 1);
		assert_int_equal(w->page[2].data, 77);
		assert_int_equal(w->accesses, 2);
	}
	/* Taken, not answered, also while the device is still to come. */
	post(w, 3, false, BASE, 4, 0);
	set_state(w, 3, IOREQ_INPROCESS);
	w->journal.ours[3] = 1;
	w->there = false;
	successor(w);
	ioreq_resume(w->q);
	g_usleep(10000);
	assert_true(ioreq_again(w->q) > 0);
	assert_waits(w, 3, IOREQ_INPROCESS);
	assert_int_equal(w->journal.ours[3], 1);
	w->there = true;
	look_again(w);
	assert_answered(w, 3, 1);
	assert_int_equal(w->accesses, 3);
}

/* The journal is from the request before this one, which the kernel has for a moment. */
static void test_successor_and_kernel(void **state)
{
	struct world *w = *state;

	post(w, 0, true, BASE + 0x70, 4, 1);
	set_state(w, 0, IOREQ_INPROCESS);
	w->journal.ours[0] = 1;
	successor(w);
	ioreq_resume(w->q);
	assert_waits(w, 0, IOREQ_INPROCESS);
	set_state(w, 0, IOREQ_READY);
	assert_int_equal(ioreq_again(w->q), -1);
	assert_answered(w, 0, 1);
	post(w, 0, true, BASE + 0x70, 4, 1);
	set_state(w, 0, IOREQ_INPROCESS);
	ioreq_event(w->q, 0);
	g_usleep(5000);
	assert_true(ioreq_again(w->q) > 0);
	assert_int_equal(w->accesses, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_read),
		TEST(test_write),
		TEST(test_later),
		TEST(test_early),
		TEST(test_strays),
		TEST(test_invalidate),
		TEST(test_invalidate_threads),
		TEST(test_kernel),
		TEST(test_flip),
		TEST(test_device_to_come),
		TEST(test_successor),
		TEST(test_successor_and_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
