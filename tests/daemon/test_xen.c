/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions for a guest of Xen, which is a fake: its memory by grants, by frames, and ordinary. */
#include <sys/mman.h>

#include "tests/daemon/peer.h"
#include "tests/memory/fake_xen.h"

#define GRANT (UINT64_C(1) << 63)
#define XEN_FEATURES (ALL_PROTOCOL_FEATURES | VU_BIT(VU_F_XEN_MMAP))
/* The peer's driver has queue i at i * 64 KiB: three pages of ring parts, then its buffers. */
#define QUEUE_STEP 0x10000u
#define PART 0x1000u
#define MANY 64

static int xen_setup(void **state)
{
	struct peer *p;

	peer_setup(state);
	p = *state;
	peer_disconnect(p);
	peer_options.xen = true;
	peer_make_backend(p, &toy_ops);
	peer_connect(p);
	fake_xen_start();
	assert_ptr_equal(mmap(p->mem, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
				 fake_xen.memfd, 0),
		p->mem);
	memset(p->mem, 0, MEM_SIZE);
	return 0;
}

static int xen_teardown(void **state)
{
	struct peer *p = *state;

	peer_disconnect(p);
	fake_xen_stop();
	return peer_teardown(state);
}

static void negotiate(struct peer *p)
{
	assert_int_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, XEN_FEATURES), 0);
	assert_int_equal(peer_ack(p, VU_SET_OWNER, NULL, 0, NULL, 0), 0);
	assert_int_equal(peer_ack_u64(p, VU_SET_FEATURES, DRIVER_FEATURES), 0);
}

static struct vu_region_xen xen_region(
	uint64_t guest_addr, uint64_t size, uint64_t user_addr, uint32_t flags)
{
	return (struct vu_region_xen){
		.guest_addr = guest_addr,
		.size = size,
		.user_addr = user_addr,
		.xen_flags = flags,
		.xen_domid = FAKE_DOMID,
	};
}

static uint64_t set_table(struct peer *p, const struct vu_region_xen *region, unsigned n)
{
	struct {
		struct vu_mem_table table;
		struct vu_region_xen region[MANY];
	} payload = { { n, 0 }, { { 0 } } };
	int fds[MANY];

	for (unsigned i = 0; i < n; i++) {
		payload.region[i] = region[i];
		fds[i] = fake_xen.device;
	}
	return peer_ack(
		p, VU_SET_MEM_TABLE, &payload, sizeof(payload.table) + n * sizeof(*region), fds, n);
}

/* Shares more than eight: each ring part, and what is between and after them at user address 0. */
static void share_grants(struct peer *p)
{
	struct vu_region_xen region[8 * TOY_QUEUES];
	unsigned n = 0;

	p->gpa = GRANT;
	for (unsigned q = 0; q < TOY_QUEUES; q++) {
		uint64_t at = q * QUEUE_STEP;

		for (unsigned part = 0; part < 3; part++, at += PART)
			region[n++] = xen_region(GRANT | at, PART, MEM_UVA + at, 0x2);
		region[n++] = xen_region(GRANT | at, PART, 0, 0x102);
		at += PART;
		region[n++] = xen_region(GRANT | at, QUEUE_STEP - 4 * PART, 0, 0xa);
	}
	assert_int_equal(set_table(p, region, n), 0);
}

static void start_rings(struct peer *p)
{
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		peer_setup_ring(p, i, 0);
		peer_enable(p, i, true);
	}
}

static void test_offered(void **state)
{
	struct peer *p = *state;
	uint64_t with = peer_ask(p, VU_GET_PROTOCOL_FEATURES, NULL, 0);

	assert_true(with & VU_BIT(VU_F_XEN_MMAP));
	peer_disconnect(p);
	peer_options.xen = false;
	peer_make_backend(p, &toy_ops);
	peer_connect(p);
	assert_int_equal(
		peer_ask(p, VU_GET_PROTOCOL_FEATURES, NULL, 0), with & ~VU_BIT(VU_F_XEN_MMAP));
}

/* The guest takes its ring back when it has the answer: by then it is not mapped. */
static void test_grants(void **state)
{
	struct peer *p = *state;

	negotiate(p);
	share_grants(p);
	start_rings(p);
	assert_int_equal(fake_xen.live, 3 * TOY_QUEUES);
	for (unsigned i = 0; i < 3 * RING_SIZE; i++) {
		driver_round_trip(p, 0);
		driver_round_trip(p, 1);
	}
	assert_int_equal(fake_xen.live, 3 * TOY_QUEUES);
	assert_int_equal(peer_get_base(p, 1), 3 * RING_SIZE);
	assert_int_equal(fake_xen.live, 3);
	driver_round_trip(p, 0);
	assert_int_equal(peer_ack_u64(p, VU_SET_STATUS, 0), 0);
	assert_int_equal(fake_xen.live, 0);
}

static void test_reset_unmaps(void **state)
{
	struct peer *p = *state;

	negotiate(p);
	share_grants(p);
	start_rings(p);
	driver_round_trip(p, 0);
	assert_int_equal(peer_ack(p, VU_RESET_DEVICE, NULL, 0, NULL, 0), 0);
	assert_int_equal(fake_xen.live, 0);
}

/* A front-end that goes away with requests in flight: nothing stays mapped behind them. */
static void test_disconnect(void **state)
{
	struct peer *p = *state;

	toy.mode = TOY_HOLD;
	negotiate(p);
	share_grants(p);
	start_rings(p);
	driver_submit(p, 0);
	driver_kick(p, 0);
	peer_run();
	assert_int_equal(toy.held, 1);
	peer_disconnect(p);
	eventfd_write(toy.release[0], 1);
	peer_run();
	assert_int_equal(backend_state(p->backend), BACKEND_IDLE);
	assert_int_equal(fake_xen.live, 0);
}

/* A buffer that is not granted breaks its ring, and that is all. */
static void test_bad_reference(void **state)
{
	struct peer *p = *state;

	negotiate(p);
	share_grants(p);
	start_rings(p);
	fake_xen.bad[3] = true;
	driver_submit(p, 0);
	driver_kick(p, 0);
	peer_run();
	assert_logged("cannot be mapped");
	assert_int_equal(driver_used(p, 0), 0);
	assert_int_equal(eventfd_take(p->err[0]), 1);
	driver_round_trip(p, 1);
	/* The driver resets the device, and may go on. */
	fake_xen.bad[3] = false;
	assert_int_equal(peer_ack_u64(p, VU_SET_STATUS, 0), 0);
	assert_int_equal(fake_xen.live, 0);
	assert_int_equal(peer_ack_u64(p, VU_SET_FEATURES, DRIVER_FEATURES), 0);
	driver_reset(p, 0);
	driver_reset(p, 1);
	start_rings(p);
	driver_round_trip(p, 0);

	/* One that may only be read, which shows when the answer is written. */
	fake_xen.readonly[3] = true;
	driver_submit(p, 0);
	driver_kick(p, 0);
	peer_run();
	assert_logged("a request's memory cannot be written");
	assert_int_equal(driver_used(p, 0), 1);
	driver_round_trip(p, 1);
}

/* A ring whose grants are bad is refused, and the connection lives. */
static void test_bad_ring(void **state)
{
	struct peer *p = *state;

	negotiate(p);
	share_grants(p);
	fake_xen.bad[2] = true;
	peer_setup_ring(p, 0, 0);
	assert_int_not_equal(peer_ack_state(p, VU_SET_VRING_ENABLE, 0, 1), 0);
	assert_logged("cannot map a ring's grants");
	assert_int_equal(fake_xen.live, 0);
	peer_check_served(p);
}

/* Frames; some front-ends leave user addresses undefined, and give rings by guest address. */
static void test_foreign(void **state)
{
	const uint64_t user[] = { MEM_UVA, 0, UINT64_MAX };
	struct peer *p = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(user); i++) {
		struct vu_region_xen region = xen_region(MEM_GPA, MEM_SIZE, user[i], 0x1);

		p->uva = i == 0 ? MEM_UVA : MEM_GPA;
		negotiate(p);
		assert_int_equal(set_table(p, &region, 1), 0);
		driver_reset(p, 0);
		driver_reset(p, 1);
		start_rings(p);
		driver_round_trip(p, 0);
		driver_round_trip(p, 1);
		assert_int_equal(fake_xen.batches, 2 * i + 1);
		/* The guest gave memory away: what is mapped is dropped. */
		assert_int_equal(set_table(p, &region, 1), 0);
		driver_round_trip(p, 0);
		assert_int_equal(fake_xen.batches, 2 * i + 2);
		peer_disconnect(p);
		peer_connect(p);
	}
}

/* Many banks and holes between them, and a guest that gives pages away while it works. */
static void test_many_regions(void **state)
{
	const uint64_t size = MEM_SIZE / MANY;
	struct vu_region_xen region[MANY];
	struct peer *p = *state;
	unsigned mappings;

	p->uva = MEM_GPA;
	for (unsigned i = 0; i < MANY; i++)
		region[i] = xen_region(MEM_GPA + i * size, size, 0, 0x1);
	negotiate(p);
	assert_int_equal(set_table(p, region, MANY), 0);
	start_rings(p);
	driver_round_trip(p, 0);
	mappings = peer_mappings();
	for (unsigned i = 0; i < 50; i++) {
		unsigned before = fake_xen.batches;

		driver_submit(p, 1);
		driver_kick(p, 1);
		assert_int_equal(set_table(p, region, MANY - i % 2), 0);
		driver_round_trip(p, 0);
		assert_true(fake_xen.batches > before);
		assert_int_equal(driver_used(p, 1), i + 1);
		assert_int_equal(peer_mappings(), mappings);
	}
	assert_int_equal(toy.resets, 0);
}

/* QEMU takes the feature and sends regions without its fields; others send zeroes in them. */
static void test_ordinary(void **state)
{
	struct vu_region_xen region = xen_region(MEM_GPA, MEM_SIZE, MEM_UVA, 0);
	struct {
		struct vu_mem_table table;
		struct vu_region_xen region;
	} payload = { { 1, 0 }, region };
	struct peer *p = *state;

	for (unsigned i = 0; i < 2; i++) {
		size_t size = sizeof(payload) - (i == 0 ? 8 : 0);

		negotiate(p);
		assert_int_equal(
			peer_ack(p, VU_SET_MEM_TABLE, &payload, size, &fake_xen.memfd, 1), 0);
		driver_reset(p, 0);
		driver_reset(p, 1);
		start_rings(p);
		driver_round_trip(p, 0);
		assert_int_equal(fake_xen.batches + fake_xen.grant_maps, 0);
		peer_disconnect(p);
		peer_connect(p);
	}
}

static uint64_t one_region(struct peer *p, uint32_t request, struct vu_region_xen region)
{
	struct {
		uint64_t padding;
		struct vu_region_xen region;
	} single = { 0, region };

	return peer_ack(p, request, &single, sizeof(single), &fake_xen.device, 1);
}

static void test_add_and_remove(void **state)
{
	struct vu_region_xen rings = xen_region(GRANT, 2 * QUEUE_STEP, MEM_UVA, 0x2);
	struct vu_region_xen bank = xen_region(MEM_GPA, MEM_SIZE, 0, 0x1);
	struct vu_region_xen half = xen_region(MEM_GPA, MEM_SIZE / 2, 0, 0x1);
	struct peer *p = *state;

	negotiate(p);
	assert_int_equal(one_region(p, VU_ADD_MEM_REG, rings), 0);
	assert_int_equal(one_region(p, VU_ADD_MEM_REG, bank), 0);
	start_rings(p);
	driver_round_trip(p, 0);
	assert_int_equal(one_region(p, VU_ADD_MEM_REG, bank), 0); /* once more */
	assert_int_not_equal(one_region(p, VU_ADD_MEM_REG, half), 0);
	driver_round_trip(p, 0);
	assert_int_equal(one_region(p, VU_REM_MEM_REG, rings), 0);
	assert_int_equal(fake_xen.live, 0);
}

static void test_refused(void **state)
{
	const struct {
		struct vu_region_xen region;
		const char *says;
	} bad[] = {
		{ xen_region(MEM_GPA, MEM_SIZE, 0, 0x3), "exclude each other" },
		{ xen_region(MEM_GPA, MEM_SIZE, 0, 0x9), "only grants" },
		{ xen_region(MEM_GPA, MEM_SIZE, 0, 0x101), "only grants" },
		{ xen_region(MEM_GPA, MEM_SIZE, 0, 0x80000000), "no memory type" },
		{ xen_region(GRANT | 1ull << 44, PART, 0, 0xa), "32 bits" },
		{ xen_region(GRANT, 1ull << 45, 0, 0xa), "32 bits" },
		{ xen_region(MEM_GPA, 1ull << 62, 0, 0x1), "cannot reserve addresses" },
		{ xen_region(MEM_GPA, 0, 0, 0x1), "its size is 0" },
	};
	struct vu_region_xen wrong = xen_region(MEM_GPA, MEM_SIZE, 0, 0x1);
	struct peer *p = *state;

	negotiate(p);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		log_clear();
		assert_int_not_equal(set_table(p, &bad[i].region, 1), 0);
		assert_logged(bad[i].says);
	}
	wrong.xen_domid = 0x7ff0;
	assert_int_not_equal(set_table(p, &wrong, 1), 0);
	assert_logged("no such domain");
	wrong.xen_domid = FAKE_DOMID;
	wrong.mmap_offset = PART;
	assert_int_not_equal(set_table(p, &wrong, 1), 0);
	assert_logged("its offset is not 0");
	peer_check_served(p);
}

/* Without the feature it has no meaning. */
static void test_not_negotiated(void **state)
{
	struct vu_region_xen good = xen_region(MEM_GPA, MEM_SIZE, 0, 0x1);
	struct peer *p = *state;

	peer_negotiate(p);
	assert_int_not_equal(set_table(p, &good, 1), 0);
	assert_logged("XEN_MMAP was not negotiated");
	peer_check_served(p);
}

#define xen_test(f) cmocka_unit_test_setup_teardown(f, xen_setup, xen_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		xen_test(test_offered),
		xen_test(test_grants),
		xen_test(test_reset_unmaps),
		xen_test(test_disconnect),
		xen_test(test_bad_reference),
		xen_test(test_bad_ring),
		xen_test(test_foreign),
		xen_test(test_many_regions),
		xen_test(test_ordinary),
		xen_test(test_add_and_remove),
		xen_test(test_refused),
		xen_test(test_not_negotiated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
