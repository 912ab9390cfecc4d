/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-blk: limits. The clock is the real one: rates are low, bursts are what is counted. */
#include "tests/lib/test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "blk_fake_engine.h"

static void open_with(struct kit_core *c, const char *a, const char *b)
{
	assert_true(kit_core_open(c, NULL, "--blk-file=fake", a, b, NULL));
	begin(c, F(FLUSH), 1);
}

/* Adds n writes or reads of a sector, kicks; returns how many have ended. */
static unsigned ended_of(struct kit_core *c, uint32_t type, unsigned n, uint32_t len)
{
	struct blk_driver_request *r[64];
	uint8_t data[4096] = { 0 };
	unsigned ended = 0;

	for (unsigned i = 0; i < n; i++)
		r[i] = blk_add(c, type, 0, type == VIRTIO_BLK_T_OUT ? data : NULL, len);
	kit_core_kick(c, 0);
	blk_reap(c);
	for (unsigned i = 0; i < n; i++)
		ended += blk_status_of(c, r[i]) == VIRTIO_BLK_S_OK;
	return ended;
}

static void test_total(void **state)
{
	struct kit_core *c = *state;

	open_with(c, "--iops-total=10", "--limit-burst=1");
	assert_int_equal(ended_of(c, VIRTIO_BLK_T_OUT, 4, 512), 4);
	assert_int_equal(ended_of(c, VIRTIO_BLK_T_IN, 20, 512), 6);
	/* A flush is not counted, and waits for none of those. */
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), VIRTIO_BLK_S_OK);
	while (kit_core_in_flight(c)) {
		assert_true(kit_core_step(c, KIT_PATIENCE_MS));
		blk_reap(c);
	}
}

static void test_read_alone(void **state)
{
	struct kit_core *c = *state;

	open_with(c, "--iops-read=1", "--limit-burst=5");
	assert_int_equal(ended_of(c, VIRTIO_BLK_T_IN, 20, 512), 5);
	assert_int_equal(ended_of(c, VIRTIO_BLK_T_OUT, 20, 512), 20);
}

static void test_write_alone(void **state)
{
	struct kit_core *c = *state;

	open_with(c, "--iops-write=1", "--limit-burst=5");
	assert_int_equal(ended_of(c, VIRTIO_BLK_T_OUT, 20, 512), 5);
	assert_int_equal(ended_of(c, VIRTIO_BLK_T_IN, 20, 512), 20);
}

/* A request passes while there is a byte; the next waits for what it took too much. */
static void test_bytes(void **state)
{
	struct kit_core *c = *state;

	open_with(c, "--bps-write=1K", "--limit-burst=5");
	assert_int_equal(ended_of(c, VIRTIO_BLK_T_OUT, 20, 4096), 2);
	assert_int_equal(ended_of(c, VIRTIO_BLK_T_IN, 20, 4096), 20);
}

static void set(struct kit_core *c, const char *params, const char *want)
{
	g_autofree char *line = g_strdup_printf(
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"set-limits\",\"params\":{%s}}", params);
	g_autofree char *reply = kit_core_call(c, line);

	if (!strstr(reply, want))
		fail_msg("no %s in %s", want, reply);
}

static void test_set(void **state)
{
	struct kit_core *c = *state;

	begin(c, F(FLUSH), 1);
	assert_int_equal(ended_of(c, VIRTIO_BLK_T_IN, 20, 512), 20);
	set(c, "\"iops-total\":1,\"limit-burst-ms\":4000", "\"iops-total\":1,");
	assert_int_equal(ended_of(c, VIRTIO_BLK_T_IN, 20, 512), 4);
	/* What waits goes on at once without a limit. */
	set(c, "\"iops-total\":0", "\"limit-burst-ms\":4000");
	while (kit_core_in_flight(c)) {
		assert_true(kit_core_step(c, KIT_PATIENCE_MS));
		blk_reap(c);
	}
	assert_int_equal(ended_of(c, VIRTIO_BLK_T_IN, 20, 512), 20);
	set(c, "\"iops-total\":-1", "iops-total");
	set(c, "", "\"iops-total\":0");
}

/* Is another disk of the group: sets the limits, and takes of them. */
static void other_disk(struct kit_core *c, const char *option, const char *file, uint64_t taken)
{
	autofd fd = -1;
	struct blk_limit_state *l;
	struct stat st;

	assert_true(kit_core_open(
		c, NULL, "--blk-file=fake", option, "--iops-total=1", "--limit-burst=7", NULL));
	kit_core_close(c);
	fd = open(file, O_RDWR | O_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	l = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(l, MAP_FAILED);
	bucket_take(&l->bucket[BLK_IOPS_TOTAL], taken, bucket_now());
	munmap(l, (size_t)st.st_size);
}

static void test_group(void **state)
{
	struct kit_core *c = *state;
	g_autofree char *dir = g_dir_make_tmp("limitXXXXXX", NULL);
	g_autofree char *file = g_build_filename(dir, "group", NULL);
	g_autofree char *option = g_strconcat("--limit-group=", file, NULL);

	assert_true(g_file_set_contents(file, "no group", -1, NULL));
	kit_core_open_fails(c, "no group of limits", "--blk-file=fake", option, NULL);
	assert_int_equal(unlink(file), 0);
	kit_core_open_fails(c, "cannot use the file", "--blk-file=fake", "--limit-group=/", NULL);

	other_disk(c, option, file, 4);
	open_with(c, option, NULL);
	assert_int_equal(ended_of(c, VIRTIO_BLK_T_IN, 20, 512), 3);
	set(c, "\"iops-total\":0", "\"limit-burst-ms\":7000");
	while (kit_core_in_flight(c)) {
		assert_true(kit_core_step(c, KIT_PATIENCE_MS));
		blk_reap(c);
	}
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void test_left(void **state)
{
	struct kit_core *c = *state;

	open_with(c, "--iops-total=1", "--limit-burst=3");
	assert_int_equal(ended_of(c, VIRTIO_BLK_T_OUT, 5, 512), 3);
	kit_core_stop(c);
	assert_int_equal(kit_core_in_flight(c), 0);
	kit_core_resume(c);
	set(c, "\"iops-total\":0", "\"iops-total\":0");
	kit_core_kick(c, 0);
	while (kit_core_in_flight(c)) {
		assert_true(kit_core_step(c, KIT_PATIENCE_MS));
		blk_reap(c);
	}
	assert_done("WWWWW");
}

/* One that cannot begin for another reason is not counted twice. */
static void test_full(void **state)
{
	struct kit_core *c = *state;

	open_with(c, "--iops-total=1", "--limit-burst=3");
	image.full = 1;
	assert_int_equal(ended_of(c, VIRTIO_BLK_T_IN, 1, 512), 0);
	kit_core_kick(c, 0);
	assert_int_equal(ended_of(c, VIRTIO_BLK_T_IN, 20, 512), 2);
}

static void test_options(void **state)
{
	struct kit_core *c = *state;

	kit_core_open_fails(
		c, "invalid --limit-burst=3601", "--blk-file=fake", "--limit-burst=3601", NULL);
	kit_core_open_fails(c, "--iops-total", "--blk-file=fake", "--iops-total=x", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_total),
		TEST(test_read_alone),
		TEST(test_write_alone),
		TEST(test_bytes),
		TEST(test_set),
		TEST(test_group),
		TEST(test_left),
		TEST(test_full),
		TEST(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
