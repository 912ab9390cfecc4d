/* SPDX-License-Identifier: Apache-2.0 */
/* Shared memory regions: from the SHM registers to what the hypervisor is asked to map. */
#include "guest.h"

#include <sys/mman.h>

#include "base/util.h"

#define PAGE UINT64_C(4096)
#define LEN (4 * PAGE)
#define WINDOW UINT64_C(0x123450000)
#define ABSENT UINT64_MAX

/* The hypervisor's side; under the guest's lock. */
static struct {
	unsigned reserved, pages; /* windows, and pages mapped */
	bool full; /* there is no room for a window */
} windows;

static bool on_reserve(
	void *opaque, struct vmm_dev *d, uint8_t id, uint64_t size, uint64_t *base, GError **error)
{
	windows.reserved++;
	*base = WINDOW + id * PAGE;
	if (windows.full)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC, "there is no room");
	return !windows.full;
}

static int on_map_shm(void *opaque, struct vmm_dev *d, const struct vu_front_mapping *m)
{
	struct guest *g = opaque;

	pthread_mutex_lock(&g->lock);
	windows.pages += m->len / PAGE;
	pthread_mutex_unlock(&g->lock);
	return m->id == 1 ? 0 : EIO;
}

static void on_unmap_shm(void *opaque, struct vmm_dev *d, uint8_t id, uint64_t at, uint64_t len)
{
	struct guest *g = opaque;

	pthread_mutex_lock(&g->lock);
	windows.pages = 0;
	pthread_mutex_unlock(&g->lock);
}

static int setup(void **state)
{
	struct guest *g;

	memset(&windows, 0, sizeof(windows));
	guest_setup(state);
	g = *state;
	g->ops.shm_reserve = on_reserve;
	g->ops.shm_map = on_map_shm;
	g->ops.shm_unmap = on_unmap_shm;
	fake_down(g->backend);
	g->backend->protocol |= VU_BIT(VU_F_BACKEND_SEND_FD) | VU_BIT(VU_F_SHMEM);
	g->backend->shm.n_regions = 1;
	g->backend->shm.size[1] = LEN;
	fake_up(g->backend);
	return 0;
}

static uint64_t rd64(struct guest *g, uint64_t off)
{
	uint64_t low = rd32(g, off);

	return low | (uint64_t)rd32(g, off + 4) << 32;
}

static void expect_region(struct guest *g, uint32_t id, uint64_t base, uint64_t len)
{
	wr32(g, VIRTIO_MMIO_SHM_SEL, id);
	assert_true(rd64(g, VIRTIO_MMIO_SHM_LEN_LOW) == len);
	assert_true(rd64(g, VIRTIO_MMIO_SHM_BASE_LOW) == base);
}

static unsigned mapped_pages(struct guest *g)
{
	unsigned n;

	pthread_mutex_lock(&g->lock);
	n = windows.pages;
	pthread_mutex_unlock(&g->lock);
	return n;
}

static int64_t map(struct guest *g, uint8_t id, uint64_t at, uint64_t len)
{
	autofd fd = memfd_create("shared", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, LEN), 0);
	return fake_shm(g->backend, VU_BACKEND_SHMEM_MAP,
		&(struct vu_shmem_map){ .id = id, .shm_offset = at, .len = len }, fd);
}

static void test_registers(void **state)
{
	struct guest *g = *state;

	guest_start(g);
	expect_region(g, 1, WINDOW + PAGE, LEN);
	expect_region(g, 0, ABSENT, ABSENT);
	expect_region(g, 2, ABSENT, ABSENT);
	expect_region(g, 257, ABSENT, ABSENT);
	assert_int_equal(windows.reserved, 1);
}

/* As under Xen. */
static void test_hypervisor_without(void **state)
{
	struct guest *g = *state;

	g->ops.shm_reserve = NULL;
	guest_start(g);
	expect_region(g, 1, ABSENT, ABSENT);
	guest_driver_ok(g);
	assert_false(g->backend->acked & VU_BIT(VU_F_SHMEM));
	assert_int_equal(map(g, 1, 0, PAGE), EOPNOTSUPP);
}

static void test_no_room(void **state)
{
	struct guest *g = *state;

	windows.full = true;
	guest_start(g);
	expect_region(g, 1, ABSENT, ABSENT);
	guest_driver_ok(g);
	assert_int_equal(map(g, 1, 0, PAGE), EOPNOTSUPP);
	assert_int_equal(mapped_pages(g), 0);
}

static void test_map_and_reset(void **state)
{
	struct guest *g = *state;

	guest_start(g);
	guest_driver_ok(g);
	assert_int_equal(map(g, 1, 0, 2 * PAGE), 0);
	assert_int_equal(mapped_pages(g), 2);
	assert_int_equal(map(g, 1, LEN, PAGE), ERANGE);
	/* The write of 0 to Status completes when nothing is mapped any more. */
	wr32(g, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(mapped_pages(g), 0);
	/* The region stays, and a driver that starts again can have the same. */
	expect_region(g, 1, WINDOW + PAGE, LEN);
	guest_driver_ok(g);
	assert_int_equal(map(g, 1, 0, 2 * PAGE), 0);
}

static void test_unmap(void **state)
{
	struct guest *g = *state;

	guest_start(g);
	guest_driver_ok(g);
	assert_int_equal(map(g, 1, PAGE, PAGE), 0);
	assert_int_equal(fake_shm(g->backend, VU_BACKEND_SHMEM_UNMAP,
				 &(struct vu_shmem_map){ .id = 1, .len = LEN }, -1),
		0);
	assert_int_equal(mapped_pages(g), 0);
}

static void test_loss(void **state)
{
	struct guest *g = *state;

	guest_start(g);
	guest_driver_ok(g);
	assert_int_equal(map(g, 1, 0, PAGE), 0);
	fake_down(g->backend);
	WAIT_UNTIL_LOCKED(&g->lock, windows.pages == 0);
	/* The one that comes back has no window reserved anew, and finds the old. */
	fake_up(g->backend);
	WAIT_UNTIL_LOCKED(&g->backend->lock, g->backend->ring[0].enabled);
	expect_region(g, 1, WINDOW + PAGE, LEN);
	assert_int_equal(windows.reserved, 1);
	assert_int_equal(map(g, 1, 0, PAGE), 0);
}

static void test_comes_back_with_another_region(void **state)
{
	struct guest *g = *state;

	guest_start(g);
	guest_driver_ok(g);
	fake_down(g->backend);
	g->backend->shm.size[1] = 2 * LEN;
	fake_up(g->backend);
	WAIT_UNTIL(rd32(g, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static int teardown(void **state)
{
	return guest_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_registers),
		TEST(test_hypervisor_without),
		TEST(test_no_room),
		TEST(test_map_and_reset),
		TEST(test_unmap),
		TEST(test_loss),
		TEST(test_comes_back_with_another_region),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
