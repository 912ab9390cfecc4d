/* SPDX-License-Identifier: Apache-2.0 */
/* Lines, levels and limits, by the sink; and what really arrives on stderr. */
#include "tests/lib/test.h"

#include "base/log.h"
#include "base/util.h"

#define WINDOW_US (5 * G_USEC_PER_SEC)

struct lines {
	GPtrArray *text;
	enum log_level last_level;
	unsigned n_fds;
};

static void keep_line(enum log_level level, const char *line, void *opaque)
{
	struct lines *lines = opaque;

	g_ptr_array_add(lines->text, g_strdup(line));
	lines->last_level = level;
	errno = EINTR; /* log_msg() must not let this through */
}

static int setup(void **state)
{
	struct lines *lines = g_new0(struct lines, 1);

	lines->n_fds = count_fds();
	lines->text = g_ptr_array_new_with_free_func(g_free);
	log_set_program("virtiod-test");
	log_set_level(LOG_LEVEL_INFO);
	log_set_sink(keep_line, lines);
	*state = lines;
	return 0;
}

static int teardown(void **state)
{
	struct lines *lines = *state;

	log_set_sink(NULL, NULL);
	assert_int_equal(count_fds(), lines->n_fds);
	g_ptr_array_unref(lines->text);
	g_free(lines);
	return 0;
}

static void assert_last(struct lines *lines, const char *expected)
{
	assert_true(lines->text->len > 0);
	assert_string_equal(g_ptr_array_index(lines->text, lines->text->len - 1), expected);
}

static void test_format(void **state)
{
	struct lines *lines = *state;

	log_warning("queue 0", "descriptor %d is outside the ring", 7);
	assert_last(lines, "virtiod-test: warning: queue 0: descriptor 7 is outside the ring");
	assert_int_equal(lines->last_level, LOG_LEVEL_WARNING);
	log_info("queue 0", "started");
	assert_last(lines, "virtiod-test: queue 0: started");
	log_error(NULL, "no room");
	assert_last(lines, "virtiod-test: error: no room");
	log_info(NULL, "listening");
	assert_last(lines, "virtiod-test: listening");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("front-end", "gone");
	assert_last(lines, "virtiod-test: debug: front-end: gone");
	assert_int_equal(lines->text->len, 5);
}

static void test_errno(void **state)
{
	struct lines *lines = *state;

	errno = ENOSPC;
	log_info("disk", "%m");
	assert_int_equal(errno, ENOSPC);
	assert_last(lines, "virtiod-test: disk: No space left on device");
}

static void test_level(void **state)
{
	struct lines *lines = *state;

	for (int max = LOG_LEVEL_ERROR; max <= LOG_LEVEL_DEBUG; max++) {
		log_set_level(max);
		g_ptr_array_set_size(lines->text, 0);
		for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++)
			log_msg(level, NULL, "x");
		assert_int_equal(lines->text->len, max + 1);
		assert_int_equal(lines->last_level, max);
	}
}

static void test_parse_level(void **state)
{
	enum log_level level = LOG_LEVEL_ERROR;

	assert_true(log_parse_level("debug", &level));
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_true(log_parse_level("error", &level));
	assert_int_equal(level, LOG_LEVEL_ERROR);
	assert_true(log_parse_level("info", &level));
	assert_int_equal(level, LOG_LEVEL_INFO);
	assert_true(log_parse_level("warning", &level));
	assert_int_equal(level, LOG_LEVEL_WARNING);
	assert_false(log_parse_level("warn", &level));
	assert_false(log_parse_level("", &level));
	assert_int_equal(level, LOG_LEVEL_WARNING);
}

static void test_controls_of_peers(void **state)
{
	struct lines *lines = *state;
	g_autofree char *longest = g_strnfill(100000, 'a');
	const char *line;

	log_info(NULL, "name '%s'", "a\nvirtiod-test: error: b\x1b[2J\r.\x7f");
	assert_last(lines, "virtiod-test: name 'a?virtiod-test: error: b?[2J?.?'");
	/* C1 controls, as characters and as bytes; not within other characters. */
	log_info(NULL, "%s",
		"a\xc2\x9b"
		"2Jb\x9b"
		"2J\xc2\x80\xc2\x9f\xc2\xa0\xc3\x9f\xff\xe2\x82");
	assert_last(lines, "virtiod-test: a??2Jb?2J????\xc2\xa0\xc3\x9f\xff\xe2?");
	log_info(longest, "%s", longest);
	line = g_ptr_array_index(lines->text, lines->text->len - 1);
	assert_in_range(strlen(line), 500, 4096);
	assert_true(g_str_has_prefix(line, "virtiod-test: aaaa"));
}

static unsigned flood(struct lines *lines, struct log_limit *limit, unsigned n)
{
	unsigned before = lines->text->len;

	for (unsigned i = 0; i < n; i++)
		log_limited(limit, LOG_LEVEL_WARNING, "queue 0", "line %u", i);
	return lines->text->len - before;
}

static void test_limit(void **state)
{
	struct lines *lines = *state;
	struct log_limit limit = { 0 }, other = { 0 };

	assert_int_equal(flood(lines, &limit, 25), 10);
	assert_last(lines, "virtiod-test: warning: queue 0: line 9");
	assert_int_equal(flood(lines, &other, 1), 1);

	/* Almost at the window's end, and then past it. */
	limit.window_start -= WINDOW_US - G_USEC_PER_SEC;
	assert_int_equal(flood(lines, &limit, 1), 0);
	limit.window_start -= G_USEC_PER_SEC;
	assert_int_equal(flood(lines, &limit, 1), 1);
	assert_last(
		lines, "virtiod-test: warning: queue 0: line 0 (16 like it were dropped before)");
	assert_int_equal(flood(lines, &limit, 20), 9);
	assert_last(lines, "virtiod-test: warning: queue 0: line 8");
}

/* What is not shown anyhow takes no room from what is. */
static void test_limit_and_level(void **state)
{
	struct lines *lines = *state;
	struct log_limit limit = { 0 };

	for (unsigned i = 0; i < 100; i++)
		log_limited(&limit, LOG_LEVEL_DEBUG, NULL, "hidden");
	assert_int_equal(lines->text->len, 0);
	assert_int_equal(limit.dropped, 0);
	assert_int_equal(flood(lines, &limit, 11), 10);
}

/* Runs func with stderr in a pipe; returns what it wrote there, at most a pipe's worth. */
static char *with_stderr(void (*func)(void))
{
	static char got[65536];
	int saved = dup(STDERR_FILENO), fds[2];
	ssize_t n;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	dup2(fds[1], STDERR_FILENO);
	log_set_sink(NULL, NULL);
	func();
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[1]);
	for (n = 0;;) {
		ssize_t more = read(fds[0], got + n, sizeof(got) - 1 - n);

		if (more <= 0)
			break;
		n += more;
	}
	close(fds[0]);
	got[n] = '\0';
	return got;
}

static void write_one(void)
{
	log_warning("queue 0", "text");
}

static void test_stderr(void **state)
{
	assert_string_equal(with_stderr(write_one), "virtiod-test: warning: queue 0: text\n");
}

/* Writes lines while $JOURNAL_STREAM has the device of stderr, and its inode + off. */
static void write_to_journal(int off)
{
	g_autofree char *stream = NULL;
	struct stat st;

	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	stream = g_strdup_printf("%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + off);
	g_setenv("JOURNAL_STREAM", stream, TRUE);
	assert_int_equal(log_find_journal(), off == 0);
	g_unsetenv("JOURNAL_STREAM");
	for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_INFO; level++)
		log_msg(level, level ? "queue 0" : NULL, "text");
}

static void write_to_ours(void)
{
	write_to_journal(0);
	log_error_in_handler("handler");
}

static void write_to_other(void)
{
	write_to_journal(1);
}

static void test_journal(void **state)
{
	assert_false(log_find_journal());
	assert_string_equal(with_stderr(write_to_other),
		"virtiod-test: error: text\n"
		"virtiod-test: warning: queue 0: text\n"
		"virtiod-test: queue 0: text\n");
	assert_string_equal(with_stderr(write_to_ours),
		"<3>error: text\n"
		"<4>warning: queue 0: text\n"
		"<6>queue 0: text\n"
		"<3>error: handler\n");
}

static gpointer write_many(gpointer who)
{
	for (unsigned i = 0; i < 100; i++)
		log_info(who, "abcdefghijklmnopqrstuvwxyz");
	return NULL;
}

static void write_from_threads(void)
{
	static char names[4][2] = { "a", "b", "c", "d" };
	GThread *threads[4];

	for (unsigned i = 0; i < 4; i++)
		threads[i] = g_thread_new(NULL, write_many, names[i]);
	for (unsigned i = 0; i < 4; i++)
		g_thread_join(threads[i]);
}

static void test_threads(void **state)
{
	g_auto(GStrv) got = g_strsplit(with_stderr(write_from_threads), "\n", -1);

	assert_int_equal(g_strv_length(got), 401);
	for (unsigned i = 0; i < 400; i++) {
		got[i][strlen("virtiod-test: ")] = '*';
		assert_string_equal(got[i], "virtiod-test: *: abcdefghijklmnopqrstuvwxyz");
	}
	assert_string_equal(got[400], "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_format),
		TEST(test_errno),
		TEST(test_level),
		TEST(test_parse_level),
		TEST(test_controls_of_peers),
		TEST(test_limit),
		TEST(test_limit_and_level),
		TEST(test_stderr),
		TEST(test_journal),
		TEST(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
