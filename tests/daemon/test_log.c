/* SPDX-License-Identifier: Apache-2.0 */
/* The dirty log on the wire: as QEMU uses it, replaced, hostile. (What is marked: tests/ring.) */
#include "tests/daemon/peer.h"

#include <sys/mman.h>

#include "memory/dirty_log.h"

#define LOG_BYTES ((MEM_GPA + MEM_SIZE) / DIRTY_LOG_PAGE / 8)
#define LOG_ALL VU_BIT(VHOST_F_LOG_ALL)
/* Where the peer's driver has each ring, in pages of it. */
#define USED_PAGE 2
#define DATA_PAGE 3

/* A log, as the front-end has it. */
struct log {
	int fd;
	uint8_t *bits;
};

static struct log make_log(void)
{
	struct log l = { .fd = memfd_create("log", MFD_CLOEXEC) };

	assert_int_equal(ftruncate(l.fd, LOG_BYTES), 0);
	l.bits = mmap(NULL, LOG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, l.fd, 0);
	assert_ptr_not_equal(l.bits, MAP_FAILED);
	return l;
}

static void drop_log(struct log *l)
{
	munmap(l->bits, LOG_BYTES);
	fd_close(&l->fd);
}

/* Returns whether this page of the ring is marked, and unmarks it. */
static bool take_mark(struct log *l, unsigned ring, unsigned page)
{
	uint64_t bit = (MEM_GPA + ring_offset(ring)) / DIRTY_LOG_PAGE + page;
	uint8_t mask = 1u << bit % 8;

	return __atomic_fetch_and(&l->bits[bit / 8], ~mask, __ATOMIC_SEQ_CST) & mask;
}

static void set_log(struct peer *p, const struct log *l)
{
	const struct vu_log area = { LOG_BYTES, 0 };

	/* Without need_reply, and yet replied to, with the same struct. */
	peer_send(p, VU_SET_LOG_BASE, 0, &area, sizeof(area), &l->fd, 1);
	if (!peer_receive(p))
		fail_msg("no reply\n%s", log_text());
	assert_int_equal(p->msg.header.request, VU_SET_LOG_BASE);
	assert_int_equal(p->msg.header.size, sizeof(area));
	assert_memory_equal(&p->msg.payload.log, &area, sizeof(area));
}

static uint64_t log_ring(struct peer *p, unsigned ring, uint32_t flags)
{
	const uint64_t user = p->uva + ring_offset(ring);
	const struct vu_vring_addr addr = {
		.index = ring,
		.flags = flags,
		.desc = user,
		.avail = user + DIRTY_LOG_PAGE,
		.used = user + USED_PAGE * DIRTY_LOG_PAGE,
		.log = p->gpa + ring_offset(ring) + USED_PAGE * DIRTY_LOG_PAGE,
	};

	return peer_ack(p, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
}

static void log_all(struct peer *p, bool on)
{
	assert_int_equal(peer_ack_u64(p, VU_SET_FEATURES, DRIVER_FEATURES | (on ? LOG_ALL : 0)), 0);
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		assert_int_equal(log_ring(p, i, on), 0);
}

/* Expects the mark of the used ring, which comes after the driver saw what it is for. */
static void expect_used_mark(struct log *l, unsigned ring)
{
	WAIT_UNTIL(take_mark(l, ring, USED_PAGE));
}

static void expect_marks(struct peer *p, struct log *l, bool marked)
{
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		driver_round_trip(p, i);
		assert_int_equal(take_mark(l, i, DATA_PAGE), marked);
		if (marked)
			expect_used_mark(l, i);
		else
			assert_false(take_mark(l, i, USED_PAGE));
		assert_false(take_mark(l, i, 0));
		assert_false(take_mark(l, i, 1));
	}
}

/* Drops all marks, also those of the wish for kicks after the last round trip. */
static void drop_marks(struct log *l)
{
	memset(l->bits, 0, LOG_BYTES);
}

/* In QEMU's order, while rings run. */
static void test_on_and_off(void **state)
{
	struct peer *p = *state;
	struct log log = make_log();
	unsigned starts;

	peer_start(p);
	expect_marks(p, &log, false);
	starts = toy.starts;
	set_log(p, &log);
	assert_int_equal(toy.starts, starts);
	expect_marks(p, &log, false);
	for (unsigned round = 0; round < 3; round++) {
		log_all(p, true);
		expect_marks(p, &log, true);
		log_all(p, false);
		drop_marks(&log);
		expect_marks(p, &log, false);
	}
	/* The driver and the device notice nothing. */
	assert_int_equal(toy.driver_features, VU_BIT(VIRTIO_F_VERSION_1));
	assert_int_equal(toy.resets, 0);
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		assert_int_equal(peer_get_base(p, i), driver_used(p, i));
	drop_log(&log);
}

/* What is in flight when the log goes on, and when its ring stops, is completed, and marked. */
static void test_in_flight(void **state)
{
	struct peer *p = *state;
	struct log log = make_log();

	peer_start(p);
	set_log(p, &log);
	log_all(p, true);
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		assert_true(take_mark(&log, i, USED_PAGE));
	toy.mode = TOY_HOLD;
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		const struct vu_vring_state ask = { i, 0 };

		for (unsigned n = 0; n < 5; n++)
			driver_submit(p, i);
		driver_kick(p, i);
		peer_run();
		assert_false(take_mark(&log, i, DATA_PAGE));
		peer_send(p, VU_GET_VRING_BASE, 0, &ask, sizeof(ask), NULL, 0);
		peer_run();
		assert_int_equal(eventfd_write(toy.release[i], 1), 0);
		assert_true(peer_receive(p));
		assert_int_equal(p->msg.payload.state.num, 5);
		assert_int_equal(driver_used(p, i), 5);
		assert_true(take_mark(&log, i, DATA_PAGE));
		assert_true(take_mark(&log, i, USED_PAGE));
	}
	drop_log(&log);
}

/* A larger one takes its place, and the one before is not touched any more. */
static void test_replaced(void **state)
{
	struct peer *p = *state;
	struct log first = make_log(), second = make_log();

	peer_start(p);
	set_log(p, &first);
	log_all(p, true);
	expect_marks(p, &first, true);
	set_log(p, &second);
	expect_marks(p, &second, true);
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		assert_false(take_mark(&first, i, DATA_PAGE));
	drop_log(&first);
	drop_log(&second);
}

/* Pauses the guest, as a front-end does; start_rings() continues it. */
static void stop_rings(struct peer *p)
{
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		peer_get_base(p, i);
}

static void start_rings(struct peer *p)
{
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		peer_setup_ring(p, i, driver_used(p, i));
		peer_enable(p, i, true);
	}
}

/* LOG_ALL comes before the log when a device starts during a migration, or the log never does. */
static void test_log_comes_later(void **state)
{
	struct peer *p = *state;
	struct log log = make_log();

	peer_start(p);
	log_all(p, true);
	expect_marks(p, &log, false);
	set_log(p, &log);
	expect_marks(p, &log, true);
	/* QEMU's pause. */
	stop_rings(p);
	assert_int_equal(peer_ack_u64(p, VU_SET_STATUS, 0), 0);
	assert_int_equal(peer_ack_u64(p, VU_SET_FEATURES, DRIVER_FEATURES), 0);
	drop_marks(&log);
	start_rings(p);
	expect_marks(p, &log, false);
	drop_log(&log);
}

/* The next front-end's features do not revive the log of this one. */
static void test_forgotten(void **state)
{
	struct peer *p = *state;
	struct log log = make_log();

	peer_start(p);
	set_log(p, &log);
	log_all(p, true);
	expect_marks(p, &log, true);
	peer_disconnect(p);
	drop_marks(&log);
	peer_connect(p);
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		driver_reset(p, i);
	peer_start(p);
	log_all(p, true);
	expect_marks(p, &log, false);
	drop_log(&log);
}

/* What only one host can have is given up with the last ring, if the guest is on its way. */
static void test_claims(void **state)
{
	struct peer *p = *state;
	struct log log = make_log();

	peer_start(p);
	assert_int_equal(toy.claims, 1);
	stop_rings(p);
	assert_int_equal(toy.releases, 0);
	start_rings(p);
	set_log(p, &log);
	log_all(p, true);
	peer_get_base(p, 0);
	assert_int_equal(toy.releases, 0);
	peer_get_base(p, 1);
	assert_int_equal(toy.releases, 1);
	assert_int_equal(toy.claims, 1);
	/* The migration fails. */
	start_rings(p);
	assert_int_equal(toy.claims, 2);
	driver_round_trip(p, 0);
	/* As QEMU 7.2 stops, by the status first. */
	assert_int_equal(peer_ack_u64(p, VU_SET_STATUS, 0), 0);
	assert_int_equal(toy.releases, 1);
	stop_rings(p);
	assert_int_equal(toy.releases, 2);
	drop_log(&log);
}

/* The guest has arrived elsewhere, and is continued here all the same. */
static void test_claim_fails(void **state)
{
	struct peer *p = *state;
	struct log log = make_log();

	peer_start(p);
	set_log(p, &log);
	log_all(p, true);
	stop_rings(p);
	toy.fail_claim = true;
	assert_true(peer_ack_fd(p, VU_SET_VRING_KICK, 0, p->kick[0]) != 0);
	assert_logged("SET_VRING_KICK: the toy is elsewhere");
	drop_log(&log);
}

static void test_signalled(void **state)
{
	struct peer *p = *state;
	struct log log = make_log();
	autofd call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	peer_start(p);
	assert_int_equal(peer_ack(p, VU_SET_LOG_FD, NULL, 0, &call, 1), 0);
	set_log(p, &log);
	driver_round_trip(p, 0);
	assert_int_equal(eventfd_take(call), 0);
	log_all(p, true);
	eventfd_take(call);
	driver_round_trip(p, 0);
	assert_true(eventfd_take(call) > 0);
	assert_true(peer_ack(p, VU_SET_LOG_FD, NULL, 0, &log.fd, 1) != 0);
	assert_logged("SET_LOG_FD: a file of tmpfs or hugetlbfs is neither an eventfd nor a pipe");
	drop_log(&log);
}

static void test_refused(void **state)
{
	struct peer *p = *state;
	struct log log = make_log();
	autofd null = open("/dev/null", O_RDWR | O_CLOEXEC);
	const struct {
		struct vu_log area;
		int fd;
		const char *why;
	} cases[] = {
		{ { LOG_BYTES, 0 }, -1, "SET_LOG_BASE: it comes without an fd" },
		{ { LOG_BYTES, 0 }, null, "SET_LOG_BASE: dirty log: " },
		{ { 0, 0 }, log.fd, "size is 0" },
		{ { LOG_BYTES, 1 }, log.fd, "do not fit" },
		{ { UINT64_MAX, 2 }, log.fd, "wraps" },
		{ { LOG_BYTES - 1, 1 }, log.fd, "the log ends at guest address 0x401f8000, and" },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		log_clear();
		peer_negotiate(p);
		peer_share_memory(p);
		peer_send(p, VU_SET_LOG_BASE, 0, &cases[i].area, sizeof(cases[i].area),
			&cases[i].fd, cases[i].fd >= 0);
		/* Its reply cannot tell an error. */
		assert_true(peer_is_closed(p));
		assert_logged(cases[i].why);
		peer_check_served(p);
	}
	peer_negotiate(p);
	peer_share_memory(p);
	assert_true(log_ring(p, 0, 2) != 0);
	assert_logged("SET_VRING_ADDR: queue 0: unknown flags 0x2");
	drop_log(&log);
}

/* The address of a page that a Xen guest grants, which is none that a log has a bit for. */
static void test_grants(void **state)
{
	const struct vu_log area = { LOG_BYTES, 0 };
	const struct {
		struct vu_mem_single single;
		struct vu_region region;
	} grants = { { 0 }, { UINT64_C(1) << 63, MEM_SIZE, MEM_UVA + MEM_SIZE, 0 } };
	struct peer *p = *state;
	struct log log = make_log();

	peer_negotiate(p);
	peer_share_memory(p);
	assert_int_equal(peer_ack(p, VU_ADD_MEM_REG, &grants, sizeof(grants), &p->memfd, 1), 0);
	peer_send(p, VU_SET_LOG_BASE, 0, &area, sizeof(area), &log.fd, 1);
	assert_true(peer_is_closed(p));
	assert_logged("SET_LOG_BASE: memory that a Xen guest grants page by page cannot be logged");
	drop_log(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_on_and_off, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(test_in_flight, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(test_replaced, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(test_log_comes_later, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(test_forgotten, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(test_claims, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(test_claim_fails, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(test_signalled, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(test_grants, peer_setup, peer_teardown),
		cmocka_unit_test_setup_teardown(test_refused, peer_setup, peer_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
