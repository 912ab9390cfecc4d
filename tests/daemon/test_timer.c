/* SPDX-License-Identifier: Apache-2.0 */
/* virtio_timer() and virtio_wakeup: on a queue's thread, when due, and over stop and start. */
#include "tests/daemon/agent.h"

static const struct agent_mode modes[] = { AGENT_ONE, AGENT_PAIRS };

#define TIMERS 100

static struct tick {
	struct virtio_timer timer;
	_Atomic unsigned calls;
	int64_t early; /* how much it came before its time: not at all */
} ticks[TIMERS];
static unsigned order[TIMERS]; /* in which they expired */
static _Atomic unsigned n_order;
static int64_t base;
static struct virtio_timer *disarmed; /* by the next one that expires */

static void on_expired(struct virtio_device *d, struct vq *q, struct virtio_timer *t)
{
	struct tick *tick = container_of(t, struct tick, timer);

	g_assert_null(t->core.owner);
	tick->early = MAX(0, t->core.at - g_get_monotonic_time());
	order[n_order] = tick - ticks;
	tick->calls++;
	if (disarmed)
		virtio_timer(d, q, g_steal_pointer(&disarmed), -1);
	n_order++;
}

/* Arms each once, in a mixed order: every 37th of 100. */
static void arm_all(struct virtio_device *d, struct vq *q)
{
	base = g_get_monotonic_time();
	for (unsigned i = 0; i < TIMERS; i++) {
		unsigned n = i * 37 % TIMERS;

		virtio_timer(d, q, &ticks[n].timer, base + n * 100);
	}
}

/* Disarms those that are a multiple of 3, and arranges those of 5 anew, at the end. */
static void rearrange(struct virtio_device *d, struct vq *q)
{
	arm_all(d, q);
	for (unsigned i = 0; i < TIMERS; i++) {
		if (i % 3 == 0)
			virtio_timer(d, q, &ticks[i].timer, -1);
		else if (i % 5 == 0)
			virtio_timer(d, q, &ticks[i].timer, base + (TIMERS + i) * 100);
	}
}

static void arm_far(struct virtio_device *d, struct vq *q)
{
	virtio_timer(d, q, &ticks[0].timer, g_get_monotonic_time() + INT64_C(86400) * 1000000);
}

static void arm_past(struct virtio_device *d, struct vq *q)
{
	virtio_timer(d, q, &ticks[0].timer, 0);
	virtio_timer(d, q, &ticks[1].timer, 1);
	disarmed = &ticks[1].timer;
}

static void begin(struct peer *p, const struct agent_mode *mode)
{
	for (unsigned i = 0; i < TIMERS; i++)
		ticks[i] = (struct tick){ .timer.expired = on_expired };
	n_order = 0;
	agent_make(p, mode);
	agent_start(p);
}

static void in_modes(void **state, void (*test)(struct peer *p))
{
	for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
		begin(*state, &modes[i]);
		test(*state);
		peer_disconnect(*state);
		for (unsigned n = 0; n < TIMERS; n++)
			assert_null(ticks[n].timer.core.owner);
	}
}

static void check_order(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(ticks[order[i]].early, 0);
		if (i)
			assert_true(
				ticks[order[i]].timer.core.at >= ticks[order[i - 1]].timer.core.at);
	}
}

static void in_order(struct peer *p)
{
	agent_do(p, 0, arm_all);
	WAIT_UNTIL(n_order == TIMERS);
	check_order(TIMERS);
}

static void test_in_order(void **state)
{
	in_modes(state, in_order);
}

static void rearranged(struct peer *p)
{
	agent_do(p, 1, rearrange);
	WAIT_UNTIL(n_order == TIMERS - (TIMERS + 2) / 3);
	peer_run();
	for (unsigned i = 0; i < TIMERS; i++)
		assert_int_equal(ticks[i].calls, i % 3 != 0);
	check_order(n_order);
}

static void test_rearranged(void **state)
{
	in_modes(state, rearranged);
}

/* Disarms the second in the first's callback, when both have expired. */
static void disarms(struct peer *p)
{
	agent_do(p, 0, arm_past);
	WAIT_UNTIL(n_order == 1);
	peer_run();
	assert_int_equal(ticks[0].calls, 1);
	assert_int_equal(ticks[1].calls, 0);
}

static void test_disarms(void **state)
{
	in_modes(state, disarms);
}

/* Checks that a timer ends with the last queue of its group, and comes with none. */
static void stopped(struct peer *p)
{
	agent_do(p, 0, arm_far);
	peer_get_base(p, 0);
	assert_non_null(ticks[0].timer.core.owner);
	for (unsigned i = 1; i < AGENT_QUEUES; i++)
		peer_get_base(p, i);
	assert_null(ticks[0].timer.core.owner);
}

static void test_stopped(void **state)
{
	in_modes(state, stopped);
}

/* Wake-ups. */

static struct virtio_wakeup wakeup;
static _Atomic unsigned signals, runs, seen;
static _Atomic int ran_on;

static void on_wakeup(struct virtio_device *d, struct vq *q, struct virtio_wakeup *w)
{
	g_assert_true(vq_index(q) == 1);
	ran_on = gettid();
	seen = signals;
	runs++;
}

static void init(struct virtio_device *d, struct vq *q)
{
	virtio_wakeup_init(d, q, &wakeup);
}

#define SIGNALS 20000

static void *signal_often(void *opaque)
{
	for (unsigned i = 0; i < SIGNALS; i++) {
		signals++;
		virtio_wakeup_signal(&wakeup);
	}
	return NULL;
}

static void begin_wakeup(struct peer *p)
{
	wakeup = (struct virtio_wakeup){ .run = on_wakeup };
	signals = runs = seen = 0;
	agent_do(p, 1, init);
}

/* Signals however often: after the last one run() has seen what came before it. */
static void foreign_threads(struct peer *p)
{
	pthread_t threads[2];

	begin_wakeup(p);
	for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, signal_often, NULL), 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
		pthread_join(threads[i], NULL);
	WAIT_UNTIL(seen == 2 * SIGNALS);
	assert_in_range(runs, 1, 2 * SIGNALS);
	assert_int_equal(ran_on, agent.thread[1]);
}

static void test_foreign_threads(void **state)
{
	in_modes(state, foreign_threads);
}

static void signalled_while_stopped(struct peer *p)
{
	begin_wakeup(p);
	virtio_wakeup_signal(&wakeup);
	peer_run();
	assert_int_equal(runs, 1);
	for (unsigned i = 0; i < AGENT_QUEUES; i++)
		peer_get_base(p, i);
	for (unsigned i = 0; i < 3; i++)
		virtio_wakeup_signal(&wakeup);
	peer_run();
	peer_setup_ring(p, 0, peer_get_base(p, 0));
	peer_run();
	assert_int_equal(runs, 1);
	peer_setup_ring(p, 1, peer_get_base(p, 1));
	peer_run();
	assert_int_equal(runs, 2);
	virtio_wakeup_signal(&wakeup);
	peer_run();
	assert_int_equal(runs, 3);
}

static void test_signalled_while_stopped(void **state)
{
	in_modes(state, signalled_while_stopped);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(peer, test_in_order),
		TEST_WITH(peer, test_rearranged),
		TEST_WITH(peer, test_disarms),
		TEST_WITH(peer, test_stopped),
		TEST_WITH(peer, test_foreign_threads),
		TEST_WITH(peer, test_signalled_while_stopped),
	};

	return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
