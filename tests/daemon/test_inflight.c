/* SPDX-License-Identifier: Apache-2.0 */
/* The in-flight area on the wire: asked for, handed over, hostile. */
#include "tests/daemon/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "virtio/inflight.h"

#define PAGE 4096

/* Returns what came, and its fd, the caller's. */
static int get_area(struct peer *p, const struct vu_inflight *asked, size_t size)
{
	peer_send(p, VU_GET_INFLIGHT_FD, 0, asked, size, NULL, 0);
	if (!peer_receive(p))
		fail_msg("no answer\n%s", log_text());
	assert_int_equal(p->msg.header.request, VU_GET_INFLIGHT_FD);
	assert_int_equal(p->msg.header.flags, VU_VERSION | VU_FLAG_REPLY);
	assert_int_equal(p->msg.header.size, size ? size : sizeof(*asked));
	assert_int_equal(p->msg.n_fds, 1);
	return vu_msg_take_fd(&p->msg, 0);
}

static uint64_t set_area(struct peer *p, const struct vu_inflight *area, int fd)
{
	return peer_ack(p, VU_SET_INFLIGHT_FD, area, sizeof(*area), &fd, 1);
}

/* Makes a file of the front-end's, without seals. */
static int make_file(uint64_t size)
{
	int fd = memfd_create("area", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, size), 0);
	return fd;
}

static void test_made(void **state)
{
	const struct vu_inflight asked = { .num_queues = 2, .queue_size = 2048 };
	const struct vu_inflight *got;
	struct peer *p = *state;
	struct stat st;
	uint8_t byte;
	autofd fd = -1;

	peer_negotiate(p);
	fd = get_area(p, &asked, sizeof(asked));
	got = &p->msg.payload.inflight;
	assert_int_equal(got->num_queues, 2);
	assert_int_equal(got->queue_size, 2048);
	assert_int_equal(got->mmap_offset, 0);
	assert_int_equal(got->mmap_size, 2 * virtio_inflight_bytes(2048, false));
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, got->mmap_size);
	/* It is empty, and its size and seals cannot be changed. */
	assert_int_equal(pread(fd, &byte, 1, 0), 1);
	assert_int_equal(byte, 0);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, st.st_size + 1), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(errno, EPERM);
}

/* The format of the rings is not known yet: there must be room for either. */
static void test_before_features(void **state)
{
	const struct vu_inflight asked = { .num_queues = 1, .queue_size = 2048 };
	struct peer *p = *state;

	assert_int_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, ALL_PROTOCOL_FEATURES), 0);
	close(get_area(p, &asked, sizeof(asked)));
	assert_int_equal(p->msg.payload.inflight.mmap_size, virtio_inflight_bytes(2048, true));
}

/* Rings may become larger than the front-end says here. */
static void test_room_to_spare(void **state)
{
	const struct vu_inflight asked = { .num_queues = 1, .queue_size = 128 };
	struct peer *p = *state;

	peer_negotiate(p);
	close(get_area(p, &asked, sizeof(asked)));
	assert_int_equal(p->msg.payload.inflight.queue_size, 1024);
	assert_int_equal(p->msg.payload.inflight.mmap_size, virtio_inflight_bytes(1024, false));
}

static void test_sizes_on_the_wire(void **state)
{
	const struct vu_inflight asked = { .num_queues = 1, .queue_size = 4096 };
	struct peer *p = *state;
	int fd;

	peer_negotiate(p);
	/* Some leave the padding out. */
	fd = get_area(p, &asked, VU_INFLIGHT_UNPADDED);
	assert_int_equal(p->msg.payload.inflight.queue_size, 4096);
	assert_int_equal(peer_ack(p, VU_SET_INFLIGHT_FD, &p->msg.payload.inflight,
				 VU_INFLIGHT_UNPADDED, &fd, 1),
		0);
	close(fd);
	/* And some everything. */
	close(get_area(p, NULL, 0));
	assert_int_equal(p->msg.payload.inflight.num_queues, TOY_QUEUES);
	assert_int_equal(p->msg.payload.inflight.queue_size, 32768);
	assert_int_equal(p->msg.payload.inflight.mmap_size,
		TOY_QUEUES * virtio_inflight_bytes(32768, false));
}

static void expect_no_area(struct peer *p, uint16_t queues, uint16_t size, const char *why)
{
	const struct vu_inflight asked = { .num_queues = queues, .queue_size = size };

	peer_negotiate(p);
	peer_send(p, VU_GET_INFLIGHT_FD, 0, &asked, sizeof(asked), NULL, 0);
	assert_true(peer_is_closed(p));
	assert_logged(why);
	peer_check_served(p);
}

static void test_nobody_needs(void **state)
{
	struct peer *p = *state;

	expect_no_area(p, TOY_QUEUES + 1, 128, "GET_INFLIGHT_FD: 3 queues, there are only 2");
	expect_no_area(p, 1, 32769, "GET_INFLIGHT_FD: 32769 descriptors, not 1 to 32768");
}

static void test_bad_counts(void **state)
{
	const uint64_t one = virtio_inflight_bytes(128, false);
	const struct vu_inflight bad[] = {
		{ one, 0, 0, 128 },
		{ one, 0, 1, 0 },
		{ one, 0, 1, 32769 },
		{ UINT64_MAX, 0, 1, 65535 },
		{ 0, 0, 1, 128 },
		{ one - 1, 0, 1, 128 },
		{ 2 * one - 1, 0, 2, 128 },
		{ one, 0, 65535, 1 },
	};
	struct peer *p = *state;
	autofd fd = make_file(PAGE);

	peer_negotiate(p);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		log_clear();
		assert_int_equal(set_area(p, &bad[i], fd), EINVAL);
		assert_logged("refused: SET_INFLIGHT_FD: ");
		assert_logged(" descriptors");
	}
}

static void test_bad_ranges(void **state)
{
	const struct {
		struct vu_inflight area;
		const char *why;
	} bad[] = {
		{ { PAGE + 1, 0, 1, 128 }, "do not fit in its file of 0x1000 bytes" },
		{ { PAGE, 64, 1, 128 }, "do not fit in its file" },
		{ { PAGE, PAGE, 1, 128 }, "do not fit in its file" },
		{ { PAGE, UINT64_MAX - 100, 1, 128 }, "its offset in the file wraps" },
		{ { UINT64_MAX / 512, 0, 1, 128 }, "do not fit in its file" },
		{ { UINT64_MAX, 0, 1, 128 }, "bytes are too many" },
		{ { UINT64_MAX, 0, 65535, 128 }, "do not fit in its file" },
		{ { 3000, 8, 1, 128 }, "offset 0x8 is not a multiple of 64" },
	};
	struct peer *p = *state;
	autofd fd = make_file(PAGE);

	peer_negotiate(p);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		log_clear();
		assert_int_equal(set_area(p, &bad[i].area, fd), EINVAL);
		assert_logged(bad[i].why);
	}
	/* What is legal is taken after all of these. */
	assert_int_equal(set_area(p, &(struct vu_inflight){ 3000, 64, 1, 128 }, fd), 0);
}

static void test_bad_files(void **state)
{
	const struct vu_inflight area = { PAGE, 0, 1, 128 };
	struct peer *p = *state;
	autofd file = make_file(PAGE);
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", file);
	autofd read_only = open(path, O_RDONLY | O_CLOEXEC);

	peer_negotiate(p);
	assert_int_equal(set_area(p, &area, p->sock), EINVAL);
	assert_int_equal(set_area(p, &area, p->kick[0]), EINVAL);
	assert_int_equal(set_area(p, &area, read_only), EINVAL);
	assert_logged("Permission denied");
}

static void start_rings(struct peer *p)
{
	peer_share_memory(p);
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		peer_setup_ring(p, i, 0);
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		peer_enable(p, i, true);
}

static void test_life(void **state)
{
	const struct vu_inflight area = { 2 * PAGE, 0, 2, 128 };
	unsigned before = peer_mappings();
	struct peer *p = *state;
	autofd fd = make_file(2 * PAGE);

	peer_negotiate(p);
	/* One at a time. */
	for (int i = 0; i < 3; i++)
		assert_int_equal(set_area(p, &area, fd), 0);
	assert_int_equal(peer_mappings(), before + 1);
	/* What is refused leaves what is there. */
	assert_int_equal(set_area(p, &(struct vu_inflight){ PAGE, 0, 2, 128 }, fd), EINVAL);
	assert_int_equal(peer_mappings(), before + 1);
	/* A pause is not the end of it, a reset is. */
	assert_int_equal(peer_ack_u64(p, VU_SET_STATUS, 0), 0);
	assert_int_equal(peer_mappings(), before + 1);
	assert_int_equal(peer_ack(p, VU_RESET_DEVICE, NULL, 0, NULL, 0), 0);
	assert_int_equal(peer_mappings(), before);
	/* And so is the connection's end. */
	assert_int_equal(set_area(p, &area, fd), 0);
	peer_disconnect(p);
	assert_int_equal(peer_mappings(), before);
	peer_check_served(p);
}

/* It changes under no ring. */
static void test_running_rings(void **state)
{
	const struct vu_inflight area = { 2 * PAGE, 0, 2, 128 };
	struct peer *p = *state;
	autofd fd = make_file(2 * PAGE);

	peer_negotiate(p);
	start_rings(p);
	toy.mode = TOY_HOLD;
	driver_submit(p, 1);
	driver_kick(p, 1);
	peer_run();
	peer_send(p, VU_SET_INFLIGHT_FD, VU_FLAG_NEED_REPLY, &area, sizeof(area), &fd, 1);
	assert_false(peer_receive(p));
	eventfd_write(toy.release[1], 1);
	assert_true(peer_receive(p));
	assert_int_equal(p->msg.payload.u64, 0);
	assert_int_equal(driver_used(p, 1), 1);
	assert_int_equal(toy.starts, 2 * TOY_QUEUES);
	toy.mode = TOY_ECHO;
	driver_round_trip(p, 0);
	driver_round_trip(p, 1);
	assert_false(log_has("not recorded"));
}

static void test_no_part(void **state)
{
	const struct vu_inflight area = { PAGE, 0, 1, 128 };
	struct peer *p = *state;
	autofd fd = make_file(PAGE);

	peer_negotiate(p);
	assert_int_equal(set_area(p, &area, fd), 0);
	start_rings(p);
	assert_logged("queue 1: requests in flight are not recorded: the area has no part for");
	assert_false(log_has("queue 0: requests in flight are not recorded"));
	driver_round_trip(p, 1);
}

static void test_small_part(void **state)
{
	const struct vu_inflight area = { 2 * virtio_inflight_bytes(RING_SIZE / 4, false), 0, 2,
		1 };
	struct peer *p = *state;
	autofd fd = make_file(PAGE);

	peer_negotiate(p);
	assert_int_equal(set_area(p, &area, fd), 0);
	start_rings(p);
	assert_logged("queue 0: requests in flight are not recorded: the ring is larger than");
	driver_round_trip(p, 0);
}

static void test_truncated(void **state)
{
	const struct vu_inflight area = { 2 * PAGE, 0, 2, 128 };
	struct peer *p = *state;
	autofd fd = make_file(2 * PAGE);

	guest_mem_catch_sigbus(); /* cmocka takes the signal over for each test */
	peer_negotiate(p);
	assert_int_equal(set_area(p, &area, fd), 0);
	start_rings(p);
	driver_round_trip(p, 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	driver_round_trip(p, 0);
	driver_round_trip(p, 1);
	/* Started again, nothing is recorded in an area that is not shared. */
	peer_share_memory(p);
	assert_logged("queue 0: requests in flight are not recorded: the front-end has truncated");
	driver_round_trip(p, 0);
	driver_round_trip(p, 1);
	peer_check_served(p);
}

/* Returns where driver_submit() puts the answers of queue 0. */
static uint8_t *answer_to(struct peer *p, unsigned request)
{
	return p->mem + 0x3000 + request * 16 + 8;
}

/*
 * A back-end dies with one request in flight and two later ones completed: what memory and area
 * were then is put back when it has gone in peace. The next one runs the first again, and no other.
 */
static void test_goes_on(void **state)
{
	static const uint8_t nothing[8];
	const struct vu_inflight asked = { .num_queues = 2, .queue_size = RING_SIZE };
	struct peer *p = *state;
	struct vu_inflight area;
	g_autofree uint8_t *record = NULL, *mem = NULL;
	autofd fd = -1;

	peer_negotiate(p);
	fd = get_area(p, &asked, sizeof(asked));
	area = p->msg.payload.inflight;
	assert_int_equal(set_area(p, &area, fd), 0);
	start_rings(p);
	toy.mode = TOY_HOLD;
	driver_submit(p, 0);
	driver_kick(p, 0);
	peer_run();
	toy.mode = TOY_ECHO;
	for (unsigned i = 0; i < 2; i++)
		driver_round_trip(p, 0);
	assert_int_equal(driver_used(p, 0), 2);
	record = g_malloc(area.mmap_size);
	assert_int_equal(pread(fd, record, area.mmap_size, 0), area.mmap_size);
	mem = g_memdup2(p->mem, MEM_SIZE);
	eventfd_write(toy.release[0], 1);
	peer_run();
	peer_disconnect(p);
	assert_int_equal(pwrite(fd, record, area.mmap_size, 0), area.mmap_size);
	memcpy(p->mem, mem, MEM_SIZE);
	for (unsigned i = 0; i < 3; i++)
		memset(answer_to(p, i), 0, 8);

	peer_connect(p);
	peer_negotiate(p);
	assert_int_equal(set_area(p, &area, fd), 0);
	peer_share_memory(p);
	peer_setup_ring(p, 0, 2);
	peer_enable(p, 0, true);
	peer_run();
	assert_int_equal(driver_used(p, 0), 3);
	assert_memory_equal(answer_to(p, 0), answer_to(p, 0) - 8, 8);
	for (unsigned i = 1; i < 3; i++)
		assert_memory_equal(answer_to(p, i), nothing, 8);
	driver_round_trip(p, 0);
	assert_int_equal(peer_get_base(p, 0), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(peer, test_made),
		TEST_WITH(peer, test_before_features),
		TEST_WITH(peer, test_room_to_spare),
		TEST_WITH(peer, test_sizes_on_the_wire),
		TEST_WITH(peer, test_nobody_needs),
		TEST_WITH(peer, test_bad_counts),
		TEST_WITH(peer, test_bad_ranges),
		TEST_WITH(peer, test_bad_files),
		TEST_WITH(peer, test_life),
		TEST_WITH(peer, test_running_rings),
		TEST_WITH(peer, test_no_part),
		TEST_WITH(peer, test_small_part),
		TEST_WITH(peer, test_truncated),
		TEST_WITH(peer, test_goes_on),
	};

	return cmocka_run_group_tests_name("inflight", tests, NULL, NULL);
}
