/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-rng: sources, the rate limit, and what it does when there is nothing to give. */
#include "tests/lib/kit.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"

static struct kit_request *ask(struct kit *k, size_t size)
{
	return kit_send(k, 0, NULL, 0, size);
}

static const char *option(const char *name, const char *value)
{
	static char text[256];

	g_snprintf(text, sizeof(text), "--%s=%s", name, value);
	return text;
}

static void start_on(struct kit *k, const char *path)
{
	kit_start(k, option("filename", path), NULL);
}

static int open_fifo(struct kit *k, const char **path)
{
	*path = kit_path(k, "fifo");
	assert_int_equal(mkfifo(*path, 0600), 0);
	return open(*path, O_RDWR | O_CLOEXEC);
}

static void put(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void test_getrandom(struct kit *k)
{
	static const uint8_t nothing[1127] = { [0 ... 1126] = 0xdd };
	struct kit_request *r;

	kit_start(k, NULL);
	r = ask(k, sizeof(nothing));
	assert_int_equal(kit_wait(k, r), sizeof(nothing));
	for (unsigned at = 0; at + 64 < sizeof(nothing); at += 64)
		assert_memory_not_equal(r->in + at, nothing, 64);
}

/* A huge request is answered in part, so that others get their turn. */
static void test_huge(struct kit *k)
{
	kit_start(k, NULL);
	assert_in_range(kit_wait(k, ask(k, 8 << 20)), 1, 1 << 20);
}

static void test_no_room(struct kit *k)
{
	kit_start(k, NULL);
	kit_send(k, 0, "Dear device, ...", 16, 0);
	kit_wait_broken(k, "no room");
}

/* They can be read for ever, and nothing of it is random. */
static void test_unmeant_sources(struct kit *k)
{
	static const char *const names[] = { "/dev/null", "/dev/zero", "/dev/full" };
	g_autofree char *link = g_strdup(kit_path(k, "link"));

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		kit_start_fails(k, names[i], option("filename", names[i]), NULL);
		kit_start_fails(k, "not random", option("filename", names[i]), NULL);
	}
	assert_int_equal(symlink("/dev/zero", link), 0);
	kit_start_fails(k, "not random", option("filename", link), NULL);
	kit_start(k, "--filename=/dev/urandom", NULL);
	assert_in_range(kit_wait(k, ask(k, 64)), 1, 64);
}

static void test_bad_options(struct kit *k)
{
	static const char *const bad[] = { "--max-bytes=0", "--max-bytes=-1", "--period=0",
		"--period=65537", "--filename=/nowhere/source" };
	const char *empty = kit_path(k, "empty");

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		kit_start_fails(k, strchr(bad[i], '=') + 1, bad[i], NULL);
	kit_start_fails(k, "neither", "--filename=/", NULL);
	assert_true(g_file_set_contents(empty, "", 0, NULL));
	kit_start_fails(k, "empty", option("filename", empty), NULL);
}

static void test_file(struct kit *k)
{
	const char *path = kit_path(k, "file");
	struct kit_request *r;

	assert_true(g_file_set_contents(path, "0123456789", 10, NULL));
	start_on(k, path);
	r = ask(k, 4);
	assert_int_equal(kit_wait(k, r), 4);
	assert_memory_equal(r->in, "0123", 4);
	r = ask(k, 100);
	assert_int_equal(kit_wait(k, r), 6);
	assert_memory_equal(r->in, "456789", 6);

	/* At its end a request is neither lost nor answered with nothing. */
	r = ask(k, 4);
	kit_wait_log(k, "ended");
	kit_wait_log(k, path);
	assert_false(kit_is_done(k, r));
}

/* A character device that has nothing is asked again, now and then. */
static void test_device(struct kit *k)
{
	autofd terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct kit_request *r;

	assert_int_equal(grantpt(terminal), 0);
	assert_int_equal(unlockpt(terminal), 0);
	start_on(k, ptsname(terminal));
	r = ask(k, 5);
	assert_false(kit_is_done(k, r));
	put(terminal, "dice\n");
	assert_int_equal(kit_wait(k, r), 5);
	assert_memory_equal(r->in, "dice\n", 5);
}

static void test_fifo(struct kit *k)
{
	const char *path;
	autofd writer = open_fifo(k, &path);
	struct kit_request *first, *second;

	start_on(k, path);
	first = ask(k, 8);
	second = ask(k, 8);
	assert_false(kit_is_done(k, first));
	put(writer, "abc");
	assert_int_equal(kit_wait(k, first), 3);
	assert_memory_equal(first->in, "abc", 3);
	assert_false(kit_is_done(k, second));

	/* A writer that closes it is no end. */
	fd_close(&writer);
	assert_false(kit_is_done(k, second));
	writer = open(path, O_WRONLY | O_CLOEXEC);
	put(writer, "defghijklmn");
	assert_int_equal(kit_wait(k, second), 8);
	/* Three bytes are left for the next one. */
	first = ask(k, 8);
	assert_int_equal(kit_wait(k, first), 3);
	assert_memory_equal(first->in, "lmn", 3);
}

/* A request that waits does not delay a stop, and is there again after the next start. */
static void test_stop_while_waiting(struct kit *k)
{
	const char *path;
	autofd writer = open_fifo(k, &path);
	struct kit_request *r;

	start_on(k, path);
	r = ask(k, 8);
	kit_pause(k);
	put(writer, "x");
	assert_int_equal(kit_wait(k, r), 1);
}

/* 56 bytes at 16 bytes a period: the last ones come in the fourth period, at the earliest. */
static void test_rate(struct kit *k)
{
	int64_t start = g_get_monotonic_time();
	unsigned bytes = 0;

	kit_start(k, "--max-bytes=16", "--period=60", NULL);
	while (bytes < 56) {
		uint32_t len = kit_wait(k, ask(k, 56 - bytes));

		assert_in_range(len, 1, 16);
		bytes += len;
		assert_true(bytes <= 16 * (1 + (g_get_monotonic_time() - start) / 60000));
	}
	assert_true(g_get_monotonic_time() - start >= 3 * 60000);
}

/* What a killed program has read of its source is lost with it: KIT_NO_KILL. */
static const struct kit_test tests[] = {
	{ "getrandom", test_getrandom },
	{ "huge request", test_huge },
	{ "no room", test_no_room },
	{ "unmeant sources", test_unmeant_sources },
	{ "bad options", test_bad_options },
	{ "file", test_file, .skip = KIT_NO_KILL },
	{ "character device", test_device, .skip = KIT_NO_KILL },
	{ "FIFO", test_fifo, .skip = KIT_NO_KILL },
	{ "stop while waiting", test_stop_while_waiting, .skip = KIT_NO_KILL },
	{ "rate", test_rate, .skip = KIT_NO_KILL },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
