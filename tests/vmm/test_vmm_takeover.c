/* SPDX-License-Identifier: Apache-2.0 */
/* The process of a guest's device dies, and another goes on. */
#include "worker.h"

#include "base/util.h"
#include "vmm/vmm_impl.h"

static void test_running(void **state)
{
	struct worker *w = *state;
	g_autofree char *asked = NULL;
	uint32_t generation, rises;
	eventfd_t n;

	worker_boot(w);
	worker_wr(w, 0x100, 1, 0x21);
	worker_wr(w, VIRTIO_MMIO_QUEUE_NOTIFY, 4, 2);
	WAIT_UNTIL_LOCKED(&w->g->backend->lock, w->g->backend->ring[2].base == 2);
	generation = worker_rd(w, VIRTIO_MMIO_CONFIG_GENERATION, 4);
	worker_kill(w);
	g_free(fake_trace(w->g->backend));
	eventfd_read(w->irq, &n);
	rises = w->shared->rises;

	worker_start(w);
	worker_assert_registers(w);
	asked = fake_trace(w->g->backend);
	/* Not a word of features or status; the configuration is as it was. */
	assert_string_equal(asked,
		"GET_PROTOCOL_FEATURES "
		"SET_VRING_ENABLE/0=0 GET_VRING_BASE/0 SET_VRING_ENABLE/2=0 GET_VRING_BASE/2 "
		"SET_MEM_TABLE "
		"SET_VRING_NUM/0 SET_VRING_BASE/0 SET_VRING_ADDR/0 SET_VRING_CALL/0 "
		"SET_VRING_KICK/0 "
		"SET_VRING_NUM/2 SET_VRING_BASE/2 SET_VRING_ADDR/2 SET_VRING_CALL/2 "
		"SET_VRING_KICK/2 "
		"SET_VRING_ENABLE/0=1 SET_VRING_ENABLE/2=1 GET_CONFIG GET_STATUS ");
	/* Each was kicked once more: a request without a notification is not lost. */
	WAIT_UNTIL_LOCKED(&w->g->backend->lock, w->g->backend->ring[0].base == 2);
	WAIT_UNTIL_LOCKED(&w->g->backend->lock, w->g->backend->ring[2].base == 3);
	/* So is the driver, once. */
	assert_int_equal(w->shared->rises, rises + 1);
	assert_int_equal(worker_rd(w, VIRTIO_MMIO_INTERRUPT_STATUS, 4), VIRTIO_MMIO_INT_VRING);
	worker_wr(w, VIRTIO_MMIO_INTERRUPT_ACK, 4, 1);
	assert_int_equal(worker_rd(w, VIRTIO_MMIO_INTERRUPT_STATUS, 4), 0);
	assert_int_not_equal(worker_rd(w, VIRTIO_MMIO_CONFIG_GENERATION, 4), generation);
	assert_int_equal(worker_rd(w, 0x100, 1), 0x21);
	assert_int_equal(worker_count(w, &w->fresh), 1);
	assert_int_equal(worker_count(w, &w->kept), 1);
	worker_assert_one_connection(w);
}

/* A call that the dead process took and did not pass on; and one that it did not take. */
static void test_calls(void **state)
{
	struct worker *w = *state;

	worker_boot(w);
	worker_kill(w);
	fake_call(w->g->backend, 2);
	worker_start(w);
	worker_wait_fd(w, w->irq);
	assert_true(worker_rd(w, VIRTIO_MMIO_INTERRUPT_STATUS, 4) & VIRTIO_MMIO_INT_VRING);
	worker_wr(w, VIRTIO_MMIO_INTERRUPT_ACK, 4, 1);
	for (unsigned i = 0; i < 3; i++) {
		fake_call(w->g->backend, 0);
		do
			worker_wait_fd(w, w->irq);
		while (!worker_rd(w, VIRTIO_MMIO_INTERRUPT_STATUS, 4));
		worker_wr(w, VIRTIO_MMIO_INTERRUPT_ACK, 4, 1);
	}
}

static void test_config_changed(void **state)
{
	struct worker *w = *state;

	worker_boot(w);
	assert_int_equal(worker_rd(w, 0x104, 1), 0x14);
	worker_kill(w);
	pthread_mutex_lock(&w->g->backend->lock);
	w->g->backend->config[4] = 0x99;
	pthread_mutex_unlock(&w->g->backend->lock);
	worker_start(w);
	assert_int_equal(worker_rd(w, 0x104, 1), 0x99);
	assert_int_equal(worker_rd(w, VIRTIO_MMIO_INTERRUPT_STATUS, 4),
		VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG);
	worker_kill(w);
	pthread_mutex_lock(&w->g->backend->lock);
	w->g->backend->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	pthread_mutex_unlock(&w->g->backend->lock);
	worker_start(w);
	for (unsigned i = 0; i < WAIT_MS; i++)
		if (worker_rd(w, VIRTIO_MMIO_STATUS, 4) & VIRTIO_CONFIG_S_NEEDS_RESET)
			break;
	assert_int_equal(worker_rd(w, VIRTIO_MMIO_STATUS, 4), S_ALL | VIRTIO_CONFIG_S_NEEDS_RESET);
	worker_assert_one_connection(w);
}

static void test_probing(void **state)
{
	struct worker *w = *state;

	worker_begin(w, 0, VIRTIO_MMIO_DEVICE_ID, 4, false, 0);
	worker_die_at(w, "GET_QUEUE_NUM");
	worker_start(w);
	assert_int_equal(worker_wait(w, 0), 42);
	worker_assert_died(w);
	/* Half a negotiation is nothing to go on with. */
	assert_int_equal(worker_count(w, &w->fresh), 2);
	assert_int_equal(worker_count(w, &w->kept), 0);
	worker_driver_ok(w, FEATURES);
	worker_assert_registers(w);
}

static void test_packed(void **state)
{
	struct worker *w = *state;

	worker_start(w);
	worker_driver_ok(w, FEATURES | VU_BIT(VIRTIO_F_RING_PACKED));
	WAIT_UNTIL_LOCKED(&w->g->backend->lock, w->g->backend->ring[0].base == 0x80008001);
	worker_kill(w);
	worker_start(w);
	worker_assert_registers(w);
	assert_int_equal(fake_ring(w->g->backend, 0).from, 0x80008001);
}

/* The kernel has the eventfds; they are the same ones. */
static void test_kernel(void **state)
{
	struct worker *w = *state;
	struct pollfd pfd = { .fd = w->call[2], .events = POLLIN };
	uint32_t rises;

	w->shared->kernel = true;
	worker_boot(w);
	rises = w->shared->rises;
	worker_kill(w);
	worker_start(w);
	assert_int_equal(worker_rd(w, VIRTIO_MMIO_INTERRUPT_STATUS, 4), VIRTIO_MMIO_INT_VRING);
	worker_wr(w, VIRTIO_MMIO_INTERRUPT_ACK, 4, 1);
	assert_int_equal(worker_rd(w, VIRTIO_MMIO_INTERRUPT_STATUS, 4), VIRTIO_MMIO_INT_VRING);
	assert_int_equal(w->shared->rises, rises + 1);
	fake_call(w->g->backend, 2);
	assert_int_equal(poll(&pfd, 1, 0), 1);
	eventfd_write(w->kick[2], 1);
	WAIT_UNTIL_LOCKED(&w->g->backend->lock, w->g->backend->ring[2].base >= 3);
}

/* The process, then its back-end, then both: it is the same record of what is in flight. */
static void test_area(void **state)
{
	struct worker *w = *state;
	struct fake_backend *p = w->g->backend;
	const char *again = "SET_MEM_TABLE SET_INFLIGHT_FD SET_VRING_NUM/0 ";

	p->protocol |= VU_BIT(VU_F_INFLIGHT_SHMFD);
	worker_start(w);
	worker_driver_ok(w, FEATURES | VU_BIT(VIRTIO_F_RING_PACKED));
	worker_wait_trace(w, "GET_INFLIGHT_FD SET_INFLIGHT_FD SET_VRING_NUM/0 ");
	worker_kill(w);
	worker_start(w);
	worker_wait_trace(w, again);
	g_free(fake_trace(p));
	fake_down(p);
	fake_up(p);
	worker_wait_trace(w, "SET_INFLIGHT_FD SET_VRING_NUM/0 ");
	worker_wait_trace(w, "SET_STATUS=0xf");
	g_free(fake_trace(p));
	worker_kill(w);
	fake_down(p);
	worker_start(w);
	worker_assert_registers(w);
	fake_up(p);
	worker_wait_trace(w, "SET_INFLIGHT_FD SET_VRING_NUM/0 ");
	worker_assert_registers(w);
	/* A driver that starts anew gets another, and that is kept then. */
	worker_driver_ok(w, FEATURES);
	worker_wait_trace(w, "GET_INFLIGHT_FD SET_INFLIGHT_FD SET_VRING_NUM/0 ");
	g_free(fake_trace(p));
	worker_kill(w);
	worker_start(w);
	worker_wait_trace(w, again);
	worker_assert_registers(w);
	pthread_mutex_lock(&p->lock);
	assert_int_equal(p->areas, 2);
	pthread_mutex_unlock(&p->lock);
}

/* It was not kept. What was in flight when both died is unknown: the driver must start anew. */
static void test_area_lost(void **state)
{
	struct worker *w = *state;
	struct fake_backend *p = w->g->backend;
	unsigned i;

	p->protocol |= VU_BIT(VU_F_INFLIGHT_SHMFD);
	worker_boot(w);
	worker_kill(w);
	fd_close(&w->area);
	fake_down(p);
	worker_start(w);
	worker_assert_registers(w);
	fake_up(p);
	for (i = 0; i < WAIT_MS; i++)
		if (worker_rd(w, VIRTIO_MMIO_STATUS, 4) == (S_ALL | VIRTIO_CONFIG_S_NEEDS_RESET))
			break;
	assert_true(i < WAIT_MS);
	worker_driver_ok(w, FEATURES);
	worker_assert_registers(w);
}

/* The back-end went with the process: a loss like any other. */
static void test_back_end_gone(void **state)
{
	struct worker *w = *state;

	worker_boot(w);
	worker_kill(w);
	fake_down(w->g->backend);
	w->g->memory[device_of(2) - MEMORY + 2] = 3;
	worker_start(w);
	/* The driver's registers work meanwhile. */
	worker_assert_registers(w);
	worker_wr(w, VIRTIO_MMIO_QUEUE_SEL, 4, 0);
	worker_wr(w, VIRTIO_MMIO_QUEUE_READY, 4, 0);
	worker_kill(w);
	worker_start(w);
	assert_int_equal(worker_rd(w, VIRTIO_MMIO_QUEUE_READY, 4), 0);
	fake_up(w->g->backend);
	WAIT_UNTIL_LOCKED(&w->g->backend->lock, w->g->backend->ring[2].base > 3);
	assert_int_equal(fake_ring(w->g->backend, 2).from, 3);
	assert_false(fake_ring(w->g->backend, 0).enabled);
	/* That one is to go on with again. */
	worker_kill(w);
	worker_start(w);
	assert_int_equal(worker_rd(w, VIRTIO_MMIO_STATUS, 4), S_ALL);
	assert_int_equal(worker_count(w, &w->kept), 2);
}

/* Waits until the only dial is over: the state does not change any more. */
static void wait_refused(struct guest *g)
{
	bool refused = false;

	for (unsigned i = 0; !refused && i < WAIT_MS; i++) {
		g_autoptr(GError) error = NULL;

		assert_false(vmm_dev_wait(g->d, 1, &error));
		refused = !strstr(error->message, "no answer from the back-end yet");
	}
	assert_true(refused);
}

/* In one process: a copy of the state is what a death would have left. */
static void test_empty(void **state)
{
	struct worker *w = *state;
	struct guest *g = w->g;
	size_t size = vmm_dev_state_size();
	g_autofree void *copy = g_malloc(size);
	g_autofree void *used = g_malloc0(size);
	g_autoptr(GError) error = NULL;

	g->config.state = used;
	g->config.retry_ms = WAIT_MS;
	fake_down(g->backend);
	guest_new_dev(g);
	wait_refused(g);
	vmm_dev_give_up(g->d);
	memcpy(copy, used, size);
	g_clear_pointer(&g->d, vmm_dev_free);
	fake_up(g->backend);
	g->config.state = copy;
	guest_new_dev(g);
	assert_false(vmm_dev_wait(g->d, 20, NULL));
	assert_int_equal(
		vmm_dev_access(g->d, 8, 4, false, &(uint64_t){ 0 }, NULL), VIRTIO_MMIO_DONE);
	assert_int_equal(g->backend->connections, 0);
	g_clear_pointer(&g->d, vmm_dev_free);
	/* What was freed is a new device's again. */
	guest_new_dev(g);
	assert_true(vmm_dev_wait(g->d, WAIT_MS, NULL));
	g_clear_pointer(&g->d, vmm_dev_free);
	memset(copy, 0x5a, size);
	assert_null(vmm_dev_new(&g->config, &g->ops, g, &error));
	assert_non_null(strstr(error->message, "dev0: the state is not one"));
}

/* A bool that is neither false nor true is not read as one. */
static void test_damaged_bool(void **state)
{
	struct worker *w = *state;
	struct vmm_state *left = (struct vmm_state *)w->shared->vmm;
	g_autoptr(GError) error = NULL;

	worker_boot(w);
	worker_kill(w);
	memset(&left->mmio.reg.queue[VIRTIO_MAX_QUEUES - 1].ready, 2, 1);
	w->g->config.state = left;
	assert_null(vmm_dev_new(&w->g->config, &w->g->ops, w->g, &error));
	assert_non_null(strstr(error->message, "dev0: the state is not one"));
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		TEST_WITH(worker, test_running),
		TEST_WITH(worker, test_calls),
		TEST_WITH(worker, test_config_changed),
		TEST_WITH(worker, test_probing),
		TEST_WITH(worker, test_packed),
		TEST_WITH(worker, test_kernel),
		TEST_WITH(worker, test_area),
		TEST_WITH(worker, test_area_lost),
		TEST_WITH(worker, test_back_end_gone),
		TEST_WITH(worker, test_empty),
		TEST_WITH(worker, test_damaged_bool),
	};

	worker_main(argc, argv);
	return cmocka_run_group_tests_name("vmm_takeover", tests, NULL, NULL);
}
