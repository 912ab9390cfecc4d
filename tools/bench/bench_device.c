/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Round trips. The time of one goes from before the kick until the call was read and the request
 * reaped; with --echo until what was sent has come back. A request is reclaimed before the next one
 * then, as drivers do.
 */
#include "tools/bench/bench_device.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/sock.h"
#include "base/util.h"
#include "tools/block/blk_driver.h"
#include "tools/block/cancel.h"
#include "tools/virtioctl.h"

#define QUEUE_SIZE 128
#define MAX_QUEUES 8
#define MEMORY (1u << 20)
/* Buffers for what comes back; half of them are given at a time, so that kicks for them are few. */
#define ANSWERS 32
#define NS_PER_S 1000000000.0

struct trips {
	struct vu_front *f;
	const struct bench_options *o;
	const struct bench_trip *trip;
	struct bench_result *r;
	struct driver_mem *mem;
	struct driver_ring *ring[MAX_QUEUES];
	int kick[MAX_QUEUES];
	int call; /* of all queues */
	unsigned n_started;
	struct driver_buf out, in, answer; /* in: both buffers */
	bool done; /* the request is complete */
	unsigned answering; /* buffers that the device has */
	uint32_t len, answered; /* bytes that it wrote; that came back */
};

static bool fail(GError **error, const char *why)
{
	return error_set(error, CTL_ERROR, CTL_ERROR_FAILED, "%s", why);
}

/* Setting up. */

static bool make_queue(struct trips *t, unsigned i, uint64_t features, GError **error)
{
	struct vu_ring_setup setup = { .call = t->call, .err = -1 };

	t->ring[i] = driver_ring_new(
		t->mem, t->o->queue_size ? t->o->queue_size : QUEUE_SIZE, features, error);
	t->kick[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!t->ring[i] || t->kick[i] < 0)
		return t->ring[i] ? fail(error, "cannot make an eventfd") : false;
	setup.size = driver_ring_size(t->ring[i]);
	setup.base = driver_ring_initial_base(t->ring[i]);
	setup.kick = t->kick[i];
	driver_ring_addresses(t->ring[i], &setup.desc, &setup.avail, &setup.used);
	t->n_started++;
	return vu_front_setup_ring(t->f, i, &setup, error) &&
		vu_front_enable_ring(t->f, i, true, error);
}

static struct driver_buf make_buffer(struct trips *t, uint32_t len)
{
	return (struct driver_buf){ driver_mem_alloc(t->mem, MAX(len, 1), 64), len };
}

static bool set_up(struct trips *t, GError **error)
{
	uint64_t features =
		vu_front_properties(t->f)->features & (BLK_RING_FEATURES | t->trip->features);
	struct bench_result *r = t->r;
	uint8_t status;

	t->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	t->mem = driver_mem_new(MEMORY, error);
	if (!t->mem || t->call < 0)
		return t->mem ? fail(error, "cannot make an eventfd") : false;
	if (!blk_choose_feature(&features, VIRTIO_F_RING_PACKED, t->o->packed, "--packed", error) ||
		!blk_choose_feature(&features, VIRTIO_RING_F_INDIRECT_DESC, t->o->indirect,
			"--indirect", error) ||
		!blk_choose_feature(&features, VIRTIO_RING_F_EVENT_IDX, t->o->event_idx,
			"--event-idx", error) ||
		!blk_driver_begin(t->f, features, t->mem, &status, error))
		return false;
	for (unsigned i = 0; i < t->trip->queues; i++) {
		if (!make_queue(t, i, features, error))
			return false;
	}
	t->out = make_buffer(t, t->trip->out_len);
	t->in = make_buffer(t, t->trip->in_len[0] + t->trip->in_len[1]);
	t->answer = make_buffer(t, t->trip->answer_len);
	for (unsigned i = 0; i < t->trip->queues; i++)
		driver_ring_disarm(t->ring[i]);
	if (t->trip->fill)
		t->trip->fill(driver_mem_host(t->mem, t->out.addr, t->out.len));
	r->queue_size = driver_ring_size(t->ring[0]);
	r->packed = features >> VIRTIO_F_RING_PACKED & 1;
	r->indirect = features >> VIRTIO_RING_F_INDIRECT_DESC & 1;
	r->event_idx = features >> VIRTIO_RING_F_EVENT_IDX & 1;
	return vu_front_set_status(t->f, status | VIRTIO_CONFIG_S_DRIVER_OK, error);
}

static void tear_down(struct trips *t)
{
	blk_driver_end(t->f, 0, t->n_started);
	for (unsigned i = 0; i < MAX_QUEUES; i++) {
		driver_ring_free(t->ring[i]);
		fd_close(&t->kick[i]);
	}
	fd_close(&t->call);
	driver_mem_free(t->mem);
}

/* One round trip. */

static void kick(struct trips *t, unsigned queue)
{
	if (!driver_ring_publish(t->ring[queue]))
		return;
	eventfd_write(t->kick[queue], 1);
	t->r->kicks++;
}

static bool reap(struct trips *t, GError **error)
{
	uint32_t len;
	void *token;
	int rc = 0;

	if (!t->done && (rc = driver_ring_reap(t->ring[t->trip->queue], &token, &len)) == 1) {
		t->done = true;
		t->len = len;
	}
	while (rc >= 0 && t->o->echo &&
		(rc = driver_ring_reap(t->ring[t->trip->answer_queue], &token, &len)) == 1) {
		t->answering--;
		t->answered += len;
	}
	return rc >= 0 || fail(error, "the device returns a request that it does not have");
}

/* Gives the device buffers for what comes back; what is in them does not matter. */
static void expect_answers(struct trips *t)
{
	struct driver_ring *ring = t->ring[t->trip->answer_queue];

	if (!t->o->echo || t->answering > ANSWERS / 2)
		return;
	while (t->answering < ANSWERS && driver_ring_add(ring, &t->answer, 0, 1, t) == 0)
		t->answering++;
	kick(t, t->trip->answer_queue);
}

/* Waits until something may have been completed. */
static bool wait_for_call(struct trips *t, uint64_t until_ns, GError **error)
{
	struct pollfd fds[] = {
		{ .fd = t->call, .events = POLLIN },
		{ .fd = vu_front_fd(t->f), .events = POLLIN },
		{ .fd = cancel_fd(), .events = POLLIN },
	};
	uint64_t now = clock_now_ns();
	eventfd_t n;

	if (now >= until_ns)
		return fail(error,
			t->o->echo && t->done
				? "nothing comes back (--echo): the host does not answer"
				: "the back-end completes nothing");
	if (poll(fds, G_N_ELEMENTS(fds), (int)((until_ns - now) / 1000000) + 1) <= 0)
		return true;
	if (fds[1].revents)
		return fail(error, "the back-end has gone");
	if (eventfd_read(t->call, &n) == 0)
		t->r->calls += n;
	return true;
}

/* Waits for the end of the trip, or for the completion of its request. */
static bool wait_for(struct trips *t, bool request, uint64_t until_ns, GError **error)
{
	bool echo = t->o->echo && !request;

	for (;;) {
		bool more = false;

		if (!reap(t, error))
			return false;
		if ((echo ? t->answered >= t->trip->out_len : t->done) || cancel_signal())
			return true;
		expect_answers(t);
		if (!t->o->polling)
			more = driver_ring_arm(
				t->ring[echo ? t->trip->answer_queue : t->trip->queue]);
		if (t->o->polling && clock_now_ns() < until_ns)
			continue;
		if (!more && !wait_for_call(t, until_ns, error))
			return false;
	}
}

static bool make_trip(struct trips *t, GError **error)
{
	const struct bench_trip *trip = t->trip;
	const char *wrong = NULL;
	struct driver_buf buf[3];
	unsigned n = 0, n_out;
	uint64_t start, patience = t->o->timeout_ms * UINT64_C(1000000);

	t->done = false;
	t->answered = 0;
	expect_answers(t);
	if (trip->out_len)
		buf[n++] = t->out;
	n_out = n;
	if (trip->in_len[0])
		buf[n++] = (struct driver_buf){ t->in.addr, trip->in_len[0] };
	if (trip->in_len[1])
		buf[n++] = (struct driver_buf){ t->in.addr + trip->in_len[0], trip->in_len[1] };
	start = clock_now_ns();
	if (driver_ring_add(t->ring[trip->queue], buf, n_out, n - n_out, t))
		return fail(error, "the request does not fit the vring");
	kick(t, trip->queue);
	if (!wait_for(t, false, start + patience, error))
		return false;
	if (cancel_signal())
		return true;
	bench_hist_add(&t->r->latency, clock_now_ns() - start);
	if (!wait_for(t, true, start + patience, error))
		return false;
	if (t->done && trip->verify)
		wrong = trip->verify(driver_mem_host(t->mem, t->in.addr, t->in.len), t->len);
	return !wrong || fail(error, wrong);
}

/* Makes round trips for so long, or so many. */
static bool run_for(struct trips *t, double seconds, uint64_t n, GError **error)
{
	uint64_t start = clock_now_ns();
	double elapsed = 0;

	t->r->latency = (struct bench_hist){ 0 };
	t->r->kicks = t->r->calls = 0;
	while (!cancel_signal() && (n ? t->r->latency.count < n : elapsed < seconds)) {
		if (!make_trip(t, error))
			break;
		elapsed = (double)(clock_now_ns() - start) / NS_PER_S;
	}
	t->r->requests = t->r->latency.count;
	t->r->seconds = elapsed;
	return !*error;
}

static bool measure(struct trips *t, GError **error)
{
	int64_t backend = bench_usage_cpu(t->r->backend_pid), frontend = bench_usage_cpu(getpid());
	bool ok = run_for(t, t->o->seconds, t->o->requests, error);

	t->r->backend.cpu_ns = bench_usage_since(t->r->backend_pid, backend);
	t->r->frontend.cpu_ns = bench_usage_since(getpid(), frontend);
	bench_usage_memory(t->r->backend_pid, &t->r->backend);
	return ok;
}

bool bench_device_run(struct vu_front *f, const struct bench_options *o,
	const struct bench_trip *trip, struct bench_result *r, GError **error)
{
	struct trips t = { .f = f, .o = o, .trip = trip, .r = r, .call = -1 };
	bool ok;

	*r = (struct bench_result){ .backend_pid = sock_peer_pid(vu_front_fd(f)) };
	for (unsigned i = 0; i < MAX_QUEUES; i++)
		t.kick[i] = -1;
	ok = set_up(&t, error) && (o->warmup == 0 || run_for(&t, o->warmup, 0, error)) &&
		measure(&t, error);
	tear_down(&t);
	return ok;
}
