/* SPDX-License-Identifier: Apache-2.0 */
/* A guest device whose back-end is late, dies, comes back, changes, or does not answer. */
#include "guest.h"

#include <unistd.h>

#include "base/sock.h"

#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET

static bool is_done(struct token *t)
{
	return t->times > 0;
}

static unsigned reconnects(struct guest *g)
{
	struct vmm_dev_counters counters;

	vmm_dev_counters(g->d, &counters);
	return counters.reconnects;
}

static void back_again(struct guest *g)
{
	unsigned before = reconnects(g);

	fake_up(g->backend);
	WAIT_UNTIL(reconnects(g) > before);
	assert_int_equal(reconnects(g), before + 1);
}

static void test_late(void **state)
{
	struct guest *g = *state;
	g_autoptr(GError) error = NULL;
	struct token id, config, status;

	fake_down(g->backend);
	guest_new_dev(g);
	/* At first there is nothing to say, then the reason. */
	for (unsigned i = 0; i < WAIT_MS / 5; i++) {
		g_clear_error(&error);
		assert_false(vmm_dev_wait(g->d, 5, &error));
		if (strstr(error->message, "socket"))
			break;
	}
	assert_non_null(strstr(error->message, "socket"));
	assert_true(g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN));
	assert_int_equal(
		guest_access(g, &id, VIRTIO_MMIO_DEVICE_ID, 4, false, 0), VIRTIO_MMIO_LATER);
	assert_int_equal(guest_access(g, &config, 0x104, 2, false, 0), VIRTIO_MMIO_LATER);
	assert_int_equal(
		guest_access(g, &status, VIRTIO_MMIO_STATUS, 4, true, 1), VIRTIO_MMIO_LATER);
	fake_up(g->backend);
	assert_int_equal(guest_wait(g, &id), 42);
	assert_int_equal(guest_wait(g, &config), 0x1514);
	guest_wait(g, &status);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), 1);
	assert_true(vmm_dev_wait(g->d, WAIT_MS, NULL));
}

static void test_back(void **state)
{
	struct guest *g = *state;

	guest_start(g);
	guest_driver_ok(g);
	fake_down(g->backend);
	/* It had used three buffers of queue 2, and called for the last in vain. */
	g->memory[device_of(2) - MEMORY + 2] = 3;
	back_again(g);
	WAIT_UNTIL_LOCKED(
		&g->backend->lock, g->backend->status == 0xf && g->backend->ring[2].kicks >= 1);
	assert_int_equal(fake_ring(g->backend, 0).base, 0);
	assert_int_equal(fake_ring(g->backend, 2).base, 3);
	assert_int_equal(fake_ring(g->backend, 2).num, 64);
	assert_int_equal(fake_ring(g->backend, 1).num, 0);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL);
	WAIT_UNTIL_LOCKED(&g->lock, g->rises == 2);
	assert_int_equal(rd32(g, VIRTIO_MMIO_INTERRUPT_STATUS),
		VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG);
	/* A queue that the driver starts anew begins at 0. */
	wr32(g, VIRTIO_MMIO_QUEUE_SEL, 2);
	wr32(g, VIRTIO_MMIO_QUEUE_READY, 0);
	guest_queue(g, 2, 64);
	assert_int_equal(fake_ring(g->backend, 2).base, 0);
}

/* The driver notices nothing but silence: it even starts. */
static void test_away(void **state)
{
	struct guest *g = *state;
	g_autofree char *trace = NULL;
	struct token t;

	guest_start(g);
	assert_int_equal(rd(g, 0x104, 1), 0x14);
	fake_down(g->backend);
	assert_int_equal(rd(g, 0x104, 1), 0x14);
	g->memory[device_of(0) - MEMORY + 2] = 9; /* rubbish of an earlier driver */
	guest_driver_ok(g);
	for (unsigned i = 0; i < 2; i++) {
		wr32(g, VIRTIO_MMIO_QUEUE_SEL, 2);
		assert_int_equal(
			guest_access(g, &t, VIRTIO_MMIO_QUEUE_RESET, 4, true, 1), VIRTIO_MMIO_DONE);
		guest_queue(g, 2, 64);
	}
	vmm_dev_memory_changed(g->d);
	back_again(g);
	WAIT_UNTIL_LOCKED(
		&g->backend->lock, g->backend->status == 0xf && g->backend->ring[0].kicks == 1);
	assert_int_equal(fake_ring(g->backend, 0).base, 0);
	assert_int_equal(fake_ring(g->backend, 2).num, 64);
	fake_down(g->backend);
	wr(g, 0x100, 1, 1); /* complete once the loss is noticed */
	assert_int_equal(guest_access(g, &t, VIRTIO_MMIO_STATUS, 4, true, 0), VIRTIO_MMIO_DONE);
	g_free(fake_trace(g->backend));
	back_again(g);
	WAIT_UNTIL_LOCKED(&g->backend->lock,
		strstr(g->backend->trace->str, "GET_STATUS ") && g->backend->n_regions == 0);
	/* An old reset does not concern a new back-end. */
	trace = fake_trace(g->backend);
	assert_null(strstr(trace, "RESET_DEVICE"));
}

/* Returns a figure of the back-end's, which its thread may be changing. */
static unsigned locked(struct guest *g, const unsigned *figure)
{
	unsigned value;

	pthread_mutex_lock(&g->backend->lock);
	value = *figure;
	pthread_mutex_unlock(&g->backend->lock);
	return value;
}

static void assert_unfit(struct guest *g)
{
	unsigned before = g->backend->connections;

	fake_up(g->backend);
	/* It dials again and again, and logs that once. */
	WAIT_UNTIL_LOCKED(&g->backend->lock, g->backend->connections >= before + 3);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL | NEEDS_RESET);
	assert_int_equal(locked(g, &g->backend->n_regions), 0);
	fake_down(g->backend);
}

static void test_another(void **state)
{
	struct guest *g = *state;

	guest_start(g);
	guest_driver_ok(g);
	fake_down(g->backend);
	g->backend->config_size = 8;
	assert_unfit(g);
	g->backend->config_size = FAKE_CONFIG;
	guest_driver_ok(g);
	g->backend->device_id = 41;
	assert_unfit(g);
	g->backend->device_id = 42;
	guest_driver_ok(g);
	g->backend->queues = 2;
	assert_unfit(g);
	g->backend->queues = 4;
	guest_driver_ok(g);
	g->backend->features &= ~UINT64_C(4);
	assert_unfit(g);
	/* What the driver did not take need not be there; more of anything is fine. */
	g->backend->features = (g->backend->features | 0x24) & ~UINT64_C(1);
	guest_driver_ok(g);
	back_again(g);
	WAIT_UNTIL_LOCKED(&g->backend->lock, g->backend->status == 0xf);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL);
	/* A driver that initialises the device now is notified. */
	guest_features(g, VU_BIT(VIRTIO_F_VERSION_1) | 1);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), 3);
}

static void test_missed_deadline(void **state)
{
	struct guest *g = *state;
	struct token t;

	g->config.front.deadline_ms = 1000;
	guest_start(g);
	guest_driver_ok(g);
	fake_quirk(g->backend, VU_GET_VRING_BASE, FAKE_SILENT);
	wr32(g, VIRTIO_MMIO_QUEUE_SEL, 0);
	assert_int_equal(
		guest_access(g, &t, VIRTIO_MMIO_QUEUE_READY, 4, true, 0), VIRTIO_MMIO_LATER);
	/* Other accesses go on meanwhile. */
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL);
	guest_wait(g, &t);
	fake_behave(g->backend);
	WAIT_UNTIL(reconnects(g));
	assert_int_equal(reconnects(g), 1);
	WAIT_UNTIL_LOCKED(&g->backend->lock, g->backend->ring[2].enabled);
	assert_false(fake_ring(g->backend, 0).enabled);
}

static void test_packed(void **state)
{
	struct guest *g = *state;

	g->config.front.packed = CHOICE_ON;
	guest_start(g);
	guest_features(g, VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_F_RING_PACKED));
	guest_queue(g, 0, 100);
	wr32(g, VIRTIO_MMIO_STATUS, S_ALL);
	assert_int_equal(fake_ring(g->backend, 0).base, 0x80008000);
	fake_down(g->backend);
	back_again(g);
	WAIT_UNTIL_LOCKED(&g->backend->lock, g->backend->status == 0xf);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL | NEEDS_RESET);
	assert_false(fake_ring(g->backend, 0).enabled);
}

static void test_give_up(void **state)
{
	struct guest *g = *state;
	struct token id, status;

	fake_down(g->backend);
	guest_new_dev(g);
	guest_access(g, &id, VIRTIO_MMIO_DEVICE_ID, 4, false, 0);
	guest_access(g, &status, VIRTIO_MMIO_STATUS, 4, true, 1);
	vmm_dev_give_up(g->d);
	assert_int_equal(guest_wait(g, &id), 0);
	guest_wait(g, &status);
	assert_int_equal(rd32(g, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), 0);
	/* For good, although the back-end is there now. */
	fake_up(g->backend);
	assert_false(vmm_dev_wait(g->d, 0, NULL));
	assert_int_equal(rd32(g, VIRTIO_MMIO_DEVICE_ID), 0);
	g_clear_pointer(&g->d, vmm_dev_free);
	/* But for an attempt that was under way, which is dropped. */
	assert_in_range(locked(g, &g->backend->connections), 0, 1);
}

static void test_give_up_running(void **state)
{
	struct guest *g = *state;
	struct token t;

	guest_start(g);
	guest_driver_ok(g);
	vmm_dev_give_up(g->d);
	assert_int_equal(rd32(g, VIRTIO_MMIO_DEVICE_ID), 0);
	WAIT_UNTIL_LOCKED(&g->backend->lock, strstr(g->backend->trace->str, "GET_VRING_BASE/2"));
	WAIT_UNTIL_LOCKED(&g->backend->lock, g->backend->ring[2].call < 0);
	g_clear_pointer(&g->d, vmm_dev_free);
	/* What waits for a back-end that hangs does not wait on. */
	g->config.front.deadline_ms = 1000;
	guest_start(g);
	fake_quirk(g->backend, VU_SET_CONFIG, FAKE_SILENT);
	assert_int_equal(guest_access(g, &t, 0x100, 1, true, 1), VIRTIO_MMIO_LATER);
	vmm_dev_give_up(g->d);
	assert_true(is_done(&t));
}

static void test_end_of_device(void **state)
{
	struct guest *g = *state;
	struct token config, t;

	/* One access waits for the first probe. */
	fake_down(g->backend);
	guest_new_dev(g);
	guest_access(g, &t, VIRTIO_MMIO_DEVICE_ID, 4, false, 0);
	g_clear_pointer(&g->d, vmm_dev_free);
	assert_int_equal(guest_wait(g, &t), 0);
	/* Others wait for a back-end that hangs. */
	g->config.front.deadline_ms = 1000;
	fake_up(g->backend);
	guest_start(g);
	guest_driver_ok(g);
	fake_quirk(g->backend, VU_SET_CONFIG, FAKE_SILENT);
	guest_access(g, &t, 0x100, 1, true, 7);
	guest_access(g, &config, 0x104, 1, false, 0);
	assert_false(is_done(&t));
	g_clear_pointer(&g->d, vmm_dev_free);
	assert_true(is_done(&t));
	guest_wait(g, &t);
	assert_int_equal(guest_wait(g, &config), 0x14);
	/* Rings are stopped when nothing hangs. */
	fake_behave(g->backend);
	guest_start(g);
	guest_driver_ok(g);
	g_clear_pointer(&g->d, vmm_dev_free);
	WAIT_UNTIL_LOCKED(&g->backend->lock, strstr(g->backend->trace->str, "GET_VRING_BASE/2"));
}

static void test_fd(void **state)
{
	struct guest *g = *state;
	g_autoptr(GError) error = NULL;

	g->config.socket_path = NULL;
	g->config.fd = sock_connect(g->path, NULL);
	guest_start(g);
	guest_driver_ok(g);
	fake_down(g->backend);
	WAIT_UNTIL_LOCKED(&g->lock, g->rises == 1);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL | NEEDS_RESET);
	g_clear_pointer(&g->d, vmm_dev_free);
	/* A first one that is no back-end. */
	fake_up(g->backend);
	g->config.fd = sock_connect(g->path, NULL);
	fake_down(g->backend);
	guest_new_dev(g);
	assert_false(vmm_dev_wait(g->d, WAIT_MS, &error));
	assert_true(g_error_matches(error, VU_FRONT_ERROR, VU_FRONT_ERROR_GONE));
	assert_non_null(strstr(error->message, "dev0"));
}

/* Two vCPUs, at random, while the back-end comes and goes: each access completes exactly once. */
struct random_vcpu {
	struct guest *g;
	uint32_t seed;
	struct token tokens[3000];
};

static void *vcpu_main(void *opaque)
{
	static const uint16_t regs[] = { VIRTIO_MMIO_STATUS, VIRTIO_MMIO_QUEUE_SEL,
		VIRTIO_MMIO_QUEUE_READY, VIRTIO_MMIO_QUEUE_NUM, VIRTIO_MMIO_QUEUE_NOTIFY,
		VIRTIO_MMIO_DRIVER_FEATURES, VIRTIO_MMIO_DRIVER_FEATURES_SEL,
		VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_QUEUE_RESET, VIRTIO_MMIO_QUEUE_DESC_LOW,
		0x100, 0x104, 0x10e };
	static const uint32_t values[] = { 0, 0, 1, 2, 3, 0xb, 0xf, 0xf, 16, MEMORY };
	struct random_vcpu *v = opaque;

	for (unsigned i = 0; i < G_N_ELEMENTS(v->tokens); i++) {
		uint32_t r = v->seed = v->seed * 1664525 + 1013904223;

		guest_access(v->g, &v->tokens[i], regs[(r >> 8) % G_N_ELEMENTS(regs)], 4, r >> 31,
			values[(r >> 20) % G_N_ELEMENTS(values)]);
		if (i % 16 == 0)
			guest_wait(v->g, &v->tokens[i]);
	}
	return NULL;
}

static void test_random(void **state)
{
	struct guest *g = *state;
	g_autofree struct random_vcpu *v = g_new0(struct random_vcpu, 2);
	pthread_t thread[2];

	guest_start(g);
	for (unsigned i = 0; i < 2; i++) {
		v[i].g = g;
		v[i].seed = i + 1;
		pthread_create(&thread[i], NULL, vcpu_main, &v[i]);
	}
	for (unsigned i = 0; i < 5; i++) {
		test_pause(3000);
		fake_down(g->backend);
		test_pause(2000);
		fake_up(g->backend);
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	g_clear_pointer(&g->d, vmm_dev_free);
	for (unsigned i = 0; i < 2; i++)
		for (unsigned j = 0; j < G_N_ELEMENTS(v[i].tokens); j++)
			assert_int_equal(v[i].tokens[j].times, 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST_WITH(guest, test_late),
		TEST_WITH(guest, test_back),
		TEST_WITH(guest, test_away),
		TEST_WITH(guest, test_another),
		TEST_WITH(guest, test_missed_deadline),
		TEST_WITH(guest, test_packed),
		TEST_WITH(guest, test_give_up),
		TEST_WITH(guest, test_give_up_running),
		TEST_WITH(guest, test_end_of_device),
		TEST_WITH(guest, test_fd),
		TEST_WITH(guest, test_random),
	};

	return cmocka_run_group_tests_name("vmm_loss", tests, NULL, NULL);
}
