/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-blk past the page cache: what goes straight to guest memory, and what cannot. */
#include "tests/lib/test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blk_image.h"
#include "daemon/devices/blk/blk_engine.h"
#include "tests/lib/dumped.h"

#define LEN 8192u

#ifdef STATX_DIOALIGN
/* What statx() tells of offsets; 0: what it does tell. */
static unsigned dio_align;

int statx(int dir, const char *path, int flags, unsigned mask, struct statx *to)
{
	int result = syscall(SYS_statx, dir, path, flags, mask, to);

	if (result == 0 && mask & STATX_DIOALIGN && dio_align) {
		to->stx_mask |= STATX_DIOALIGN;
		to->stx_dio_offset_align = dio_align;
		to->stx_dio_mem_align = 512;
	}
	return result;
}
#endif

static struct blk_queue *open_direct(struct kit_core *c)
{
	image_open(c, NULL);
	return vq_data(c->queue[0].q);
}

/*
 * Adds a request whose data begins `skew` bytes after a page; `split` bytes of it in a first
 * piece.
 */
static struct blk_driver_request *add(
	struct kit_core *c, uint32_t type, uint64_t sector, unsigned skew, unsigned split)
{
	uint64_t data = driver_mem_alloc(c->mem, LEN + 4096, 4096) + skew;
	struct blk_driver_request *r = kit_core_host(c, kit_core_alloc(c, sizeof(*r), 0));
	struct driver_buf buf[4] = {
		{ blk_header(c, type, sector), 16 },
		{ data, split },
		{ data + split, LEN - split },
		{ kit_core_alloc(c, 1, NO_STATUS), 1 },
	};

	*r = (struct blk_driver_request){ .data = data, .status = buf[3].addr, .used = UINT32_MAX };
	assert_int_equal(driver_ring_add(c->queue[0].ring, buf, type == VIRTIO_BLK_T_OUT ? 3 : 1,
				 type == VIRTIO_BLK_T_OUT ? 1 : 3, r),
		0);
	return r;
}

static void run(struct kit_core *c, struct blk_driver_request *r)
{
	kit_core_kick(c, 0);
	blk_await_all(c);
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_OK);
}

static void read_and_check(struct kit_core *c, uint64_t sector, unsigned skew, unsigned split)
{
	struct blk_driver_request *r = add(c, VIRTIO_BLK_T_IN, sector, skew, split);
	uint8_t want[LEN];

	run(c, r);
	image_read(want, sector * 512, LEN);
	assert_memory_equal(kit_core_host(c, r->data), want, LEN);
}

static void write_and_check(struct kit_core *c, uint64_t sector, unsigned skew, unsigned split)
{
	struct blk_driver_request *r = add(c, VIRTIO_BLK_T_OUT, sector, skew, split);
	uint8_t is[LEN + 1024], before[LEN + 1024];

	image_read(before, (sector - 1) * 512, sizeof(before));
	for (unsigned i = 0; i < LEN; i++)
		before[512 + i] = ((uint8_t *)kit_core_host(c, r->data))[i] =
			i / 512 * 3 + i + sector;
	run(c, r);
	image_read(is, (sector - 1) * 512, sizeof(is));
	assert_memory_equal(is, before, sizeof(is));
}

static void test_aligned(void **state)
{
	struct kit_core *c = *state;
	struct blk_queue *bq = open_direct(c);

	read_and_check(c, 16, 0, 4096);
	write_and_check(c, 32, 0, 4096);
	assert_null(bq->bounce.base);
}

static void test_odd_memory(void **state)
{
	struct kit_core *c = *state;
	struct blk_queue *bq = open_direct(c);

	read_and_check(c, 16, 1, 4096);
	write_and_check(c, 32, 3, 4096);
	assert_non_null(bq->bounce.base);
	assert_int_equal(bq->bounce.taken, 0);
	assert_false(is_dumped(bq->bounce.base));
}

/* Aligned at both ends, but not in the middle. */
static void test_odd_pieces(void **state)
{
	struct kit_core *c = *state;
	struct blk_queue *bq = open_direct(c);

	read_and_check(c, 16, 0, 100);
	write_and_check(c, 32, 0, 8191);
	assert_non_null(bq->bounce.base);
}

/* As guest memory of Xen is. */
static void test_no_pinning(void **state)
{
	struct kit_core *c = *state;
	struct blk_queue *bq = open_direct(c);

	bq->can_pin = false;
	read_and_check(c, 16, 0, 4096);
	write_and_check(c, 32, 0, 4096);
	assert_non_null(bq->bounce.base);
	assert_int_equal(bq->bounce.taken, 0);
}

/* As on a disk of larger blocks: parts of them go through the page cache. */
static void test_part_of_a_block(void **state)
{
	struct kit_core *c = *state;
	struct blk_queue *bq = open_direct(c);

	bq->blk->file.offset_align = 4096;
	read_and_check(c, 16, 0, 4096);
	assert_null(bq->bounce.base);
	for (unsigned sector = 17; sector < 24; sector++) {
		write_and_check(c, sector, 0, 4096);
		write_and_check(c, 16, 0, 4096);
		read_and_check(c, sector, 0, 512);
	}
}

/* More requests than bounce buffers, and one that is longer than a buffer. */
static void test_many(void **state)
{
	struct blk_driver_request *r[BLK_BOUNCES + 8], *large;
	struct kit_core *c = *state;
	struct blk_queue *bq;
	g_autofree uint8_t *want = g_malloc(3 * BLK_BOUNCE_SIZE);

	c->ring_size = 256;
	bq = open_direct(c);
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++)
		r[i] = add(c, VIRTIO_BLK_T_IN, i, 1, 4096);
	large = blk_add(c, VIRTIO_BLK_T_IN, 3, NULL, 3 * BLK_BOUNCE_SIZE);
	kit_core_kick(c, 0);
	blk_await_all(c);
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++) {
		assert_int_equal(blk_status_of(c, r[i]), VIRTIO_BLK_S_OK);
		image_read(want, i * 512, LEN);
		assert_memory_equal(kit_core_host(c, r[i]->data), want, LEN);
	}
	assert_int_equal(blk_status_of(c, large), VIRTIO_BLK_S_OK);
	image_read(want, 3 * 512, 3 * BLK_BOUNCE_SIZE);
	assert_memory_equal(kit_core_host(c, large->data), want, 3 * BLK_BOUNCE_SIZE);
	assert_int_equal(bq->bounce.taken, 0);
}

/* Returns how much of the bounce buffers is in memory, in pages. */
static unsigned resident(const struct blk_queue *bq)
{
	size_t size = (size_t)BLK_BOUNCES * BLK_BOUNCE_SIZE, n = 0;
	g_autofree unsigned char *pages = g_malloc(size / 4096);

	assert_int_equal(mincore(bq->bounce.base, size, pages), 0);
	for (size_t i = 0; i < size / sysconf(_SC_PAGESIZE); i++)
		n += pages[i] & 1;
	return n;
}

/* Buffers are not kept for a guest that does not run, also if the stop has to wait for them. */
static void test_limit_given_back(void **state)
{
	struct kit_core *c = *state;
	struct blk_queue *bq = open_direct(c);

	for (unsigned waits = 0; waits < 2; waits++) {
		for (unsigned i = 0; i < 8; i++)
			add(c, VIRTIO_BLK_T_IN, i, 1, 4096);
		kit_core_kick(c, 0);
		if (!waits)
			blk_await_all(c);
		assert_true(resident(bq) > 0);
		kit_core_stop(c);
		assert_int_equal(bq->bounce.taken, 0);
		assert_int_equal(resident(bq), 0);
		kit_core_resume(c);
		read_and_check(c, 16, 1, 4096);
	}
}

/* A stop with requests in flight loses none. */
static void test_stop(void **state)
{
	struct kit_core *c = *state;
	struct blk_driver_request *r[20];

	open_direct(c);
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++)
		r[i] = add(c, VIRTIO_BLK_T_IN, i, i % 2, 4096);
	kit_core_kick(c, 0);
	kit_core_stop(c);
	kit_core_resume(c);
	kit_core_kick(c, 0);
	blk_await_all(c);
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++)
		assert_int_equal(blk_status_of(c, r[i]), VIRTIO_BLK_S_OK);
}

/* A disk that has 512-byte blocks without --direct has them with it, wherever the file is. */
static void test_unmeant_block_size(void **state)
{
	struct kit_core *c = *state;
	const struct virtio_blk_config *config = image_config(c);
	const struct blk_file *f = &open_direct(c)->blk->file;

	assert_true(f->offset_align >= 512 && f->mem_align >= 1);
	assert_int_equal(le32toh(config->blk_size), 512);
	assert_true(512u << config->physical_block_exp >= f->offset_align);
	read_and_check(c, 17, 0, 4096);
	write_and_check(c, 33, 0, 512);
}

/* As on a file system whose disk has blocks of 4096 bytes. */
static void test_unmeant_large_blocks(void **state)
{
#ifdef STATX_DIOALIGN
	dio_align = 4096;
	test_unmeant_block_size(state);
	dio_align = 0;
#else
	skip();
#endif
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_aligned, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_odd_memory, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_odd_pieces, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_no_pinning, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(
			test_part_of_a_block, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_many, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(
			test_limit_given_back, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_stop, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(
			test_unmeant_block_size, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(
			test_unmeant_large_blocks, image_setup, kit_core_teardown),
	};

	if (!image_set_engine(argv[1]))
		return 77;
	return cmocka_run_group_tests(tests, image_make_dir, image_remove_dir);
}
