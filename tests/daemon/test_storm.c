/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drivers that never pause, a thread each, while the front-end stops and starts rings, exchanges
 * fds and memory, and goes away. A driver sleeps until it is called, so that a call or a kick that
 * is lost shows as a wait that never ends; and it looks at what each request brought back.
 */
#include "tests/daemon/peer.h"

#include <sys/epoll.h>

#define OUT_MAX 7 /* of RING_SIZE descriptors each takes two */
#define ROUNDS 60
#define CALL_TIMEOUT_MS 60000

struct load {
	struct peer *peer;
	unsigned index;
	GThread *thread;
	int calls; /* epoll: all call fds there ever were */
	int quit; /* eventfd, in it */
	_Atomic int kick;
	_Atomic bool stop, abandoned;
	uint16_t seen;
	_Atomic unsigned served;
};

static void listen_to(struct load *l, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	assert_int_equal(epoll_ctl(l->calls, EPOLL_CTL_ADD, fd, &event), 0);
}

static void check(const struct load *l, uint16_t n)
{
	const uint8_t *buffer = l->peer->mem + l->index * 0x10000 + 0x3000 + n % RING_SIZE * 16;

	g_assert_cmpmem(buffer, 8, buffer + 8, 8);
}

static void sleep_until_called(struct load *l)
{
	struct epoll_event event;
	eventfd_t count;

	if (epoll_wait(l->calls, &event, 1, CALL_TIMEOUT_MS) <= 0)
		g_error("queue %u: neither served nor called", l->index);
	if (event.data.fd != l->quit)
		eventfd_read(event.data.fd, &count);
}

static void *run_load(void *opaque)
{
	struct load *l = opaque;
	struct peer *p = l->peer;

	for (;;) {
		bool submitted = false;

		while (l->seen != driver_used(p, l->index)) {
			check(l, l->seen++);
			l->served++;
		}
		if (l->abandoned || (l->stop && l->seen == p->avail[l->index]))
			return NULL;
		while (!l->stop && (uint16_t)(p->avail[l->index] - l->seen) < OUT_MAX) {
			driver_submit(p, l->index);
			submitted = true;
		}
		/* The request before the look at the fd: see new_kick(). */
		shm_full_barrier();
		if (submitted)
			eventfd_write(l->kick, 1);
		else
			sleep_until_called(l);
	}
}

static void start_load(struct load *l, struct peer *p, unsigned index)
{
	*l = (struct load){
		.peer = p,
		.index = index,
		.calls = epoll_create1(EPOLL_CLOEXEC),
		.quit = eventfd(0, EFD_CLOEXEC),
		.kick = p->kick[index],
		.seen = driver_used(p, index),
	};
	listen_to(l, l->quit);
	listen_to(l, p->call[index]);
	l->thread = g_thread_new("driver", run_load, l);
}

static void end_load(struct load *l, bool abandon)
{
	l->abandoned = abandon;
	l->stop = true;
	eventfd_write(l->quit, 1);
	g_thread_join(l->thread);
	close(l->calls);
	close(l->quit);
}

static void stop_and_start(struct load *l)
{
	struct peer *p = l->peer;
	uint32_t base = peer_get_base(p, l->index);

	assert_int_equal(driver_used(p, l->index), (uint16_t)base);
	assert_int_equal(peer_ack_state(p, VU_SET_VRING_BASE, l->index, base), 0);
	assert_int_equal(peer_ack_fd(p, VU_SET_VRING_KICK, l->index, l->kick), 0);
}

static void disable_and_enable(struct load *l)
{
	peer_enable(l->peer, l->index, false);
	peer_enable(l->peer, l->index, true);
}

static void change_memory(struct load *l)
{
	peer_share_memory(l->peer);
}

/* The old fd stays open: the driver hears both. */
static GArray *old_fds;

static void new_call(struct load *l)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	g_array_append_val(old_fds, l->peer->call[l->index]);
	l->peer->call[l->index] = fd;
	listen_to(l, fd);
	assert_int_equal(peer_ack_fd(l->peer, VU_SET_VRING_CALL, l->index, fd), 0);
}

static void no_call_for_a_while(struct load *l)
{
	assert_int_equal(peer_ack_fd(l->peer, VU_SET_VRING_CALL, l->index, -1), 0);
	new_call(l);
}

/* Makes a new kick: the driver may have kicked the old one since the ring runs with the new one. */
static void new_kick(struct load *l)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	g_array_append_val(old_fds, l->peer->kick[l->index]);
	l->peer->kick[l->index] = fd;
	assert_int_equal(peer_ack_fd(l->peer, VU_SET_VRING_KICK, l->index, fd), 0);
	l->kick = fd;
	shm_full_barrier();
	eventfd_write(fd, 1);
}

static void new_err(struct load *l)
{
	assert_int_equal(
		peer_ack_fd(l->peer, VU_SET_VRING_ERR, l->index, l->peer->err[l->index]), 0);
}

static void configure(struct load *l)
{
	const struct {
		struct vu_config header;
		uint8_t data[4];
	} config = { { 4, 4, 0 }, { 1, 2, 3, 4 } };

	toy.writes = 0;
	assert_int_equal(peer_ack(l->peer, VU_SET_CONFIG, &config, sizeof(config), NULL, 0), 0);
	assert_int_equal(toy.writes, 1);
	backend_reload(l->peer->backend);
	backend_log_stats(l->peer->backend);
	peer_run();
}

static void (*const actions[])(struct load *) = {
	stop_and_start,
	disable_and_enable,
	change_memory,
	new_call,
	no_call_for_a_while,
	new_kick,
	new_err,
	configure,
};

static void close_old_fds(void)
{
	for (unsigned i = 0; i < old_fds->len; i++)
		close(g_array_index(old_fds, int, i));
	g_array_set_size(old_fds, 0);
}

static void storm(struct peer *p)
{
	struct load load[TOY_QUEUES];

	old_fds = g_array_new(FALSE, FALSE, sizeof(int));
	peer_start(p);
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		start_load(&load[i], p, i);
	for (unsigned n = 0; n < ROUNDS; n++) {
		struct load *l = &load[n % TOY_QUEUES];

		actions[n / TOY_QUEUES % G_N_ELEMENTS(actions)](l);
		/* It goes on as before. */
		if (n % 8 == 0) {
			unsigned served = l->served;

			WAIT_IN_LOOP(l->served > served + 2 * OUT_MAX);
		}
	}
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		end_load(&load[i], false);
	close_old_fds();
	/* All of it was served once. */
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		assert_int_equal((uint16_t)load[i].served, p->avail[i]);
		driver_round_trip(p, i);
	}
	assert_false(log_has("broken"));
	assert_false(log_has("refused"));

	/* The front-end dies under load, and another one starts all over. */
	for (unsigned n = 0; n < 5; n++) {
		for (unsigned i = 0; i < TOY_QUEUES; i++)
			start_load(&load[i], p, i);
		WAIT_IN_LOOP(load[0].served && load[1].served);
		peer_disconnect(p);
		assert_int_equal(p->closed, n + 1);
		for (unsigned i = 0; i < TOY_QUEUES; i++) {
			end_load(&load[i], true);
			driver_reset(p, i);
		}
		peer_connect(p);
		peer_start(p);
		for (unsigned i = 0; i < TOY_QUEUES; i++)
			driver_round_trip(p, i);
	}
	g_array_unref(old_fds);
}

static void test_storm(void **state)
{
	storm(*state);
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
		TEST_WITH(peer, test_storm),
		TEST(test_storm),
	};

	return cmocka_run_group_tests_name("storm", tests, NULL, NULL);
}
