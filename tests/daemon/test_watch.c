/* SPDX-License-Identifier: Apache-2.0 */
/* virtio_watch(): who is called, for what, and until when. */
#include "tests/daemon/agent.h"

static const struct agent_mode modes[] = { AGENT_ONE, AGENT_PAIRS };

#define FDS 3

/* What is watched, on behalf of queue 0 or of the whole device. */
static struct seen {
	struct virtio_watch watch;
	_Atomic unsigned calls;
	_Atomic int thread, queue;
	uint32_t revents;
	bool reads; /* the eventfd, in the callback */
	struct virtio_watch *removes; /* another one, in the callback */
} seen[FDS];
static uint32_t events;

static void on_ready(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct seen *s = container_of(w, struct seen, watch);
	eventfd_t count;

	s->calls++;
	s->thread = gettid();
	s->queue = q ? (int)vq_index(q) : -1;
	s->revents = revents;
	if (s->reads)
		eventfd_read(w->fd, &count);
	if (s->removes)
		virtio_watch(d, q, s->removes, 0);
}

static void watch_all(struct virtio_device *d, struct vq *q)
{
	for (unsigned i = 0; i < FDS; i++)
		virtio_watch(d, q, &seen[i].watch, events);
}

static void watch_first(struct virtio_device *d, struct vq *q)
{
	virtio_watch(d, q, &seen[0].watch, events);
}

static void watch_second(struct virtio_device *d, struct vq *q)
{
	virtio_watch(d, q, &seen[1].watch, events);
}

static void unwatch_first(struct virtio_device *d, struct vq *q)
{
	virtio_watch(d, q, &seen[0].watch, 0);
}

static void signal_all(struct virtio_device *d, struct vq *q)
{
	for (unsigned i = 0; i < FDS; i++)
		eventfd_write(seen[i].watch.fd, 1);
}

static void begin(struct peer *p, const struct agent_mode *mode)
{
	for (unsigned i = 0; i < FDS; i++)
		seen[i] = (struct seen){
			.watch = { .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
				.ready = on_ready },
			.reads = true,
		};
	events = EPOLLIN;
	agent_make(p, mode);
	agent_start(p);
}

static void end(struct peer *p)
{
	peer_disconnect(p);
	for (unsigned i = 0; i < FDS; i++) {
		assert_null(seen[i].watch.core.owner);
		close(seen[i].watch.fd);
	}
}

static void signal_first(struct peer *p)
{
	eventfd_write(seen[0].watch.fd, 1);
	peer_run();
}

/* Runs the test in every mode. */
static void in_modes(void **state, void (*test)(struct peer *p))
{
	for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
		begin(*state, &modes[i]);
		test(*state);
		end(*state);
	}
}

static void level(struct peer *p)
{
	agent_do(p, 0, watch_first);
	assert_int_equal(seen[0].calls, 0);
	signal_first(p);
	assert_int_equal(seen[0].calls, 1);
	assert_int_equal(seen[0].thread, agent.thread[0]);
	assert_int_equal(seen[0].queue, 0);
	assert_int_equal(seen[0].revents, EPOLLIN);
	agent_do(p, 0, unwatch_first);
	signal_first(p);
	assert_int_equal(seen[0].calls, 1);
	/* What came in between is still there. */
	agent_do(p, 0, watch_first);
	assert_int_equal(seen[0].calls, 2);
	/* Other events. */
	events = EPOLLIN | EPOLLOUT | EPOLLET;
	agent_do(p, 0, watch_first);
	assert_int_equal(seen[0].revents, EPOLLOUT);
}

static void test_level(void **state)
{
	in_modes(state, level);
}

static void edge(struct peer *p)
{
	events = EPOLLIN | EPOLLET;
	seen[0].reads = false;
	agent_do(p, 0, watch_first);
	for (unsigned i = 1; i <= 3; i++) {
		signal_first(p);
		assert_int_equal(seen[0].calls, i);
	}
}

static void test_edge(void **state)
{
	in_modes(state, edge);
}

/* Removes the other watch in the first callback, when both have been seen: it may be freed. */
static void removed_when_seen(struct peer *p)
{
	agent_do(p, 0, watch_all);
	seen[0].removes = &seen[1].watch;
	seen[1].removes = &seen[0].watch;
	agent_do(p, 0, signal_all);
	assert_int_equal(seen[0].calls + seen[1].calls, 1);
	assert_int_equal(seen[2].calls, 1);
}

static void test_removed_when_seen(void **state)
{
	in_modes(state, removed_when_seen);
}

/* Checks a watch that removes itself, and could be freed. */
static void removes_itself(struct peer *p)
{
	seen[0].removes = &seen[0].watch;
	agent_do(p, 0, watch_first);
	signal_first(p);
	memset(&seen[0].watch.core, 0xff, sizeof(seen[0].watch.core));
	signal_first(p);
	assert_int_equal(seen[0].calls, 1);
	seen[0].watch.core.owner = NULL;
}

static void test_removes_itself(void **state)
{
	in_modes(state, removes_itself);
}

/* Gives the second watch a new fd with the number of the first one's, which is closed. */
static void take_number(void)
{
	int fd = seen[0].watch.fd;

	close(fd);
	assert_int_equal(dup2(seen[1].watch.fd, fd), fd);
	close(seen[1].watch.fd);
	seen[1].watch.fd = fd;
}

static void check_second(struct peer *p, unsigned calls)
{
	eventfd_write(seen[1].watch.fd, 1);
	peer_run();
	assert_int_equal(seen[0].calls, 0);
	assert_int_equal(seen[1].calls, calls);
}

/* Closes the fd of an active watch, and another watch gets one with the same number. */
static void number_reused(struct peer *p)
{
	agent_do(p, 0, watch_first);
	take_number();
	agent_do(p, 0, watch_second);
	check_second(p, 1);
	agent_do(p, 0, unwatch_first);
	check_second(p, 2);
	seen[0].watch.fd = -1;
}

static void test_number_reused(void **state)
{
	in_modes(state, number_reused);
}

/* Does the same while the file of the closed fd is open elsewhere: epoll goes on watching it. */
static void file_outlives_fd(struct peer *p)
{
	autofd elsewhere = dup(seen[0].watch.fd);

	seen[0].reads = false;
	agent_do(p, 0, watch_first);
	take_number();
	agent_do(p, 0, watch_second);
	agent_do(p, 0, unwatch_first);
	memset(&seen[0].watch, 0xff, sizeof(seen[0].watch));
	eventfd_write(elsewhere, 1);
	check_second(p, 1);
	check_second(p, 2);
	seen[0].watch = (struct virtio_watch){ .fd = -1 };
}

static void test_file_outlives_fd(void **state)
{
	in_modes(state, file_outlives_fd);
}

/* Does the same with a number that is far from the others. */
static void far_number(struct peer *p)
{
	int fd = seen[0].watch.fd;

	seen[0].watch.fd = fcntl(fd, F_DUPFD_CLOEXEC, 900);
	assert_true(seen[0].watch.fd >= 900);
	close(fd);
	agent_do(p, 0, watch_all);
	number_reused(p);
}

static void test_far_number(void **state)
{
	in_modes(state, far_number);
}

/* Uses one struct, whose fd is closed, the watch removed, and set anew with the same number. */
static void same_struct(struct peer *p)
{
	int fd = seen[0].watch.fd;

	agent_do(p, 0, watch_first);
	close(fd);
	agent_do(p, 0, unwatch_first);
	assert_int_equal(dup2(seen[2].watch.fd, fd), fd);
	agent_do(p, 0, watch_first);
	signal_first(p);
	assert_int_equal(seen[0].calls, 1);
}

static void test_same_struct(void **state)
{
	in_modes(state, same_struct);
}

/*
 * Checks that the callback, which can do nothing for a broken queue, is not called again and
 * again.
 */
static void broken(struct peer *p)
{
	unsigned calls;

	seen[0].reads = false;
	agent_do(p, 0, watch_first);
	agent.breaks = true;
	driver_submit(p, 0);
	driver_kick(p, 0);
	peer_run();
	agent.breaks = false;
	signal_first(p);
	calls = seen[0].calls;
	assert_in_range(calls, 1, 2);
	for (unsigned i = 0; i < 10; i++)
		peer_run();
	assert_int_equal(seen[0].calls, calls);
	/* What is new is told. */
	signal_first(p);
	assert_int_equal(seen[0].calls, calls + 1);
	/* The other queue of the group runs on; and when this one runs again, all is as it was. */
	peer_get_base(p, 0);
	assert_non_null(seen[0].watch.core.owner);
	driver_reset(p, 0);
	seen[0].reads = true;
	peer_setup_ring(p, 0, 0);
	peer_run();
	calls = seen[0].calls;
	assert_int_equal(eventfd_take(seen[0].watch.fd), 0);
	signal_first(p);
	assert_int_equal(seen[0].calls, calls + 1);
}

static void test_broken(void **state)
{
	in_modes(state, broken);
}

/* Watches last as long as any queue of the group runs, whichever it is. */
static void stop(struct peer *p)
{
	agent_do(p, 0, watch_first);
	peer_get_base(p, 0);
	signal_first(p);
	assert_int_equal(seen[0].calls, 1);
	assert_int_not_equal(seen[0].queue, 0);
	for (unsigned i = 1; i < AGENT_QUEUES; i++)
		peer_get_base(p, i);
	signal_first(p);
	assert_int_equal(seen[0].calls, 1);
	assert_null(seen[0].watch.core.owner);
	/* It does not come back by itself. */
	peer_setup_ring(p, 0, peer_get_base(p, 0));
	peer_run();
	assert_int_equal(seen[0].calls, 1);
	agent_do(p, 0, watch_first);
	assert_int_equal(seen[0].calls, 2);
}

static void test_stop(void **state)
{
	in_modes(state, stop);
}

/* Checks an fd that cannot be watched. */
static void impossible(struct peer *p)
{
	int fd = seen[0].watch.fd;

	seen[0].watch.fd = p->memfd;
	agent_do(p, 0, watch_first);
	assert_logged("queue 0: broken: cannot wait for fd");
	assert_null(seen[0].watch.core.owner);
	seen[0].watch.fd = fd;
	/* Nothing would come of it: the driver is told. */
	assert_true(peer_ask(p, VU_GET_STATUS, NULL, 0) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void test_impossible(void **state)
{
	in_modes(state, impossible);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(peer, test_level),
		TEST_WITH(peer, test_edge),
		TEST_WITH(peer, test_removed_when_seen),
		TEST_WITH(peer, test_removes_itself),
		TEST_WITH(peer, test_number_reused),
		TEST_WITH(peer, test_far_number),
		TEST_WITH(peer, test_file_outlives_fd),
		TEST_WITH(peer, test_same_struct),
		TEST_WITH(peer, test_broken),
		TEST_WITH(peer, test_stop),
		TEST_WITH(peer, test_impossible),
	};

	return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
