/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver and device on a thread each, asleep whenever they may be: on eventfds, as in life, or in a
 * loop, which wakes up soon enough to meet the other side in the few instructions in which a
 * wake-up can be lost. A lost one shows as a wait that times out.
 */
#include "fake.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/util.h"

enum { TOTAL = 30000, TOTAL_LOOP = 60000, RING = 32, TIMEOUT_MS = 60000 };

struct bell {
	int fd; /* -1: the counts */
	unsigned count, seen;
};

struct pair {
	struct fake f;
	struct bell kick, call;
	bool stop; /* read by the device after a kick */
	unsigned total, served, device_seed;
};

/* Lingers for a random while of at most so many turns, a few hundred nanoseconds. */
static void linger(unsigned *seed, unsigned max)
{
	for (int i = rand_r(seed) % max; i; i--)
		__asm__ volatile("" : : : "memory");
}

static void ring_bell(struct bell *b)
{
	if (b->fd >= 0)
		eventfd_write(b->fd, 1);
	else
		__atomic_add_fetch(&b->count, 1, __ATOMIC_RELEASE);
}

/* Waits until it is rung; false: it was not in time. */
static bool wait_for(struct bell *b)
{
	gint64 end = g_get_monotonic_time() + TIMEOUT_MS * 1000;
	struct pollfd p = { .fd = b->fd, .events = POLLIN };
	eventfd_t got;
	unsigned count;

	if (b->fd >= 0)
		return poll(&p, 1, TIMEOUT_MS) == 1 && eventfd_read(b->fd, &got) == 0;
	while ((count = __atomic_load_n(&b->count, __ATOMIC_ACQUIRE)) == b->seen) {
		if (g_get_monotonic_time() > end)
			return false;
		sched_yield();
	}
	b->seen = count;
	return true;
}

static void call_driver(void *opaque)
{
	struct pair *p = opaque;

	ring_bell(&p->call);
	/* So that the driver's answer meets the device at every point of its way into idleness. */
	if (p->call.fd < 0)
		linger(&p->device_seed, 800);
}

static void never_broken(void *opaque, const char *reason)
{
	fail_msg("broken: %s", reason);
}

static void *device(void *opaque)
{
	struct pair *p = opaque;

	while (wait_for(&p->kick) && !__atomic_load_n(&p->stop, __ATOMIC_ACQUIRE))
		p->served += fake_serve(&p->f);
	return NULL;
}

static unsigned drive(struct pair *p)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(11);
	/* In a loop, go idle all the time. */
	unsigned max = p->kick.fd >= 0 ? RING : 2;
	unsigned added = 0, reaped = 0, seed = 1;

	while (reaped < p->total) {
		unsigned room = MIN(RING - (added - reaped), p->total - added);
		unsigned n = g_rand_int_range(rand, 0, MIN(room, max) + 1);

		linger(&seed, 800);
		if (n && fake_publish(&p->f, added, n))
			ring_bell(&p->kick);
		added += n;
		n = fake_reap_all(&p->f);
		reaped += n;
		if (n || added == reaped || fake_arm(&p->f))
			continue;
		if (!wait_for(&p->call))
			break;
	}
	return reaped;
}

static void run(uint64_t features, bool loop)
{
	static const struct vq_hooks hooks = { .call = call_driver, .broken = never_broken };
	struct pair p = { .total = loop ? TOTAL_LOOP : TOTAL };
	pthread_t thread;
	unsigned reaped;

	fake_open(&p.f, false);
	vq_free(p.f.q);
	p.f.q = vq_new(0, p.f.mem, &hooks, &p);
	p.kick.fd = loop ? -1 : eventfd(0, EFD_CLOEXEC);
	p.call.fd = loop ? -1 : eventfd(0, EFD_CLOEXEC);
	fake_layout(&p.f, RING, features);
	fake_vq_start(&p.f);
	/* As every owner does after a start. */
	assert_int_equal(fake_serve(&p.f), 0);
	assert_int_equal(pthread_create(&thread, NULL, device, &p), 0);
	reaped = drive(&p);
	__atomic_store_n(&p.stop, true, __ATOMIC_RELEASE);
	ring_bell(&p.kick);
	pthread_join(thread, NULL);
	assert_int_equal(reaped, p.total);
	assert_int_equal(p.served, p.total);
	fd_close(&p.kick.fd);
	fd_close(&p.call.fd);
	fake_close(&p.f);
}

static void test_event_idx(void **state)
{
	run(EVENT_IDX, false);
}

static void test_flags(void **state)
{
	run(0, false);
}

static void test_event_idx_loop(void **state)
{
	run(EVENT_IDX, true);
}

static void test_flags_loop(void **state)
{
	run(0, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_event_idx),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_event_idx_loop),
		cmocka_unit_test(test_flags_loop),
	};

	return fake_run_both(tests);
}
