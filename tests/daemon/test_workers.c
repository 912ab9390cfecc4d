/* SPDX-License-Identifier: Apache-2.0 */
/* Which thread runs what, what it costs while idle, and a main loop that no worker holds up. */
#include "tests/daemon/peer.h"

#include <sched.h>
#include <stdio.h>

#define QUEUES 6

/* A device of many queues that notes who runs them. */
static _Atomic int thread_of[QUEUES], last_cpu;

static void note_start(struct virtio_device *d, struct vq *q)
{
	thread_of[vq_index(q)] = gettid();
	last_cpu = sched_getcpu();
}

/* The driver of queue 0 has a new request for each that is taken, and the first as well. */
static struct peer *_Atomic flood;
static _Atomic unsigned flooded;

static void add_to_flood(const struct vq *q)
{
	/* The test ends it at any time. */
	struct peer *p = flood;

	if (!p || vq_index(q) != 0)
		return;
	driver_submit(p, 0);
	flooded++;
}

static void note_kick(struct virtio_device *d, struct vq *q)
{
	struct vq_chain *c;

	g_assert_true(thread_of[vq_index(q)] == gettid());
	if (!flooded)
		add_to_flood(q);
	while ((c = vq_pop(q))) {
		vq_push(c);
		add_to_flood(q);
	}
}

static _Atomic bool is_busy;

static bool note_busy(struct virtio_device *d, struct vq *q)
{
	return is_busy;
}

static struct virtio_device_ops note_ops = {
	.name = "note",
	.probe = { .device_id = 44, .min_queues = 1, .max_queues = QUEUES },
	.queue_start = note_start,
	.kick = note_kick,
	.busy = note_busy,
};

static void start_notes(struct peer *p)
{
	uint64_t features = ALL_PROTOCOL_FEATURES & ~VU_BIT(VU_F_CONFIG);

	assert_int_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, features), 0);
	assert_int_equal(peer_ack_u64(p, VU_SET_FEATURES, DRIVER_FEATURES), 0);
	peer_share_memory(p);
	for (unsigned i = 0; i < QUEUES; i++) {
		driver_reset(p, i);
		peer_setup_ring(p, i, 0);
		peer_enable(p, i, true);
		driver_submit(p, i);
		driver_kick(p, i);
	}
	peer_run();
	for (unsigned i = 0; i < QUEUES; i++)
		assert_int_equal(driver_used(p, i), 1);
}

static void make_notes(struct peer *p, enum virtio_device_threads threads, unsigned workers)
{
	peer_disconnect(p);
	note_ops.threads = threads;
	peer_options.workers = workers;
	peer_make_backend(p, &note_ops);
	peer_connect(p);
}

static unsigned count_threads(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < QUEUES; i++) {
		bool seen = false;

		for (unsigned j = 0; j < i; j++)
			seen |= thread_of[j] == thread_of[i];
		n += !seen;
	}
	return n;
}

static void test_spread(void **state)
{
	static const struct {
		enum virtio_device_threads threads;
		unsigned workers, expected;
	} cases[] = {
		{ VIRTIO_DEVICE_PER_QUEUE, 1, 1 },
		{ VIRTIO_DEVICE_PER_QUEUE, 4, 4 },
		{ VIRTIO_DEVICE_PER_QUEUE, 64, QUEUES },
		{ VIRTIO_DEVICE_PER_PAIR, 2, 2 },
		{ VIRTIO_DEVICE_PER_PAIR, 64, QUEUES / 2 },
		{ VIRTIO_DEVICE_ONE, 3, 1 },
	};
	struct peer *p = *state;

	for (unsigned n = 0; n < G_N_ELEMENTS(cases); n++) {
		int before[QUEUES];

		make_notes(p, cases[n].threads, cases[n].workers);
		start_notes(p);
		assert_int_equal(count_threads(), cases[n].expected);
		for (unsigned i = 0; i < QUEUES; i++) {
			before[i] = thread_of[i];
			assert_int_not_equal(before[i], gettid());
			if (cases[n].threads == VIRTIO_DEVICE_PER_PAIR)
				assert_int_equal(thread_of[i], thread_of[i & ~1u]);
		}
		/* The next front-end finds the same threads at its queues. */
		peer_disconnect(p);
		peer_connect(p);
		start_notes(p);
		for (unsigned i = 0; i < QUEUES; i++)
			assert_int_equal(thread_of[i], before[i]);
	}
}

static void test_cpus(void **state)
{
	struct peer *p = *state;
	g_autoptr(GError) error = NULL;
	struct backend *b;
	unsigned cpu = sched_getcpu();

	peer_options.cpus = &cpu;
	peer_options.n_cpus = 1;
	make_notes(p, VIRTIO_DEVICE_PER_QUEUE, 2);
	start_notes(p);
	assert_int_equal(last_cpu, cpu);
	cpu = CPU_SETSIZE - 1;
	b = backend_new(&note_ops, &peer_options, NULL);
	assert_false(backend_start_workers(b, &error));
	assert_non_null(strstr(error->message, "worker 0: cannot start it on CPU 1023: "));
	backend_free(b);
}

/* From /proc: how often the thread has gone to sleep, and the CPU time it took, in clock ticks. */
struct usage {
	unsigned long sleeps, ticks;
};

static struct usage usage_of(int thread)
{
	g_autofree char *status_path = g_strdup_printf("/proc/self/task/%d/status", thread);
	g_autofree char *stat_path = g_strdup_printf("/proc/self/task/%d/stat", thread);
	g_autofree char *status = NULL, *stat = NULL;
	unsigned long user, sys;
	struct usage u;

	assert_true(g_file_get_contents(status_path, &status, NULL, NULL));
	assert_int_equal(sscanf(strstr(status, "\nvoluntary_ctxt_switches:"),
				 "\nvoluntary_ctxt_switches: %lu", &u.sleeps),
		1);
	assert_true(g_file_get_contents(stat_path, &stat, NULL, NULL));
	assert_int_equal(
		sscanf(strrchr(stat, ')') + 1,
			" %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys),
		2);
	u.ticks = user + sys;
	return u;
}

/* Returns the usage after the end of the last window. */
static struct usage usage_at_rest(int thread)
{
	struct usage before, after = usage_of(thread);

	do {
		before = after;
		test_pause(50000);
		after = usage_of(thread);
	} while (after.sleeps != before.sleeps);
	return after;
}

static void test_idle(void **state)
{
	struct peer *p = *state;
	struct usage before, after;

	peer_start(p);
	for (unsigned i = 0; i < 100; i++)
		driver_round_trip(p, i % 2);
	before = usage_at_rest(toy.thread[0]);
	test_pause(300000);
	after = usage_of(toy.thread[0]);
	assert_int_equal(after.sleeps, before.sleeps);
	assert_in_range(after.ticks - before.ticks, 0, 1);
}

/* A ring without a kick fd is looked at again and again, but not once it is broken. */
static void test_broken_polled(void **state)
{
	struct peer *p = *state;
	struct usage before, after;

	peer_start(p);
	driver_round_trip(p, 0);
	assert_int_equal(peer_ack_fd(p, VU_SET_VRING_KICK, 0, -1), 0);
	before = usage_of(toy.thread[0]);
	WAIT_IN_LOOP(usage_of(toy.thread[0]).sleeps > before.sleeps + 5);
	toy.mode = TOY_BREAK;
	driver_submit(p, 0);
	peer_run();
	assert_logged("queue 0: broken");
	before = usage_at_rest(toy.thread[0]);
	test_pause(200000);
	after = usage_of(toy.thread[0]);
	assert_int_equal(after.sleeps, before.sleeps);
	toy.mode = TOY_ECHO;
}

/* Checks that a request without a kick, soon after one with a kick, is served. */
static bool is_served_unkicked(struct peer *p)
{
	uint16_t used = driver_used(p, 0);
	bool served;

	driver_submit(p, 0);
	driver_kick(p, 0);
	WAIT_IN_LOOP(driver_used(p, 0) == (uint16_t)(used + 1));
	test_pause(100);
	driver_submit(p, 0);
	for (unsigned n = 0; n < 20 && driver_used(p, 0) == (uint16_t)(used + 1); n++)
		test_pause(100);
	served = driver_used(p, 0) == (uint16_t)(used + 2);
	driver_kick(p, 0);
	WAIT_IN_LOOP(driver_used(p, 0) == (uint16_t)(used + 2));
	return served;
}

/*
 * Checks that it polls. On a busy machine a try may come too early or late: not each must
 * succeed.
 */
static void check_polls(struct peer *p, bool expected)
{
	for (unsigned i = 0; i < 5000; i++) {
		if (is_served_unkicked(p) == expected)
			return;
	}
	fail_msg("the worker %s", expected ? "does not poll" : "polls");
}

/* A worker polls if it may, and not while requests are in the kernel's hands. */
static void test_polls(void **state)
{
	static const struct {
		unsigned poll_us;
		bool busy, polls;
	} cases[] = { { 1000, false, true }, { 1000, true, false }, { 0, false, false } };
	struct peer *p = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		is_busy = cases[i].busy;
		peer_options.poll_us = cases[i].poll_us;
		make_notes(p, VIRTIO_DEVICE_PER_QUEUE, 1);
		start_notes(p);
		check_polls(p, cases[i].polls);
	}
	is_busy = false;
}

/* A ring that is never empty leaves the others of its worker their turn. */
static void test_fair(void **state)
{
	struct peer *p = *state;

	make_notes(p, VIRTIO_DEVICE_PER_QUEUE, 1);
	start_notes(p);
	flood = p;
	driver_kick(p, 0);
	WAIT_IN_LOOP(flooded > 1000);
	driver_submit(p, 1);
	driver_kick(p, 1);
	WAIT_IN_LOOP(driver_used(p, 1) == 2);
	flood = NULL;
}

static void wait_for_reply(struct peer *p)
{
	enum vu_read read = VU_READ_AGAIN;

	vu_msg_clear(&p->msg);
	WAIT_IN_LOOP(read == VU_READ_DONE ||
		(read = vu_msg_read(&p->reader, p->sock, &p->msg, NULL)) == VU_READ_DONE);
}

/* A disk that hangs, with the thread that asked it. */
static void test_hangs(void **state)
{
	const struct vu_vring_state ring[] = { { 0, 0 }, { 1, 0 } };
	struct peer *p = *state;

	peer_start(p);
	toy.mode = TOY_HANG;
	driver_submit(p, 0);
	driver_kick(p, 0);
	WAIT_IN_LOOP(toy.hangs);
	toy.mode = TOY_ECHO;
	/* The front-end is answered, the operator too, and the other worker works. */
	peer_send(p, VU_GET_FEATURES, 0, NULL, 0, NULL, 0);
	wait_for_reply(p);
	backend_log_stats(p->backend);
	assert_logged("queue 0: 0 requests served, published by 0 index updates, 0 calls to the "
		      "driver, 1 in flight");
	driver_submit(p, 1);
	driver_kick(p, 1);
	WAIT_IN_LOOP(driver_used(p, 1) == 1);
	peer_send(p, VU_GET_VRING_BASE, 0, &ring[1], sizeof(ring[1]), NULL, 0);
	wait_for_reply(p);
	assert_int_equal(p->msg.payload.state.num, 1);
	/* What needs all workers waits, and delays no other queue. */
	backend_reload(p->backend);
	peer_send(p, VU_GET_FEATURES, 0, NULL, 0, NULL, 0);
	wait_for_reply(p);
	assert_int_equal(toy.reloads, 0);
	peer_send(p, VU_GET_VRING_BASE, 0, &ring[0], sizeof(ring[0]), NULL, 0);
	peer_run_loop();
	assert_true(toy.hangs);
	eventfd_write(toy.gate, 1);
	wait_for_reply(p);
	assert_int_equal(p->msg.payload.state.num, 1);
	assert_int_equal(driver_used(p, 0), 1);
	WAIT_IN_LOOP(toy.reloads == 1);
}

/* The front-end fills the eventfd that the worker calls it by: a stop is answered all the same. */
static void test_full_call(void **state)
{
	const struct vu_vring_state ring = { 0, 0 };
	autofd call = eventfd(0, EFD_CLOEXEC);
	struct peer *p = *state;

	peer_start(p);
	assert_int_equal(eventfd_write(call, UINT64_MAX - 1), 0);
	assert_int_equal(peer_ack_fd(p, VU_SET_VRING_CALL, 0, call), 0);
	driver_submit(p, 0);
	driver_kick(p, 0);
	WAIT_IN_LOOP(driver_used(p, 0) == 1);
	peer_send(p, VU_GET_VRING_BASE, 0, &ring, sizeof(ring), NULL, 0);
	wait_for_reply(p);
	assert_int_equal(p->msg.payload.state.num, 1);
	peer_setup_ring(p, 0, 1);
	driver_round_trip(p, 0);
}

static int setup(void **state)
{
	return peer_setup_workers(state, 2);
}

static int teardown(void **state)
{
	return peer_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_spread),
		TEST(test_cpus),
		TEST(test_idle),
		TEST(test_broken_polled),
		TEST(test_polls),
		TEST(test_fair),
		TEST(test_hangs),
		TEST(test_full_call),
	};

	return cmocka_run_group_tests_name("workers", tests, NULL, NULL);
}
