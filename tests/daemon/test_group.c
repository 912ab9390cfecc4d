/* SPDX-License-Identifier: Apache-2.0 */
/* A device that serves its queues as one: what comes in on queue 1 goes out on queue 0. */
#include "tests/daemon/peer.h"

static struct vq_chain *waiting;
static struct virtio_watch wake = { .fd = -1 };

/* Fills a buffer of queue 0 for a request on queue 1, or for the fd. */
static void fill(struct virtio_device *d)
{
	struct vq *to = virtio_device_queue(d, 0);

	if (!waiting && to)
		waiting = vq_pop(to);
	if (waiting)
		iov_push_zeroes(&waiting->in, 8);
	vq_push(g_steal_pointer(&waiting));
}

static void on_wake(struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	eventfd_take(w->fd);
	fill(d);
}

static void relay_start(struct virtio_device *d, struct vq *q)
{
	if (vq_index(q) != 1)
		return;
	virtio_watch(d, q, &wake, EPOLLIN | EPOLLOUT);
	virtio_watch(d, q, &wake, EPOLLIN);
}

static void relay_stop(struct virtio_device *d, struct vq *q)
{
	if (vq_index(q) == 0)
		vq_push(g_steal_pointer(&waiting));
}

static void relay_kick(struct virtio_device *d, struct vq *q)
{
	struct vq_chain *c;

	if (vq_index(q) == 0) {
		if (!waiting)
			waiting = vq_pop(q);
		return;
	}
	while ((c = vq_pop(q))) {
		fill(d);
		vq_push(c);
	}
}

static const struct virtio_device_ops relay_ops = {
	.name = "relay",
	.probe = { .device_id = 43, .min_queues = 2, .max_queues = 2 },
	.threads = VIRTIO_DEVICE_PER_PAIR,
	.queue_start = relay_start,
	.queue_stop = relay_stop,
	.kick = relay_kick,
};

static int relay_setup(void **state)
{
	struct peer *p;

	peer_setup(state);
	p = *state;
	peer_disconnect(p);
	peer_make_backend(p, &relay_ops);
	peer_connect(p);
	wake = (struct virtio_watch){ .ready = on_wake };
	wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return 0;
}

static int relay_teardown(void **state)
{
	struct peer *p = *state;

	peer_disconnect(p);
	fd_close(&wake.fd);
	return peer_teardown(state);
}

static void start(struct peer *p)
{
	uint64_t features = peer_ask(p, VU_GET_PROTOCOL_FEATURES, NULL, 0);

	/* No configuration space, so no CONFIG. */
	assert_int_equal(features, ALL_PROTOCOL_FEATURES & ~VU_BIT(VU_F_CONFIG));
	assert_int_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, features), 0);
	assert_int_equal(peer_ack_u64(p, VU_SET_FEATURES, DRIVER_FEATURES), 0);
	peer_share_memory(p);
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		peer_setup_ring(p, i, 0);
		peer_enable(p, i, true);
	}
}

/* A callback for one queue completes what is in flight on the other: published when it returns. */
static void test_publishes_both(void **state)
{
	struct peer *p = *state;

	start(p);
	for (int i = 0; i < 3; i++)
		driver_submit(p, 0);
	driver_kick(p, 0);
	peer_run();
	assert_int_equal(driver_used(p, 0), 0);
	driver_submit(p, 1);
	driver_kick(p, 1);
	peer_run();
	assert_int_equal(driver_used(p, 1), 1);
	assert_int_equal(driver_used(p, 0), 1);
	assert_int_equal(eventfd_take(p->call[0]), 1);
	eventfd_write(wake.fd, 1);
	peer_run();
	assert_int_equal(driver_used(p, 0), 2);
	assert_int_equal(eventfd_take(p->call[0]), 1);
}

/* Stopping one queue completes by the other's doing; a queue stopped is none for the device. */
static void test_stops_one(void **state)
{
	struct peer *p = *state;

	start(p);
	driver_submit(p, 0);
	driver_kick(p, 0);
	peer_run();
	assert_int_equal(peer_get_base(p, 0), 1);
	assert_int_equal(driver_used(p, 0), 1);
	eventfd_write(wake.fd, 1);
	driver_submit(p, 1);
	driver_kick(p, 1);
	peer_run();
	assert_int_equal(driver_used(p, 1), 1);
	assert_int_equal(driver_used(p, 0), 1);
	/* Its watch ends with queue 1. */
	assert_int_equal(peer_get_base(p, 1), 1);
	eventfd_write(wake.fd, 1);
	peer_run();
	assert_int_equal(eventfd_take(wake.fd), 1);
}

/* Without a configuration space there is none to read, and the status is told of all the same. */
static void test_no_config(void **state)
{
	struct peer *p = *state;
	struct vu_config c = { 0, 0, 0 };

	start(p);
	peer_send(p, VU_GET_CONFIG, 0, &c, sizeof(c), NULL, 0);
	assert_true(peer_is_closed(p));
	assert_logged("closing the connection: GET_CONFIG: CONFIG is not offered");
	peer_check_served(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(relay, test_publishes_both),
		TEST_WITH(relay, test_stops_one),
		TEST_WITH(relay, test_no_config),
	};

	return cmocka_run_group_tests_name("group", tests, NULL, NULL);
}
