/* SPDX-License-Identifier: Apache-2.0 */
/* Shared memory windows: their guest addresses, and what the guest would read there. */
#include "tests/lib/test.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "base/util.h"
#include "fake_vm.h"
#include "kvm-stub/layout.h"
#include "kvm-stub/machine/shm.h"
#include "kvm-stub/machine/slots.h"
#include "tests/lib/dumped.h"
#include "tests/lib/fake_backend.h"

#define PAGE UINT64_C(4096)
#define GIB UINT64_C(0x40000000)

struct shm_test {
	struct test test;
	struct fake_vm vm;
	struct ram *ram;
	struct shm *shm;
};

static int setup(void **state)
{
	struct shm_test *w = g_new0(struct shm_test, 1);

	test_begin(&w->test);
	pthread_mutex_init(&w->vm.lock, NULL);
	w->ram = ram_new(1 << 20, NULL);
	w->shm = shm_new(fake_vm(&w->vm), w->ram);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct shm_test *w = *state;

	shm_free(w->shm);
	ram_free(w->ram);
	pthread_mutex_destroy(&w->vm.lock);
	test_end(&w->test);
	g_free(w);
	return 0;
}

static uint64_t reserve(struct shm_test *w, unsigned slot, uint8_t id, uint64_t size)
{
	g_autoptr(GError) error = NULL;
	uint64_t base = 0;

	if (!shm_reserve(w->shm, slot, id, size, &base, &error))
		fail_msg("%s", error->message);
	assert_int_equal(w->vm.window[w->vm.n_windows - 1].addr, base);
	assert_int_equal(w->vm.window[w->vm.n_windows - 1].size, size);
	return base;
}

static void test_addresses(void **state)
{
	struct shm_test *w = *state;
	const uint64_t low = SHM_LOW_END - SHM_LOW_START;
	uint64_t a = reserve(w, 0, 1, PAGE), b = reserve(w, 0, 2, PAGE), c, d;
	g_autoptr(GError) error = NULL;

	/* Small ones where any guest finds them. */
	assert_int_equal(a, SHM_LOW_START);
	assert_true(b > a && b + PAGE <= SHM_LOW_END);
	c = reserve(w, 1, 1, low);
	assert_true(c >= SHM_HIGH_START && c >= RAM_BASE + w->ram->size);
	d = reserve(w, 1, 2, PAGE);
	assert_true(d > b && d + PAGE <= SHM_LOW_END);
	/* No address, and no memory slot. */
	assert_false(shm_reserve(w->shm, 2, 0, UINT64_C(1) << 46, &a, &error));
	g_clear_error(&error);
	assert_false(shm_reserve(w->shm, 2, 0, PAGE, &a, &error));
	assert_string_equal(error->message, "no memory slot is free");
}

static void test_above_all_ram(void **state)
{
	struct shm_test *w = *state;
	struct ram *large = ram_new(8 * GIB, NULL);
	struct shm *s = shm_new(fake_vm(&w->vm), large);
	const struct mem_region_desc *last = &large->region[large->n_regions - 1];
	uint64_t base;

	assert_true(shm_reserve(s, 0, 0, GIB, &base, NULL));
	assert_true(base >= last->guest_addr + last->size);
	shm_free(s);
	ram_free(large);
}

/* Makes a file of n pages; page i is full of bytes 0x10 + i. */
static int make_file(unsigned n)
{
	int fd = memfd_create("shared", MFD_CLOEXEC);
	uint8_t page[PAGE];

	for (unsigned i = 0; i < n; i++) {
		memset(page, 0x10 + (int)i, PAGE);
		assert_int_equal(write(fd, page, PAGE), PAGE);
	}
	return fd;
}

static void test_contents(void **state)
{
	struct shm_test *w = *state;
	autofd file = make_file(3), event = eventfd(0, EFD_CLOEXEC);
	struct vu_front_mapping m = { .id = 1,
		.fd = file,
		.at = PAGE,
		.len = 2 * PAGE,
		.fd_offset = PAGE,
		.writable = true };
	uint8_t *host, byte;

	reserve(w, 0, 0, PAGE);
	reserve(w, 3, 1, 4 * PAGE);
	host = w->vm.window[1].host;
	assert_int_equal(host[PAGE], 0);
	assert_int_equal(shm_map(w->shm, 3, &m), 0);
	assert_int_equal(host[0], 0);
	assert_int_equal(host[PAGE], 0x11);
	assert_int_equal(host[3 * PAGE - 1], 0x12);
	assert_int_equal(host[3 * PAGE], 0);
	/* The guest's writes are the file's. */
	host[PAGE] = 0x77;
	assert_int_equal(pread(file, &byte, 1, PAGE), 1);
	assert_int_equal(byte, 0x77);
	/* What cannot be mapped leaves zeroes. */
	m.fd = event;
	assert_int_equal(shm_map(w->shm, 3, &m), ENODEV);
	assert_int_equal(host[PAGE], 0);
	m.fd = file;
	assert_int_equal(shm_map(w->shm, 3, &m), 0);
	assert_int_equal(host[PAGE], 0x77);
	shm_unmap(w->shm, 3, 1, 0, 4 * PAGE);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(host[i * PAGE], 0);
	host[PAGE] = 1; /* the guest's own, and no error */
	assert_int_equal(pread(file, &byte, 1, PAGE), 1);
	assert_int_equal(byte, 0x77);
}

static void test_limit_not_dumped(void **state)
{
	struct shm_test *w = *state;
	autofd file = make_file(1);
	const struct vu_front_mapping m = { .fd = file, .len = PAGE };
	uint8_t *host;

	reserve(w, 0, 0, 2 * PAGE);
	host = w->vm.window[0].host;
	assert_false(is_dumped(host));
	assert_int_equal(shm_map(w->shm, 0, &m), 0);
	assert_false(is_dumped(host));
	assert_false(is_dumped(host + PAGE));
}

/* From a back-end's request to what the guest reads, on the bus. */
struct slot_test {
	struct fake_backend *backend;
	struct bus *bus;
	struct bus_wait *wait;
	struct slots *slots;
};

static bool go_on(void *opaque)
{
	return true;
}

static void start_machine(struct shm_test *w, struct slot_test *m)
{
	const char *sock = test_path(&w->test, "sock");
	g_autofree char *text = g_strdup_printf("socket=%s", sock);
	struct device_spec *spec = device_spec_parse(text, NULL);
	struct slots_config config = { .n_specs = 1,
		.specs = &spec,
		.wait_ms = TEST_WAIT_MS,
		.go_on = go_on,
		.vm = fake_vm(&w->vm),
		.ram = w->ram };

	m->backend = fake_new(sock);
	m->backend->protocol |= VU_BIT(VU_F_BACKEND_SEND_FD) | VU_BIT(VU_F_SHMEM);
	m->backend->shm.n_regions = 1;
	m->backend->shm.size[5] = 4 * PAGE;
	fake_up(m->backend);
	m->bus = config.bus = bus_new();
	m->wait = bus_wait_new();
	spec->front.deadline_ms = TEST_WAIT_MS;
	m->slots = slots_new(&config, NULL);
	assert_non_null(m->slots);
	device_spec_free(spec);
}

static void end_machine(struct slot_test *m)
{
	slots_free(m->slots);
	fake_free(m->backend);
	bus_wait_free(m->wait);
	bus_free(m->bus);
}

static uint64_t reg(struct slot_test *m, bool write, uint64_t offset, uint64_t value)
{
	assert_true(
		bus_access(m->bus, m->wait, BUS_MMIO, virtio_addr(0) + offset, 4, write, &value));
	return value;
}

/* Synchronizes: the answer on the socket comes after the mapping, which TSan does not see. */
__attribute__((no_sanitize_thread, noinline)) static uint8_t byte_at(const uint8_t *p)
{
	return *(const volatile uint8_t *)p;
}

static void test_end_to_end(void **state)
{
	struct shm_test *w = *state;
	struct slot_test m;
	autofd file = make_file(1);
	const struct vu_shmem_map map = { .id = 5, .shm_offset = 2 * PAGE, .len = PAGE };
	uint8_t *host;

	start_machine(w, &m);
	reg(&m, true, VIRTIO_MMIO_SHM_SEL, 5);
	assert_int_equal(reg(&m, false, VIRTIO_MMIO_SHM_LEN_LOW, 0), 4 * PAGE);
	assert_int_equal(reg(&m, false, VIRTIO_MMIO_SHM_BASE_LOW, 0), SHM_LOW_START);
	assert_int_equal(w->vm.window[0].addr, SHM_LOW_START);
	host = w->vm.window[0].host + 2 * PAGE;
	assert_int_equal(fake_shm(m.backend, VU_BACKEND_SHMEM_MAP, &map, file), 0);
	assert_int_equal(byte_at(host), 0x10);
	reg(&m, true, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(byte_at(host), 0);
	/* So also at a reboot. */
	assert_int_equal(fake_shm(m.backend, VU_BACKEND_SHMEM_MAP, &map, file), 0);
	assert_int_equal(byte_at(host), 0x10);
	slots_reset(m.slots);
	assert_int_equal(byte_at(host), 0);
	end_machine(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_addresses),
		TEST(test_above_all_ram),
		TEST(test_contents),
		TEST(test_limit_not_dumped),
		TEST(test_end_to_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
