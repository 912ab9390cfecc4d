/* SPDX-License-Identifier: Apache-2.0 */
/* Vrings that carry requests: both formats, their states, stops and starts. */
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "base/util.h"
#include "tools/check/cases.h"
#include "tools/check/session.h"
#include "tools/check/wire.h"

#define SIZE 64

/* Returns the session's features: the basic ones, and what the row needs. */
static uint64_t features_of(const struct check *k)
{
	return session_basic_features(k) | k->c->features;
}

static struct check_queue *start(struct check *k)
{
	return session_start(k, features_of(k), SIZE);
}

/* Makes arg requests, one after the other. */
static void run_one_by_one(struct check *k)
{
	data_run(k, start(k), (unsigned)k->c->arg);
}

/* Makes arg requests, as many at a time as fit. */
static void run_flood(struct check *k)
{
	data_flood(k, start(k), (unsigned)k->c->arg);
}

/* Uses a vring of arg descriptors, unless the back-end refuses the size. */
static void run_size(struct check *k)
{
	struct vu_vring_state s = { k->peer.data->queue, (uint32_t)k->c->arg };

	session_open(k, features_of(k));
	session_memory(k);
	wire_send(k, VU_SET_VRING_NUM, VU_FLAG_NEED_REPLY, &s, sizeof(s), NULL, 0);
	if (wire_ack(k, VU_SET_VRING_NUM))
		check_skip(k, "a vring of this size is refused");
	session_end(k);
	data_flood(k, session_start(k, features_of(k), (unsigned)k->c->arg), 100);
}

static void run_base(struct check *k)
{
	struct check_queue *q = start(k);
	uint32_t base;

	data_run(k, q, (unsigned)k->c->arg);
	base = session_stop_queue(k, q);
	if (!check_over(k))
		check_equal(k, "the base", base, session_base_after(k, q, (unsigned)k->c->arg));
}

/* Expects the base that was set, of a vring that never ran. */
static void run_base_unused(struct check *k)
{
	struct vu_vring_state s = { 0 };

	session_open(k, session_basic_features(k));
	wire_tell_state(k, VU_SET_VRING_NUM, 0, SIZE);
	wire_tell_state(k, VU_SET_VRING_BASE, 0, 7);
	wire_ask(k, VU_GET_VRING_BASE, &s, sizeof(s));
	if (!check_over(k))
		check_equal(k, "the base", k->msg.payload.state.num, 7);
}

/* Stops and starts again where it was. */
static void run_restart(struct check *k)
{
	struct check_queue *q = start(k);

	for (unsigned i = 0; i < 5 && !check_over(k); i++) {
		data_run(k, q, 10);
		session_start_queue(k, q, session_stop_queue(k, q));
	}
	data_run(k, q, 10);
}

/* Expects that a stopped vring is not processed, whatever is kicked. */
static void run_stopped(struct check *k)
{
	struct check_queue *q = start(k);

	data_run(k, q, 3);
	session_stop_queue(k, q);
	/* What was called before the reply. */
	data_call(k, q, 0);
	data_submit(k, q, 1);
	data_kick(k, q);
	if (data_call(k, q, wire_quiet_us(k)))
		check_fail(k, "a stopped vring is called");
	data_reap(k, q);
	if (!check_over(k) && q->done > 3)
		check_fail(k, "a request of a stopped vring was completed");
}

/*
 * Stops with requests in flight. Nothing is completed after the reply, and what the base leaves is
 * completed once the vring runs again.
 */
static void run_stop_under_load(struct check *k)
{
	struct check_queue *q = start(k);

	for (unsigned i = 0; i < 10 && !check_over(k); i++) {
		unsigned done;
		uint32_t base;

		data_submit(k, q, SIZE);
		base = session_stop_queue(k, q);
		data_reap(k, q);
		done = q->done;
		if (i == 0)
			g_usleep(wire_quiet_us(k));
		data_reap(k, q);
		if (!check_over(k) && q->done > done)
			check_fail(k, "a request was completed after the reply to GET_VRING_BASE");
		eventfd_write(q->call, 1);
		session_start_queue(k, q, base);
		data_kick(k, q);
		data_wait(k, q);
	}
}

/* Puts another vring in its place, as a kernel's driver does after a firmware's. */
static void run_another_ring(struct check *k)
{
	struct check_queue *q = start(k), *next;

	data_run(k, q, 5);
	session_stop_queue(k, q);
	next = check_over(k) ? NULL : session_queue(k, q->index, SIZE / 4);
	session_start_queue(k, next, next ? driver_ring_initial_base(next->ring) : 0);
	data_run(k, next, 20);
}

/* Requests that come while it is disabled are completed at the latest when it is enabled again. */
static void run_disabled(struct check *k)
{
	struct check_queue *q = start(k);

	data_run(k, q, 2);
	session_enable(k, q, false);
	data_submit(k, q, 1);
	g_usleep(wire_quiet_us(k));
	session_enable(k, q, true);
	data_kick(k, q);
	data_wait(k, q);
}

static void run_toggle_under_load(struct check *k)
{
	struct check_queue *q = start(k);

	for (unsigned i = 0; i < 20 && !check_over(k); i++) {
		data_submit(k, q, SIZE);
		session_enable(k, q, false);
		session_enable(k, q, true);
		data_kick(k, q);
		data_wait(k, q);
	}
}

static void run_enable_twice(struct check *k)
{
	struct check_queue *q = start(k);

	session_enable(k, q, true);
	data_run(k, q, 3);
}

/* Enables a vring that is described later. */
static void run_enable_first(struct check *k)
{
	const struct check_device *d = k->peer.data;
	struct check_queue *q;

	session_open(k, features_of(k));
	wire_tell_state(k, VU_SET_VRING_ENABLE, d->queue, 1);
	session_memory(k);
	q = check_over(k) ? NULL : session_queue(k, d->queue, SIZE);
	session_start_queue(k, q, q ? driver_ring_initial_base(q->ring) : 0);
	data_run(k, q, 3);
}

/* Leaves bit 30 out: there is no SET_VRING_ENABLE then, and vrings are enabled. */
static void run_no_protocol(struct check *k)
{
	data_run(k,
		session_start(k,
			(session_basic_features(k) | k->c->features) &
				~VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES),
			SIZE),
		10);
}

static void run_call_replaced(struct check *k)
{
	struct check_queue *q = start(k);

	for (unsigned i = 0; i < 5 && !check_over(k); i++) {
		int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

		data_run(k, q, 2);
		wire_tell_fd(k, VU_SET_VRING_CALL, q->index, fd);
		close(q->call);
		q->call = fd;
	}
	data_run(k, q, 2);
}

static void run_call_none(struct check *k)
{
	struct check_queue *q = start(k);

	data_run(k, q, 2);
	if (check_over(k))
		return;
	wire_tell_fd(k, VU_SET_VRING_CALL, q->index, -1);
	q->polls = true;
	data_run(k, q, 10);
	wire_tell_fd(k, VU_SET_VRING_CALL, q->index, q->call);
	q->polls = false;
	data_run(k, q, 10);
}

static bool is_signalled(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1;
}

static void run_no_error(struct check *k)
{
	struct check_queue *q = start(k);

	data_flood(k, q, 200);
	if (!check_over(k) && is_signalled(q->err))
		check_fail(k, "the error fd is signalled for good requests");
}

/* Kicks with nothing to do. */
static void run_spurious_kicks(struct check *k)
{
	struct check_queue *q = start(k);

	for (unsigned i = 0; i < 100; i++)
		data_kick(k, q);
	wire_barrier(k);
	data_run(k, q, 10);
}

static void run_used_length(struct check *k)
{
	struct check_queue *q = start(k);

	data_run(k, q, 10);
	if (!check_over(k) && driver_ring_excess(q->ring)->times)
		check_fail(k, "a used length of %u for a request of which %u bytes are writable",
			driver_ring_excess(q->ring)->len,
			(unsigned)driver_ring_excess(q->ring)->writable);
}

/* Ends connections with requests in flight. */
static void run_leave_under_load(struct check *k)
{
	for (unsigned i = 0; i < 5 && !check_over(k); i++) {
		data_submit(k, start(k), SIZE);
		session_end(k);
	}
	data_run(k, start(k), 10);
}

/* Uses the last of the device's queues. */
static void run_last_queue(struct check *k)
{
	struct check_queue *q;

	session_open(k, features_of(k));
	session_memory(k);
	q = check_over(k) ? NULL : session_queue(k, k->peer.queues - 1, SIZE);
	session_start_queue(k, q, q ? driver_ring_initial_base(q->ring) : 0);
	data_run(k, q, 100);
}

/* Stops one queue while the other one goes on. */
static void run_two_queues(struct check *k)
{
	struct check_queue *a = start(k), *b;

	b = check_over(k) ? NULL : session_queue(k, 1, SIZE);
	session_start_queue(k, b, b ? driver_ring_initial_base(b->ring) : 0);
	data_run(k, a, 10);
	data_run(k, b, 10);
	data_submit(k, b, SIZE);
	session_stop_queue(k, a);
	data_wait(k, b);
	data_run(k, b, 10);
}

#define PACKED VU_BIT(VIRTIO_F_RING_PACKED)
#define INDIRECT VU_BIT(VIRTIO_RING_F_INDIRECT_DESC)
#define EVENT_IDX VU_BIT(VIRTIO_RING_F_EVENT_IDX)
#define IN_ORDER VU_BIT(VIRTIO_F_IN_ORDER)
#define ROW(name, section, how, bits, ...)                                               \
	{                                                                                \
		name, section, how, .features = (bits), .needs = CHECK_DATA, __VA_ARGS__ \
	}
/* Both formats. */
#define BOTH(name, section, how, bits, ...)                  \
	ROW("split-" name, section, how, bits, __VA_ARGS__), \
		ROW("packed-" name, section, how, (bits) | PACKED, __VA_ARGS__)
#define MULTI .device = VIRTIO_ID_BLOCK, .queues = 2
#define STATES "vhost-user: Ring states"
#define SUSPENDED "vhost-user: Ring states, suspended device state"
#define MESSAGE(name) "vhost-user: Front-end message types, VHOST_USER_" #name
#define RINGS "virtio 1.2 §2.7 Split Virtqueues, §2.8 Packed Virtqueues"

const struct check_case check_vrings[] = {
	BOTH("one", RINGS, run_one_by_one, 0, .arg = 1),
	BOTH("one-by-one", RINGS, run_one_by_one, 0, .arg = 200),
	BOTH("flood", RINGS, run_flood, 0, .arg = 1000),
	BOTH("indirect", "virtio 1.2 §2.7.5.3 Indirect Descriptors", run_flood, INDIRECT,
		.arg = 500),
	BOTH("event-idx", "virtio 1.2 §2.7.7.2 Device Requirements: Used Buffer Notification",
		run_flood, EVENT_IDX, .arg = 500),
	BOTH("event-idx-one-by-one",
		"virtio 1.2 §2.7.7.2 Device Requirements: Used Buffer Notification", run_one_by_one,
		EVENT_IDX, .arg = 200),
	BOTH("indirect-event-idx", RINGS, run_flood, INDIRECT | EVENT_IDX, .arg = 500),
	BOTH("in-order", "virtio 1.2 §2.7.9 In-order use of descriptors", run_flood, IN_ORDER,
		.arg = 500),
	BOTH("size-4", MESSAGE(SET_VRING_NUM), run_size, 0, .arg = 4,
		.protocol = VU_BIT(VU_F_REPLY_ACK)),
	BOTH("size-256", MESSAGE(SET_VRING_NUM), run_size, 0, .arg = 256,
		.protocol = VU_BIT(VU_F_REPLY_ACK)),
	BOTH("size-1024", MESSAGE(SET_VRING_NUM), run_size, 0, .arg = 1024,
		.protocol = VU_BIT(VU_F_REPLY_ACK)),
	ROW("split-index-wraps", "virtio 1.2 §2.7.6 The Virtqueue Available Ring", run_flood, 0,
		.arg = 66000),
	BOTH("base-0", MESSAGE(GET_VRING_BASE), run_base, 0, .arg = 0),
	BOTH("base-5", MESSAGE(GET_VRING_BASE), run_base, 0, .arg = 5),
	BOTH("base-100", MESSAGE(GET_VRING_BASE), run_base, 0, .arg = 100),
	{ "vring-base-unused", MESSAGE(GET_VRING_BASE), run_base_unused },
	BOTH("restart", MESSAGE(SET_VRING_BASE), run_restart, 0),
	BOTH("stopped", STATES, run_stopped, 0),
	BOTH("stop-under-load", SUSPENDED, run_stop_under_load, 0),
	BOTH("another-ring", MESSAGE(SET_VRING_ADDR), run_another_ring, 0),
	BOTH("disabled", STATES, run_disabled, 0),
	BOTH("toggle-under-load", STATES, run_toggle_under_load, 0),
	BOTH("enable-twice", MESSAGE(SET_VRING_ENABLE), run_enable_twice, 0),
	BOTH("enable-first", MESSAGE(SET_VRING_ENABLE), run_enable_first,
		VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES)),
	BOTH("no-protocol-features", STATES, run_no_protocol, 0),
	BOTH("call-replaced", MESSAGE(SET_VRING_CALL), run_call_replaced, 0),
	BOTH("call-none", MESSAGE(SET_VRING_CALL), run_call_none, 0),
	BOTH("no-error", MESSAGE(SET_VRING_ERR), run_no_error, 0),
	BOTH("spurious-kicks", STATES, run_spurious_kicks, 0),
	BOTH("used-length", "virtio 1.2 §2.7.8.2 Device Requirements: The Virtqueue Used Ring",
		run_used_length, 0),
	BOTH("leave-under-load", "vhost-user: Communication", run_leave_under_load, 0),
	BOTH("last-queue", "vhost-user: Multiple queue support", run_last_queue, 0, MULTI),
	BOTH("two-queues", STATES, run_two_queues, 0, MULTI),
	{ NULL },
};
