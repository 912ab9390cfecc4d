/* SPDX-License-Identifier: Apache-2.0 */
/* What would wait for ever in silence: kicks that cannot be seen, memory that is not shared. */
#include "tests/daemon/agent.h"

#include <sys/epoll.h>
#include <sys/syscall.h>

#include "daemon/session/backend_impl.h"

/* In the place of the C library's: the next so many additions find no room. */
static _Atomic unsigned full;

int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
	if (op == EPOLL_CTL_ADD && full && full--) {
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_epoll_ctl, epoll, op, fd, event);
}

static bool needs_reset(struct peer *p)
{
	return peer_ask(p, VU_GET_STATUS, NULL, 0) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

static void test_waits_unsaid_kick_that_cannot_be_seen(void **state)
{
	struct peer *p = *state;

	peer_negotiate(p);
	peer_share_memory(p);
	peer_setup_ring(p, 0, 0);
	full = 1;
	peer_enable(p, 0, true);
	peer_run();
	assert_int_equal(full, 0);
	assert_logged("queue 0: broken: the kick fd cannot be waited for: No space left on device");
	assert_int_equal(eventfd_take(p->err[0]), 1);
	assert_true(needs_reset(p));
	/* Taken back, it runs again. */
	peer_get_base(p, 0);
	peer_setup_ring(p, 0, 0);
	driver_round_trip(p, 0);
}

static struct virtio_watch kept;

static void on_ready(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	eventfd_t count;

	eventfd_read(w->fd, &count);
}

static void watch_kept(struct virtio_device *d, struct vq *q)
{
	virtio_watch(d, q, &kept, EPOLLIN);
}

/*
 * Closes a file that is open elsewhere, so that the whole set must be made anew: which fails at
 * first.
 */
static void close_and_forget(struct virtio_device *d, struct vq *q)
{
	close(kept.fd);
	full = 1;
	virtio_watch(d, q, &kept, 0);
}

static void test_waits_unsaid_set_that_cannot_be_renewed(void **state)
{
	static const struct agent_mode one = AGENT_ONE;
	struct peer *p = *state;
	autofd elsewhere = -1;

	agent_make(p, &one);
	agent_start(p);
	kept = (struct virtio_watch){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.ready = on_ready,
	};
	elsewhere = dup(kept.fd);
	agent_do(p, 0, watch_kept);
	agent_do(p, 0, close_and_forget);
	for (unsigned i = 0; i < 2 * AGENT_QUEUES; i++) {
		uint16_t used = driver_used(p, i % AGENT_QUEUES);

		driver_submit(p, i % AGENT_QUEUES);
		driver_kick(p, i % AGENT_QUEUES);
		WAIT_IN_LOOP(driver_used(p, i % AGENT_QUEUES) != used);
	}
	assert_int_equal(full, 0);
	assert_logged("cannot make an epoll set: No space left on device");
	peer_disconnect(p);
}

#define NOT_SHARED "share=on"

static void quick(struct peer *p)
{
	peer_options.quiet_ms = 1;
	peer_disconnect(p);
	peer_make_backend(p, &toy_ops);
	peer_connect(p);
}

/* Returns the timer's rounds: enough for what there is to say. */
static void rounds(struct peer *p)
{
	unsigned turns = 0;

	while (p->backend->quiet && turns++ < 100)
		g_main_context_iteration(NULL, TRUE);
	peer_run();
}

static void test_waits_unsaid_no_memory(void **state)
{
	struct peer *p = *state;

	quick(p);
	peer_negotiate(p);
	peer_setup_ring(p, 0, 0);
	peer_setup_ring(p, 1, 0);
	peer_enable(p, 0, true);
	peer_enable(p, 1, true);
	rounds(p);
	assert_false(log_has(NOT_SHARED));
	driver_kick(p, 1);
	WAIT_IN_LOOP(log_has(NOT_SHARED));
	assert_logged("queue 1: is kicked, but the front-end has shared no memory");
	/* Once for a connection. */
	assert_null(p->backend->quiet);
	log_clear();
	driver_kick(p, 0);
	peer_enable(p, 0, true);
	assert_null(p->backend->quiet);
	/* Memory makes it run all the same. */
	peer_share_memory(p);
	driver_round_trip(p, 0);
	assert_false(log_has(NOT_SHARED));
}

static void index_that_does_not_move(struct peer *p, uint64_t features)
{
	peer_negotiate(p);
	assert_int_equal(peer_ack_u64(p, VU_SET_FEATURES, DRIVER_FEATURES | features), 0);
	peer_share_memory(p);
	peer_setup_ring(p, 0, features ? 0x80008000 : 0);
	peer_enable(p, 0, true);
	driver_kick(p, 0);
	WAIT_IN_LOOP(pool_queue_kicks(p->backend->pool, 0) == 1);
	/* The front-end's, that of all which it starts. */
	rounds(p);
	assert_false(log_has(NOT_SHARED));
	driver_kick(p, 0);
	WAIT_IN_LOOP(log_has(NOT_SHARED));
	assert_logged("queue 0: was kicked, but its available index does not move");
	peer_disconnect(p);
	assert_null(p->backend->quiet);
	eventfd_take(p->kick[0]); /* or the next ring starts with a kick */
	log_clear();
	peer_connect(p);
}

static void test_waits_unsaid_index_that_does_not_move(void **state)
{
	quick(*state);
	index_that_does_not_move(*state, 0);
	index_that_does_not_move(*state, VU_BIT(VIRTIO_F_RING_PACKED));
}

/* A front-end that connects again hands on kicks of requests that were answered. */
static void test_resumed_ring_is_not_named(void **state)
{
	struct peer *p = *state;

	quick(p);
	peer_start(p);
	driver_round_trip(p, 0);
	peer_setup_ring(p, 0, peer_get_base(p, 0));
	peer_enable(p, 0, true);
	for (unsigned i = 1; i <= 2; i++) {
		driver_kick(p, 0);
		WAIT_IN_LOOP(pool_queue_kicks(p->backend->pool, 0) >= i);
	}
	rounds(p);
	assert_false(log_has(NOT_SHARED));
}

/* A driver may leave a queue alone, whose vring its front-end kicks all the same. */
static void test_unused_ring_is_not_named(void **state)
{
	struct peer *p = *state;

	quick(p);
	peer_start(p);
	driver_round_trip(p, 1);
	for (unsigned i = 1; i <= 2; i++) {
		driver_kick(p, 0);
		WAIT_IN_LOOP(pool_queue_kicks(p->backend->pool, 0) >= i);
	}
	rounds(p);
	assert_false(log_has(NOT_SHARED));
	/* What the last front-end's guest did says nothing of the next one's memory. */
	peer_disconnect(p);
	eventfd_take(p->kick[0]);
	peer_connect(p);
	index_that_does_not_move(p, 0);
}

static void test_served_ring_is_not_named(void **state)
{
	struct peer *p = *state;

	quick(p);
	peer_start(p);
	driver_round_trip(p, 0);
	/* One after the other: two at once may be seen as one, or as two. */
	for (unsigned i = 1; i <= 2; i++) {
		driver_kick(p, 0);
		WAIT_IN_LOOP(pool_queue_kicks(p->backend->pool, 0) >= i);
	}
	peer_run();
	rounds(p);
	assert_null(p->backend->quiet);
	/* One that has a request, which the device does not take. */
	toy.mode = TOY_HOLD;
	driver_submit(p, 1);
	driver_kick(p, 1);
	WAIT_IN_LOOP(pool_queue_kicks(p->backend->pool, 1) == 1);
	rounds(p);
	assert_false(log_has(NOT_SHARED));
	eventfd_write(toy.release[1], 1);
	peer_run();
}

static void two_queues(struct virtio_device *d)
{
	d->num_queues = 2;
}

/* QEMU with more vCPUs than the back-end has queues leaves at once, and comes twice more. */
static void test_too_few_queues_is_said_once(void **state)
{
	static const struct agent_mode one = AGENT_ONE;
	struct peer *p = *state;

	agent.on_open = two_queues;
	agent_make(p, &one);
	agent.on_open = NULL;
	/* A visit is none of that, nor is a whole session. */
	peer_disconnect(p);
	peer_connect(p);
	peer_ask(p, VU_GET_QUEUE_NUM, NULL, 0);
	peer_negotiate(p);
	peer_disconnect(p);
	assert_false(log_has("--num-queues"));
	for (unsigned i = 0; i < 3; i++) {
		peer_connect(p);
		peer_ask(p, VU_GET_FEATURES, NULL, 0);
		peer_ask(p, VU_GET_PROTOCOL_FEATURES, NULL, 0);
		assert_int_equal(peer_ask(p, VU_GET_QUEUE_NUM, NULL, 0), 2);
		assert_false(log_has("--num-queues"));
		peer_disconnect(p);
		assert_true(log_has("there are only 2 virtqueues") == (i == 0));
		log_clear();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(peer, test_waits_unsaid_kick_that_cannot_be_seen),
		TEST_WITH(peer, test_waits_unsaid_set_that_cannot_be_renewed),
		TEST_WITH(peer, test_waits_unsaid_no_memory),
		TEST_WITH(peer, test_waits_unsaid_index_that_does_not_move),
		TEST_WITH(peer, test_resumed_ring_is_not_named),
		TEST_WITH(peer, test_unused_ring_is_not_named),
		TEST_WITH(peer, test_served_ring_is_not_named),
		TEST_WITH(peer, test_too_few_queues_is_said_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
