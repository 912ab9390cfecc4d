/* SPDX-License-Identifier: Apache-2.0 */
/* The record of requests in flight: which back-end gets which area, and who goes on with it. */
#include "guest.h"

#include <unistd.h>
#include <sys/stat.h>

#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define PART 4096
#define PACKED (VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_F_RING_PACKED))
#define MARK 0x5a

static void offer(struct guest *g, bool offered)
{
	const uint64_t bit = VU_BIT(VU_F_INFLIGHT_SHMFD);

	g->backend->protocol = offered ? g->backend->protocol | bit : g->backend->protocol & ~bit;
}

/* Waits until the back-end is told of DRIVER_OK again. */
static void back_again(struct guest *g)
{
	fake_up(g->backend);
	WAIT_UNTIL_LOCKED(&g->backend->lock, g->backend->status == S_ALL);
}

/* Returns the area that the back-end has; the caller's. -1: none. */
static int area_of(struct guest *g)
{
	int fd;

	pthread_mutex_lock(&g->backend->lock);
	fd = g->backend->area_fd < 0 ? -1 : dup(g->backend->area_fd);
	pthread_mutex_unlock(&g->backend->lock);
	return fd;
}

static unsigned areas(struct guest *g)
{
	unsigned n;

	pthread_mutex_lock(&g->backend->lock);
	n = g->backend->areas;
	pthread_mutex_unlock(&g->backend->lock);
	return n;
}

/* Records something of each queue, as the back-end. */
static void mark(struct guest *g)
{
	const uint8_t byte = MARK;
	int fd = area_of(g);

	assert_true(fd >= 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pwrite(fd, &byte, 1, i * PART + 100), 1);
	close(fd);
}

static uint8_t mark_of(struct guest *g, unsigned queue)
{
	int fd = area_of(g);
	uint8_t byte = 0;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, queue * PART + 100), 1);
	close(fd);
	return byte;
}

static void packed_driver_ok(struct guest *g)
{
	guest_features(g, PACKED);
	guest_queue(g, 0, 100);
	wr32(g, VIRTIO_MMIO_STATUS, S_ALL);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL);
}

static void test_asked_once(void **state)
{
	struct guest *g = *state;
	g_autofree char *trace = NULL;
	int fd;

	offer(g, true);
	guest_start(g);
	guest_features(g, VU_BIT(VIRTIO_F_VERSION_1));
	guest_queue(g, 0, 16);
	assert_int_equal(areas(g), 0);
	g_free(fake_trace(g->backend));
	wr32(g, VIRTIO_MMIO_STATUS, S_ALL);
	guest_queue(g, 2, 16);
	trace = fake_trace(g->backend);
	assert_true(g_str_has_prefix(
		trace, "GET_INFLIGHT_FD SET_INFLIGHT_FD SET_VRING_NUM/0 SET_VRING_BASE/0 "));
	assert_null(strstr(strstr(trace, "SET_VRING_NUM/0"), "INFLIGHT"));
	assert_non_null(strstr(trace, "SET_VRING_NUM/2"));
	assert_int_equal(g->backend->area.num_queues, 3);
	assert_int_equal(g->backend->area.queue_size, 256);
	assert_int_equal(g->backend->area.mmap_size, 3 * PART);
	fd = area_of(g);
	assert_true(fd >= 0);
	close(fd);
}

static void test_not_offered(void **state)
{
	struct guest *g = *state;
	g_autofree char *trace = NULL;

	guest_start(g);
	guest_driver_ok(g);
	trace = fake_trace(g->backend);
	assert_null(strstr(trace, "INFLIGHT"));
	assert_int_equal(areas(g), 0);
}

static void test_next_back_end(void **state)
{
	struct guest *g = *state;
	g_autofree char *trace = NULL;

	offer(g, true);
	guest_start(g);
	guest_driver_ok(g);
	mark(g);
	for (unsigned i = 1; i < 4; i++) {
		g_clear_pointer(&trace, g_free);
		fake_down(g->backend);
		g->memory[device_of(2) - MEMORY + 2] = (uint8_t)i;
		back_again(g);
		assert_int_equal(mark_of(g, 0), MARK);
		assert_int_equal(fake_ring(g->backend, 0).from, 0);
		assert_int_equal(fake_ring(g->backend, 2).from, i);
		trace = fake_trace(g->backend);
		assert_non_null(strstr(trace, "SET_INFLIGHT_FD SET_VRING_NUM/0"));
		assert_null(strstr(trace, "GET_INFLIGHT_FD"));
	}
	assert_int_equal(areas(g), 1);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL);
}

static void test_packed(void **state)
{
	struct guest *g = *state;

	offer(g, true);
	guest_start(g);
	packed_driver_ok(g);
	mark(g);
	for (unsigned i = 0; i < 2; i++) {
		fake_down(g->backend);
		back_again(g);
		WAIT_UNTIL_LOCKED(&g->backend->lock, g->backend->ring[0].kicks >= 1);
		/* As at first: what became of it since the area says. */
		assert_int_equal(fake_ring(g->backend, 0).from, 0x80008000);
		assert_int_equal(mark_of(g, 0), MARK);
		assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL);
	}
}

/* Hides memory: a used ring that cannot be read here. */
static unsigned hidden_memory(void *opaque, struct vmm_dev *d,
	const struct virtio_mmio_queue *ready, unsigned n_ready, bool packed,
	const struct mem_region_desc **desc, const int **fds)
{
	struct guest *g = opaque;

	*desc = &g->desc;
	*fds = g->own;
	return 1;
}

static void test_hidden_ring(void **state)
{
	struct guest *g = *state;
	int unmappable = eventfd(0, EFD_CLOEXEC);

	g->ops.memory = hidden_memory;
	g->own = &unmappable;
	offer(g, true);
	guest_start(g);
	guest_driver_ok(g);
	fake_down(g->backend);
	back_again(g);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL);
	assert_true(fake_ring(g->backend, 2).enabled);
	g_clear_pointer(&g->d, vmm_dev_free);
	fake_down(g->backend);
	close(unmappable);
}

static void test_reset(void **state)
{
	struct guest *g = *state;
	g_autofree char *trace = NULL;

	offer(g, true);
	guest_start(g);
	guest_driver_ok(g);
	mark(g);
	guest_driver_ok(g);
	assert_int_equal(areas(g), 2);
	assert_int_equal(mark_of(g, 0), 0);
	mark(g);
	/* One that the back-end is not told of. */
	fake_down(g->backend);
	guest_driver_ok(g);
	back_again(g);
	trace = fake_trace(g->backend);
	assert_non_null(strstr(trace, "GET_INFLIGHT_FD SET_INFLIGHT_FD "));
	assert_int_equal(areas(g), 3);
	assert_int_equal(mark_of(g, 0), 0);
}

/* It begins anew, the others do not. */
static void test_queue_restart(void **state)
{
	struct guest *g = *state;

	offer(g, true);
	guest_start(g);
	guest_driver_ok(g);
	mark(g);
	wr32(g, VIRTIO_MMIO_QUEUE_SEL, 2);
	wr32(g, VIRTIO_MMIO_QUEUE_READY, 0);
	guest_queue(g, 2, 64);
	assert_int_equal(mark_of(g, 2), 0);
	assert_int_equal(mark_of(g, 0), MARK);
	/* Also after a time without a back-end. */
	mark(g);
	wr32(g, VIRTIO_MMIO_QUEUE_SEL, 2);
	wr32(g, VIRTIO_MMIO_QUEUE_READY, 0);
	fake_down(g->backend);
	guest_queue(g, 2, 64);
	back_again(g);
	assert_int_equal(mark_of(g, 2), 0);
	assert_int_equal(mark_of(g, 0), MARK);
	assert_int_equal(areas(g), 1);
}

/* A back-end that cannot know what the lost one had in flight does not go on. */
static void test_record_lost(void **state)
{
	struct guest *g = *state;

	offer(g, true);
	guest_start(g);
	guest_driver_ok(g);
	fake_down(g->backend);
	offer(g, false);
	back_again(g);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL | NEEDS_RESET);
	assert_false(fake_ring(g->backend, 0).enabled);
	/*
	 * A driver that starts anew is fine, and so is one after the next loss: nothing is
	 * recorded.
	 */
	guest_driver_ok(g);
	fake_down(g->backend);
	offer(g, true);
	g->memory[device_of(2) - MEMORY + 2] = 5;
	back_again(g);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL);
	assert_int_equal(fake_ring(g->backend, 2).from, 5);
	/* From here on it is. */
	mark(g);
	fake_down(g->backend);
	back_again(g);
	assert_int_equal(mark_of(g, 2), MARK);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL);
}

static void test_refused(void **state)
{
	struct guest *g = *state;

	offer(g, true);
	fake_quirk(g->backend, VU_SET_INFLIGHT_FD, FAKE_REFUSE);
	guest_start(g);
	guest_driver_ok(g);
	assert_int_equal(area_of(g), -1);
	assert_true(fake_ring(g->backend, 2).enabled);
	fake_down(g->backend);
	fake_behave(g->backend);
	g->memory[device_of(2) - MEMORY + 2] = 5;
	back_again(g);
	assert_int_equal(fake_ring(g->backend, 2).from, 5);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL);
	/* One that has it already and is refused is no record. */
	fake_down(g->backend);
	fake_quirk(g->backend, VU_SET_INFLIGHT_FD, FAKE_REFUSE);
	back_again(g);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL | NEEDS_RESET);
}

static void test_none_to_give(void **state)
{
	struct guest *g = *state;
	g_autofree char *trace = NULL;

	offer(g, true);
	fake_quirk(g->backend, VU_GET_INFLIGHT_FD, FAKE_ECHO);
	guest_start(g);
	guest_features(g, VU_BIT(VIRTIO_F_VERSION_1));
	guest_queue(g, 0, 16);
	g_free(fake_trace(g->backend));
	wr32(g, VIRTIO_MMIO_STATUS, S_ALL);
	trace = fake_trace(g->backend);
	assert_true(g_str_has_prefix(trace, "GET_INFLIGHT_FD SET_VRING_NUM/0 "));
	assert_true(fake_ring(g->backend, 0).enabled);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST_WITH(guest, test_asked_once),
		TEST_WITH(guest, test_not_offered),
		TEST_WITH(guest, test_next_back_end),
		TEST_WITH(guest, test_packed),
		TEST_WITH(guest, test_hidden_ring),
		TEST_WITH(guest, test_reset),
		TEST_WITH(guest, test_queue_restart),
		TEST_WITH(guest, test_record_lost),
		TEST_WITH(guest, test_refused),
		TEST_WITH(guest, test_none_to_give),
	};

	return cmocka_run_group_tests_name("vmm_inflight", tests, NULL, NULL);
}
