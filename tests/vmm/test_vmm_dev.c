/* SPDX-License-Identifier: Apache-2.0 */
/* A guest device with its back-end there: from the driver's probe to reset. */
#include "guest.h"

#include <semaphore.h>

static void assert_trace(struct guest *g, const char *want)
{
	g_autofree char *trace = fake_trace(g->backend);

	assert_string_equal(trace, want);
}

static void test_properties(void **state)
{
	struct guest *g = *state;
	uint64_t features;

	guest_start(g);
	assert_string_equal(vmm_dev_name(g->d), "dev0");
	assert_int_equal(vmm_dev_properties(g->d)->probe.device_id, 42);
	assert_int_equal(vmm_dev_properties(g->d)->device_id, VU_SOURCE_PROBE);
	assert_int_equal(rd32(g, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(rd32(g, VIRTIO_MMIO_VERSION), 2);
	assert_int_equal(rd32(g, VIRTIO_MMIO_DEVICE_ID), 42);
	wr32(g, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	features = (uint64_t)rd32(g, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
	wr32(g, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	features |= rd32(g, VIRTIO_MMIO_DEVICE_FEATURES);
	/* Neither SR_IOV nor vhost-user's own bit 30, and nothing packed that cannot go on. */
	assert_true(features == (VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_F_RING_RESET) | 0x15));
	wr32(g, VIRTIO_MMIO_QUEUE_SEL, 3);
	assert_int_equal(rd32(g, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
}

static void test_start(void **state)
{
	struct guest *g = *state;
	struct fake_ring r;

	guest_start(g);
	wr32(g, VIRTIO_MMIO_STATUS, 0);
	g_free(fake_trace(g->backend));
	guest_features(g, VU_BIT(VIRTIO_F_VERSION_1) | 4);
	assert_trace(g,
		"SET_STATUS=0x0 RESET_DEVICE GET_CONFIG "
		"SET_MEM_TABLE SET_FEATURES SET_STATUS=0xb GET_STATUS ");
	assert_true(g->backend->driver_features ==
		(VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES) | 4));
	assert_int_equal(g->backend->n_regions, 1);
	assert_true(g->backend->region[0].guest_addr == MEMORY &&
		g->backend->region[0].user_addr == USER);
	guest_queue(g, 0, 16);
	guest_queue(g, 2, 64);
	wr32(g, VIRTIO_MMIO_STATUS, S_ALL);
	/* Queue 1 was never made ready: not a word of it. */
	assert_trace(g,
		"SET_VRING_NUM/0 SET_VRING_BASE/0 SET_VRING_ADDR/0 SET_VRING_CALL/0 "
		"SET_VRING_KICK/0 "
		"SET_VRING_NUM/2 SET_VRING_BASE/2 SET_VRING_ADDR/2 SET_VRING_CALL/2 "
		"SET_VRING_KICK/2 "
		"SET_VRING_ENABLE/0=1 SET_VRING_ENABLE/2=1 SET_STATUS=0xf ");
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL);
	r = fake_ring(g->backend, 2);
	assert_int_equal(r.num, 64);
	assert_int_equal(r.base, 0);
	assert_true(r.addr.desc == desc_of(2) - MEMORY + USER);
	assert_true(r.addr.avail == driver_of(2) - MEMORY + USER);
	assert_true(r.addr.used == device_of(2) - MEMORY + USER);
	/* What the driver put in before is not forgotten. */
	WAIT_UNTIL_LOCKED(&g->backend->lock,
		g->backend->ring[0].kicks == 1 && g->backend->ring[2].kicks == 1);
}

static void test_notify(void **state)
{
	struct guest *g = *state;
	struct vmm_dev_counters counters;
	struct token t;

	guest_start(g);
	guest_driver_ok(g);
	WAIT_UNTIL_LOCKED(&g->backend->lock, g->backend->ring[2].kicks == 1);
	assert_int_equal(
		guest_access(g, &t, VIRTIO_MMIO_QUEUE_NOTIFY, 4, true, 2), VIRTIO_MMIO_DONE);
	WAIT_UNTIL_LOCKED(&g->backend->lock, g->backend->ring[2].kicks == 2);
	guest_access(g, &t, VIRTIO_MMIO_QUEUE_NOTIFY, 4, true, 1);
	guest_access(g, &t, VIRTIO_MMIO_QUEUE_NOTIFY, 4, true, 77);
	vmm_dev_counters(g->d, &counters);
	assert_int_equal(counters.notifies, 1);
}

static void test_call(void **state)
{
	struct guest *g = *state;
	struct vmm_dev_counters counters;

	guest_start(g);
	guest_driver_ok(g);
	assert_int_equal(rd32(g, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	fake_call(g->backend, 2);
	WAIT_UNTIL_LOCKED(&g->lock, g->rises == 1);
	assert_int_equal(rd32(g, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	wr32(g, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_int_equal(g->falls, 1);
	assert_int_equal(rd32(g, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	vmm_dev_counters(g->d, &counters);
	assert_int_equal(counters.interrupts, 1);
	assert_int_equal(counters.config_interrupts, 0);
}

/* The kernel does both: no thread of this process touches the eventfds. */
static void test_kernel(void **state)
{
	struct guest *g = *state;
	struct pollfd pfd = { .events = POLLIN };
	int kick;

	g->kernel = true;
	guest_start(g);
	guest_driver_ok(g);
	assert_int_equal(g->n_irqfd, 2);
	assert_true(g->ioeventfd[0] >= 0 && g->ioeventfd[1] < 0 && g->ioeventfd[2] >= 0);
	fake_call(g->backend, 0);
	pfd.fd = g->irqfd[0];
	assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
	/* The control thread has looked at all it polls when it has dealt with this. */
	fake_config_changed(g->backend);
	WAIT_UNTIL_LOCKED(&g->lock, g->rises);
	assert_int_equal(g->rises, 1);
	wr32(g, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(poll(&pfd, 1, 0), 1);
	assert_int_equal(rd32(g, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	/* The same fds serve after a reset. */
	kick = g->ioeventfd[2];
	guest_driver_ok(g);
	assert_int_equal(g->n_irqfd, 2);
	assert_int_equal(g->ioeventfd[2], kick);
	eventfd_write(kick, 1);
	WAIT_UNTIL_LOCKED(&g->backend->lock, g->backend->ring[2].kicks >= 1);
}

static void test_reset(void **state)
{
	struct guest *g = *state;

	guest_start(g);
	guest_driver_ok(g);
	wr32(g, VIRTIO_MMIO_STATUS, 0);
	assert_trace(g,
		"SET_VRING_ENABLE/0=0 GET_VRING_BASE/0 SET_VRING_ENABLE/2=0 GET_VRING_BASE/2 "
		"SET_STATUS=0x0 RESET_DEVICE GET_CONFIG ");
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), 0);
	guest_driver_ok(g);
	WAIT_UNTIL_LOCKED(
		&g->backend->lock, g->backend->ring[0].enabled && g->backend->status == 0xf);
}

static void test_queue_ready(void **state)
{
	struct guest *g = *state;

	guest_start(g);
	guest_driver_ok(g);
	wr32(g, VIRTIO_MMIO_QUEUE_SEL, 0);
	wr32(g, VIRTIO_MMIO_QUEUE_READY, 0);
	assert_trace(g, "SET_VRING_ENABLE/0=0 GET_VRING_BASE/0 ");
	assert_int_equal(rd32(g, VIRTIO_MMIO_QUEUE_READY), 0);
	/* Another time, and one that was not there at the start. */
	g->memory[device_of(0) - MEMORY + 2] = 5;
	guest_queue(g, 0, 32);
	guest_queue(g, 1, 32);
	assert_trace(g,
		"SET_VRING_NUM/0 SET_VRING_BASE/0 SET_VRING_ADDR/0 SET_VRING_CALL/0 "
		"SET_VRING_KICK/0 SET_VRING_ENABLE/0=1 "
		"SET_VRING_NUM/1 SET_VRING_BASE/1 SET_VRING_ADDR/1 SET_VRING_CALL/1 "
		"SET_VRING_KICK/1 SET_VRING_ENABLE/1=1 ");
	assert_int_equal(fake_ring(g->backend, 0).num, 32);
	assert_int_equal(fake_ring(g->backend, 0).base, 0);
}

static void test_queue_reset(void **state)
{
	struct guest *g = *state;

	guest_start(g);
	guest_driver_ok(g);
	wr32(g, VIRTIO_MMIO_QUEUE_SEL, 2);
	wr32(g, VIRTIO_MMIO_QUEUE_RESET, 1);
	assert_trace(g, "SET_VRING_ENABLE/2=0 GET_VRING_BASE/2 ");
	assert_int_equal(rd32(g, VIRTIO_MMIO_QUEUE_RESET), 0);
	guest_queue(g, 2, 8);
	assert_int_equal(fake_ring(g->backend, 2).num, 8);
	assert_true(fake_ring(g->backend, 2).enabled && fake_ring(g->backend, 0).enabled);
}

static void test_features_refused(void **state)
{
	struct guest *g = *state;

	guest_start(g);
	fake_refuse_features(g->backend, true);
	guest_features(g, VU_BIT(VIRTIO_F_VERSION_1) | 4);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), 3);
	fake_refuse_features(g->backend, false);
	wr32(g, VIRTIO_MMIO_STATUS, S_FEATURES);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_FEATURES);
	/* An error reply says the same. */
	fake_quirk(g->backend, VU_SET_FEATURES, FAKE_REFUSE);
	guest_features(g, VU_BIT(VIRTIO_F_VERSION_1));
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), 3);
}

static void test_bad_queue(void **state)
{
	struct guest *g = *state;

	guest_start(g);
	guest_features(g, VU_BIT(VIRTIO_F_VERSION_1));
	guest_queue(g, 0, 16);
	wr32(g, VIRTIO_MMIO_QUEUE_SEL, 1);
	wr32(g, VIRTIO_MMIO_QUEUE_NUM, 256);
	wr32(g, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)MEMORY);
	wr32(g, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)MEMORY);
	/* One byte too many. */
	wr32(g, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)(MEMORY + MEMORY_SIZE - (6 + 8 * 256) + 1));
	wr32(g, VIRTIO_MMIO_QUEUE_READY, 1);
	wr32(g, VIRTIO_MMIO_STATUS, S_ALL);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL | VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(rd32(g, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(fake_ring(g->backend, 1).num, 0);
	assert_true(fake_ring(g->backend, 0).enabled);
	/* Up to the last byte it goes. */
	guest_features(g, VU_BIT(VIRTIO_F_VERSION_1));
	guest_queue(g, 1, 256);
	wr32(g, VIRTIO_MMIO_QUEUE_READY, 0);
	wr32(g, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)(MEMORY + MEMORY_SIZE - (6 + 8 * 256)));
	wr32(g, VIRTIO_MMIO_QUEUE_READY, 1);
	wr32(g, VIRTIO_MMIO_STATUS, S_ALL);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL);
	assert_int_equal(fake_ring(g->backend, 1).num, 256);
}

static void test_refused(void **state)
{
	struct guest *g = *state;
	static const uint32_t request[] = { VU_SET_VRING_NUM, VU_SET_VRING_ENABLE, VU_SET_STATUS };

	guest_start(g);
	for (unsigned i = 0; i < 3; i++) {
		guest_features(g, VU_BIT(VIRTIO_F_VERSION_1));
		guest_queue(g, 0, 16);
		fake_quirk(g->backend, request[i], FAKE_REFUSE);
		wr32(g, VIRTIO_MMIO_STATUS, S_ALL);
		assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL | VIRTIO_CONFIG_S_NEEDS_RESET);
		fake_behave(g->backend);
	}
	fake_quirk(g->backend, VU_SET_MEM_TABLE, FAKE_REFUSE);
	vmm_dev_memory_changed(g->d);
	fake_behave(g->backend);
	guest_driver_ok(g);
	assert_true(fake_ring(g->backend, 0).enabled);
}

static void test_memory_changed(void **state)
{
	struct guest *g = *state;
	g_autofree char *trace = NULL;

	guest_start(g);
	/* The back-end has not been told of memory yet. */
	vmm_dev_memory_changed(g->d);
	assert_int_equal(g->backend->n_regions, 0);
	guest_driver_ok(g);
	g->desc.user_addr += 0x1000000;
	vmm_dev_memory_changed(g->d);
	trace = fake_trace(g->backend);
	assert_true(g_str_has_prefix(trace, "SET_MEM_TABLE "));
	assert_true(g->backend->region[0].user_addr == USER + 0x1000000);
}

/* While the back-end is busy with one change, other vCPUs make the next. */
static void test_overtaken(void **state)
{
	struct guest *g = *state;
	struct token t[3];
	unsigned received;

	guest_start(g);
	guest_driver_ok(g);
	wr32(g, VIRTIO_MMIO_QUEUE_SEL, 0);
	pthread_mutex_lock(&g->backend->lock);
	received = fake_received(g->backend);
	guest_access(g, &t[0], 0x100, 1, true, 1);
	WAIT_UNTIL(fake_received(g->backend) > received);
	/* Away and back between two passes: it is another ring. */
	guest_access(g, &t[1], VIRTIO_MMIO_QUEUE_READY, 4, true, 0);
	wr32(g, VIRTIO_MMIO_QUEUE_NUM, 8);
	assert_int_equal(
		guest_access(g, &t[2], VIRTIO_MMIO_QUEUE_READY, 4, true, 1), VIRTIO_MMIO_LATER);
	pthread_mutex_unlock(&g->backend->lock);
	for (unsigned i = 0; i < 3; i++)
		guest_wait(g, &t[i]);
	assert_int_equal(fake_ring(g->backend, 0).num, 8);

	/* What went wrong with the device before its reset is history. */
	guest_features(g, VU_BIT(VIRTIO_F_VERSION_1));
	guest_queue(g, 0, 16);
	fake_quirk(g->backend, VU_SET_VRING_NUM, FAKE_REFUSE);
	pthread_mutex_lock(&g->backend->lock);
	received = fake_received(g->backend);
	guest_access(g, &t[0], VIRTIO_MMIO_STATUS, 4, true, S_ALL);
	WAIT_UNTIL(fake_received(g->backend) > received);
	guest_access(g, &t[1], VIRTIO_MMIO_STATUS, 4, true, 0);
	pthread_mutex_unlock(&g->backend->lock);
	guest_wait(g, &t[0]);
	guest_wait(g, &t[1]);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), 0);
}

#define SLOW_MS 1000

static sem_t released;

/* Takes time: each answer comes within the deadline of a request; together they take longer. */
static void take_time(struct fake_backend *b, unsigned ring)
{
	if (ring < 2)
		test_pause(SLOW_MS * test_patience() * 1000);
	else if (b->connections == 1)
		sem_wait(&released);
}

static void test_slow_with_each_queue(void **state)
{
	struct guest *g = *state;

	sem_init(&released, 0, 0);
	fake_down(g->backend);
	g->backend->enabled = take_time;
	fake_up(g->backend);
	g->config.front.deadline_ms = SLOW_MS * test_patience() * 3 / 2;
	guest_start(g);
	guest_features(g, VU_BIT(VIRTIO_F_VERSION_1));
	for (unsigned i = 0; i < 3; i++)
		guest_queue(g, i, 16);
	/* The third queue is not enabled before this write is complete. */
	wr32(g, VIRTIO_MMIO_STATUS, S_ALL);
	sem_post(&released);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL);
	WAIT_UNTIL_LOCKED(&g->backend->lock, g->backend->ring[2].kicks == 1);
	assert_false(test_logged("lost the back-end"));
	assert_true(test_logged("the back-end is slow"));
	sem_destroy(&released);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST_WITH(guest, test_properties),
		TEST_WITH(guest, test_start),
		TEST_WITH(guest, test_notify),
		TEST_WITH(guest, test_call),
		TEST_WITH(guest, test_kernel),
		TEST_WITH(guest, test_reset),
		TEST_WITH(guest, test_queue_ready),
		TEST_WITH(guest, test_queue_reset),
		TEST_WITH(guest, test_features_refused),
		TEST_WITH(guest, test_bad_queue),
		TEST_WITH(guest, test_refused),
		TEST_WITH(guest, test_memory_changed),
		TEST_WITH(guest, test_overtaken),
		TEST_WITH(guest, test_slow_with_each_queue),
	};

	return cmocka_run_group_tests_name("vmm_dev", tests, NULL, NULL);
}
