/* SPDX-License-Identifier: Apache-2.0 */
/* Driver and device on two threads, both asleep when there is nothing to do: no wake-up is lost. */
#include "fake_device.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#define REQUESTS 20000u
#define STUCK_MS 60000

struct driver_threads_test {
	struct fake_device f;
	int kick, call;
	bool stuck; /* the device's side */
};

/* Waits. False: nothing came for far too long. */
static bool wait_for(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t n;

	return poll(&p, 1, STUCK_MS) == 1 && read(fd, &n, sizeof(n)) == sizeof(n);
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

static void device_complete(struct driver_threads_test *w, int head)
{
	fake_push(&w->f, head, 8);
	fake_publish(&w->f);
	if (fake_wants_call(&w->f))
		signal_fd(w->call);
}

static void *device(void *opaque)
{
	struct driver_threads_test *w = opaque;
	unsigned done = 0;

	while (done < REQUESTS && !w->stuck) {
		int head = fake_pop(&w->f);

		if (head >= 0) {
			device_complete(w, head);
			done++;
		} else if (!fake_arm(&w->f)) {
			w->stuck = !wait_for(w->kick);
			fake_disarm(&w->f);
		}
	}
	return NULL;
}

static void run(unsigned size, uint64_t features)
{
	struct driver_threads_test w = { 0 };
	unsigned added = 0, reaped = 0;
	pthread_t thread;

	w.kick = eventfd(0, EFD_CLOEXEC);
	w.call = eventfd(0, EFD_CLOEXEC);
	fake_up(&w.f, size, features);
	assert_int_equal(pthread_create(&thread, NULL, device, &w), 0);
	while (reaped < REQUESTS) {
		unsigned burst = 1 + added % 11;
		void *token;
		uint32_t len;
		int rc;

		while (burst-- > 0 && added < REQUESTS && fake_add(&w.f, 0, 1, 8, added) == 0)
			added++;
		if (driver_ring_publish(w.f.ring))
			signal_fd(w.kick);
		while ((rc = driver_ring_reap(w.f.ring, &token, &len)) == 1) {
			assert_int_equal(GPOINTER_TO_UINT(token), reaped);
			assert_int_equal(len, 8);
			reaped++;
		}
		assert_int_equal(rc, 0);
		if (driver_ring_outstanding(w.f.ring) == 0 || driver_ring_arm(w.f.ring))
			continue;
		assert_true(wait_for(w.call));
		driver_ring_disarm(w.f.ring);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_false(w.stuck);
	fake_down(&w.f);
	close(w.kick);
	close(w.call);
}

static void test_flags(void **state)
{
	run(8, 0);
	run(7, F_PACKED);
}

static void test_event_idx(void **state)
{
	run(8, F_EVENT_IDX);
	run(7, F_EVENT_IDX | F_PACKED);
}

static void test_in_order(void **state)
{
	run(8, F_EVENT_IDX | F_IN_ORDER | F_INDIRECT);
	run(7, F_EVENT_IDX | F_IN_ORDER | F_INDIRECT | F_PACKED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fd_checked(test_flags),
		fd_checked(test_event_idx),
		fd_checked(test_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
