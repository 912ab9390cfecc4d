/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver and device on a thread each, asleep on eventfds whenever they may be. A wake-up that got
 * lost shows as a poll() that times out.
 */
#include "fake.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/util.h"

enum { TOTAL = 30000, RING = 32, TIMEOUT_MS = 10000 };

struct pair {
	struct fake f;
	int kick, call;
	bool stop; /* read by the device after a kick */
	unsigned served;
};

/* Waits until it is signalled; false: nobody did. */
static bool wait_for(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	eventfd_t count;

	return poll(&p, 1, TIMEOUT_MS) == 1 && eventfd_read(fd, &count) == 0;
}

static void call_driver(void *opaque)
{
	struct pair *p = opaque;

	eventfd_write(p->call, 1);
}

static void never_broken(void *opaque, const char *reason)
{
	fail_msg("broken: %s", reason);
}

static void *device(void *opaque)
{
	struct pair *p = opaque;

	while (wait_for(p->kick) && !__atomic_load_n(&p->stop, __ATOMIC_ACQUIRE))
		p->served += fake_serve(&p->f);
	return NULL;
}

/* Publishes n requests at once, and kicks if the device wants it. */
static void add(struct pair *p, unsigned first, unsigned n, bool event_idx)
{
	struct fake *f = &p->f;
	uint16_t old = shm_load16(&f->avail->idx);
	bool kick;

	for (unsigned i = 0; i < n; i++) {
		unsigned d = (first + i) % RING;

		fake_desc(f, d, DATA_ADDR + 16 * d, 16, VRING_DESC_F_WRITE, 0);
		shm_store16(&f->avail->ring[(uint16_t)(old + i) % RING], d);
	}
	shm_store16_release(&f->avail->idx, old + n);
	shm_full_barrier();
	kick = event_idx ? vring_need_event(shm_load16(fake_avail_event(f)), old + n, old)
			 : !(shm_load16(&f->used->flags) & VRING_USED_F_NO_NOTIFY);
	if (kick)
		eventfd_write(p->kick, 1);
}

/* Asks for a call at the next used entry; true if there is one already. */
static bool arm(struct pair *p, bool event_idx)
{
	struct fake *f = &p->f;

	if (event_idx)
		shm_store16(fake_used_event(f), f->seen);
	shm_full_barrier();
	return shm_load16_acquire(&f->used->idx) != f->seen;
}

static unsigned drive(struct pair *p, bool event_idx)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(11);
	unsigned added = 0, reaped = 0;

	while (reaped < TOTAL) {
		unsigned room = MIN(RING - (added - reaped), TOTAL - added);
		unsigned n = g_rand_int_range(rand, 0, room + 1);

		if (n)
			add(p, added, n, event_idx);
		added += n;
		n = fake_reap_all(&p->f);
		reaped += n;
		if (n || added == reaped || arm(p, event_idx))
			continue;
		if (!wait_for(p->call))
			break;
	}
	return reaped;
}

static void run(uint64_t features)
{
	static const struct vq_hooks hooks = { .call = call_driver, .broken = never_broken };
	struct pair p = { 0 };
	pthread_t thread;
	unsigned reaped;

	fake_open(&p.f, false);
	vq_free(p.f.q);
	p.f.q = vq_new(0, p.f.mem, &hooks, &p);
	p.kick = eventfd(0, EFD_CLOEXEC);
	p.call = eventfd(0, EFD_CLOEXEC);
	fake_layout(&p.f, RING, features);
	fake_vq_start(&p.f);
	/* As every owner does after a start. */
	assert_int_equal(fake_serve(&p.f), 0);
	assert_int_equal(pthread_create(&thread, NULL, device, &p), 0);
	reaped = drive(&p, features & EVENT_IDX);
	__atomic_store_n(&p.stop, true, __ATOMIC_RELEASE);
	eventfd_write(p.kick, 1);
	pthread_join(thread, NULL);
	assert_int_equal(reaped, TOTAL);
	assert_int_equal(p.served, TOTAL);
	close(p.kick);
	close(p.call);
	fake_close(&p.f);
}

static void test_event_idx(void **state)
{
	run(EVENT_IDX);
}

static void test_flags(void **state)
{
	run(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_event_idx),
		cmocka_unit_test(test_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
