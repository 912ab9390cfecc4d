/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-rng: sources, the rate limit, and what it does when there is nothing to give. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "tests/lib/kit_core.h"

/* For events: whoever is slow is not wrong. */
#define WAIT_MS 60000

static char *dir;

static char *in_dir(const char *name)
{
	return g_build_filename(dir, name, NULL);
}

/* Makes a buffer of len bytes available; its address. */
static uint64_t ask(struct kit_core *c, uint32_t len)
{
	struct driver_buf buf = { kit_core_alloc(c, len, 0), len };

	assert_int_equal(
		driver_ring_add(c->queue[0].ring, &buf, 0, 1, kit_core_host(c, buf.addr)), 0);
	kit_core_kick(c, 0);
	return buf.addr;
}

/* The used length of the one request that is complete; 0: none is. */
static uint32_t answered(struct kit_core *c)
{
	uint32_t len = 0;
	void *token;

	if (kit_core_reap(c, 0, &token, &len))
		assert_true(len > 0);
	return len;
}

static void open_source(struct kit_core *c, const char *path)
{
	g_autofree char *arg = g_strdup_printf("--filename=%s", path);
	g_autoptr(GError) error = NULL;

	if (!kit_core_open(c, &error, arg, NULL))
		fail_msg("%s", error->message);
	kit_core_start(c, 0);
}

static void test_getrandom(void **state)
{
	struct kit_core *c = *state;
	static const uint8_t zeroes[64];
	struct driver_buf buf[3];
	uint32_t len;
	void *token;

	assert_true(kit_core_open(c, NULL, NULL));
	assert_int_equal(c->device.num_queues, 1);
	kit_core_start(c, 0);
	for (unsigned i = 0; i < 3; i++)
		buf[i] = (struct driver_buf){ kit_core_alloc(c, 1000, 0), i == 1 ? 999 : 64 };
	assert_int_equal(driver_ring_add(c->queue[0].ring, buf, 0, 3, c), 0);
	kit_core_kick(c, 0);
	assert_true(kit_core_reap(c, 0, &token, &len));
	assert_int_equal(len, 64 + 999 + 64);
	for (unsigned i = 0; i < 3; i++)
		assert_memory_not_equal(kit_core_host(c, buf[i].addr), zeroes, sizeof(zeroes));
	/* Not beyond the buffer's end. */
	assert_int_equal(*(uint8_t *)kit_core_host(c, buf[1].addr + 999), 0);
}

/* A huge request is answered in part, so that others get their turn. */
static void test_huge(void **state)
{
	struct kit_core *c = *state;
	uint32_t len;

	assert_true(kit_core_open(c, NULL, NULL));
	kit_core_start(c, 0);
	ask(c, 8 << 20);
	len = answered(c);
	assert_in_range(len, 1, 1 << 20);
}

static void test_no_room(void **state)
{
	struct kit_core *c = *state;
	struct driver_buf buf;

	assert_true(kit_core_open(c, NULL, NULL));
	kit_core_start(c, 0);
	buf = (struct driver_buf){ kit_core_alloc(c, 16, 0), 16 };
	assert_int_equal(driver_ring_add(c->queue[0].ring, &buf, 1, 0, c), 0);
	kit_core_kick(c, 0);
	assert_non_null(c->broken);
	assert_non_null(strstr(c->broken, "no room"));
}

static void test_bad_options(void **state)
{
	g_autofree char *empty = in_dir("empty");
	g_autofree char *empty_arg = g_strdup_printf("--filename=%s", empty);
	g_autofree char *dir_arg = g_strdup_printf("--filename=%s", dir);
	struct kit_core *c = *state;

	kit_core_open_fails(c, "--max-bytes=0", "--max-bytes=0", NULL);
	kit_core_open_fails(c, "--max-bytes=-1", "--max-bytes=-1", NULL);
	kit_core_open_fails(c, "--period=0", "--period=0", NULL);
	kit_core_open_fails(c, "--period=65537", "--period=65537", NULL);
	kit_core_open_fails(c, "/nowhere/source", "--filename=/nowhere/source", NULL);
	kit_core_open_fails(c, "neither", dir_arg, NULL);
	assert_true(g_file_set_contents(empty, "", 0, NULL));
	kit_core_open_fails(c, "empty", empty_arg, NULL);
}

static void test_file(void **state)
{
	g_autofree char *path = in_dir("file");
	struct kit_core *c = *state;
	uint64_t first, second;

	assert_true(g_file_set_contents(path, "0123456789", 10, NULL));
	open_source(c, path);
	first = ask(c, 4);
	assert_int_equal(answered(c), 4);
	assert_memory_equal(kit_core_host(c, first), "0123", 4);
	second = ask(c, 100);
	assert_int_equal(answered(c), 6);
	assert_memory_equal(kit_core_host(c, second), "456789", 6);
	assert_string_equal(c->log, "");

	/* At its end a request is neither lost nor answered with nothing. */
	ask(c, 4);
	assert_int_equal(answered(c), 0);
	assert_non_null(strstr(c->log, "ended"));
	assert_non_null(strstr(c->log, path));
	assert_false(kit_core_step(c, 20)); /* it does not spin */
	/* One line, however often it is tried. */
	kit_core_stop(c);
	kit_core_resume(c);
	kit_core_kick(c, 0);
	assert_ptr_equal(strchr(c->log, '\n'), c->log + strlen(c->log) - 1);
}

/* A character device that has nothing is asked again, now and then. */
static void test_device(void **state)
{
	int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct kit_core *c = *state;
	gint64 start;
	uint64_t addr;

	assert_int_equal(grantpt(terminal), 0);
	assert_int_equal(unlockpt(terminal), 0);
	open_source(c, ptsname(terminal));
	start = g_get_monotonic_time();
	addr = ask(c, 5);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(kit_core_step(c, WAIT_MS));
		assert_int_equal(answered(c), 0);
	}
	/* Not more often than every 20 ms. */
	assert_true(g_get_monotonic_time() - start >= 3 * 20000);
	assert_int_equal(write(terminal, "dice\n", 5), 5);
	assert_true(kit_core_step(c, WAIT_MS));
	assert_int_equal(answered(c), 5);
	assert_memory_equal(kit_core_host(c, addr), "dice\n", 5);
	assert_string_equal(c->log, "");
	close(terminal);
}

static void test_fifo(void **state)
{
	g_autofree char *path = in_dir("fifo");
	struct kit_core *c = *state;
	uint64_t addr;
	int writer;

	assert_int_equal(mkfifo(path, 0600), 0);
	open_source(c, path);
	addr = ask(c, 8);
	ask(c, 8);
	assert_int_equal(answered(c), 0);
	assert_false(kit_core_step(c, 20));

	writer = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(writer >= 0);
	assert_int_equal(write(writer, "abc", 3), 3);
	assert_true(kit_core_step(c, WAIT_MS));
	assert_int_equal(answered(c), 3);
	assert_memory_equal(kit_core_host(c, addr), "abc", 3);
	assert_int_equal(answered(c), 0);

	/* A writer that goes is no end, and no reason to spin. */
	close(writer);
	assert_false(kit_core_step(c, 20));
	writer = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(writer, "defghijklmn", 11), 11);
	assert_true(kit_core_step(c, WAIT_MS));
	assert_int_equal(answered(c), 8);
	/* With no request there is nothing to wait for: three bytes stay in the FIFO. */
	assert_false(kit_core_step(c, 20));
	addr = ask(c, 8);
	assert_int_equal(answered(c), 3);
	assert_memory_equal(kit_core_host(c, addr), "lmn", 3);
	assert_string_equal(c->log, "");
	close(writer);
}

/* A request that waits does not delay a stop, and is there again after the next start. */
static void test_stop_while_waiting(void **state)
{
	g_autofree char *path = in_dir("fifo2");
	struct kit_core *c = *state;
	int writer;

	assert_int_equal(mkfifo(path, 0600), 0);
	open_source(c, path);
	ask(c, 8);
	kit_core_stop(c);
	assert_int_equal(c->queue[0].base, 0);
	writer = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(writer, "x", 1), 1);
	kit_core_resume(c);
	kit_core_kick(c, 0);
	assert_int_equal(answered(c), 1);
	close(writer);
}

static void test_rate(void **state)
{
	struct kit_core *c = *state;
	int64_t start, elapsed;
	unsigned bytes = 0;

	start = g_get_monotonic_time();
	assert_true(kit_core_open(c, NULL, "--max-bytes=16", "--period=60", NULL));
	kit_core_start(c, 0);
	/* More than a period allows: answered in part. */
	ask(c, 100);
	assert_int_equal(answered(c), 16);
	ask(c, 10);
	while (bytes < 40) {
		uint32_t len = answered(c);

		/* Nothing more in the first period, which began after start. */
		if (g_get_monotonic_time() - start < 60000)
			assert_int_equal(len, 0);
		bytes += len;
		if (len)
			ask(c, 10);
		else
			assert_true(kit_core_step(c, WAIT_MS));
	}
	/* 56 bytes: the fourth period at the earliest. */
	elapsed = g_get_monotonic_time() - start;
	assert_in_range(elapsed, 3 * 60000, WAIT_MS * 1000);
	assert_string_equal(c->log, "");
}

static int make_dir(void **state)
{
	dir = g_dir_make_tmp("virtiod-rng-XXXXXX", NULL);
	return dir ? 0 : -1;
}

static int remove_dir(void **state)
{
	static const char *const names[] = { "empty", "file", "fifo", "fifo2" };

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = in_dir(names[i]);

		g_unlink(path);
	}
	g_rmdir(dir);
	g_free(dir);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_core_setup, kit_core_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_getrandom),
		TEST(test_huge),
		TEST(test_no_room),
		TEST(test_bad_options),
		TEST(test_file),
		TEST(test_device),
		TEST(test_fifo),
		TEST(test_stop_while_waiting),
		TEST(test_rate),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
