/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines by a table: each kind of option, what is refused and how that is worded. */
#include "tests/lib/test.h"

#include "base/option.h"

static struct {
	bool flag, on_off;
	unsigned word, number, size, block, config;
	enum log_level level;
	char *string, *path, **paths;
	int fd;
	uint64_t number64, bytes, mib;
	double real;
	mode_t mode;
	gid_t group;
	char custom[16];
	bool extra;
} v;

static bool parse_custom(const char *text, GError **error)
{
	if (strlen(text) >= sizeof(v.custom))
		return option_bad(error, "at most %zu bytes", sizeof(v.custom) - 1);
	strcpy(v.custom, text);
	return true;
}

static const struct option_entry kinds[] = {
	{ "flag", .letter = 'f', .flag = &v.flag, .help = "A flag" },
	{ "on-off", .on_off = &v.on_off, .initial = "on", .help = "A switch" },
	{ "word", .word = &v.word, .words = choice_words, .help = "A word" },
	{ "string", .string = &v.string, .help = "A string" },
	{ "path", .path = &v.path, .help = "A path" },
	{ "dir", .paths = &v.paths, .help = "A list" },
	{ "fd", .fd = &v.fd, .help = "An fd" },
	{ "number", .number = &v.number, .min = 1, .max = 64, .initial = "7", .help = "A number" },
	{ "old-number", .number = &v.number, .max = 64, .hidden = true },
	{ "size", .number = &v.size, .max = 32768, .power_of_two = true },
	{ "number64", .number64 = &v.number64 },
	{ NULL },
};
static const struct option_entry more[] = {
	{ "block", .number = &v.block, .min = 512, .max = 4096, .power_of_two = true,
		.unset = "0" },
	{ "config", .number = &v.config, .max = 64, .unset = "-1" },
	{ "bytes", .bytes = &v.bytes, .min = 512, .max = 16 << 20, .help = "Bytes" },
	{ "memory", .letter = 'm', .bytes = &v.mib, .shift = 20, .help = "MiB" },
	{ "real", .real = &v.real, .help = "Real" },
	{ "mode", .mode = &v.mode, .help = "Mode" },
	{ "custom", .parse = parse_custom, .help = "Custom" },
	{ "group", .group = &v.group, .help = "Group" },
	OPTION_LOG_LEVEL(&v.level),
	{ NULL },
};
static const struct option_entry extra[] = {
	{ "extra", .flag = &v.extra, .help = "Of a command" },
	{ NULL },
};
static const struct option_syntax syntax = {
	.summary = "Tries everything.",
	.arguments = "FILE",
	.max_arguments = 1,
	.tables = { kinds, NULL, more },
	.group = { "extra", "The extra command", "Show the extra command's options", extra },
};

static bool parse_syntax(
	const struct option_syntax *s, const char *line, char ***args, GError **error)
{
	g_autofree char *all = g_strdup_printf("program %s", line);

	*args = g_strsplit(g_strchomp(all), " ", -1);
	return option_parse(s, args, error);
}

static int clear(void **state)
{
	option_clear(kinds);
	assert_true(!v.string && !v.path && !v.paths);
	memset(&v, 0, sizeof(v));
	v.fd = -1;
	return 0;
}

static void good(const char *line)
{
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) args = NULL;

	assert_true(parse_syntax(&syntax, line, &args, &error));
	assert_null(error);
}

static void test_initial(void **state)
{
	good("");
	assert_false(v.flag);
	assert_true(v.on_off);
	assert_int_equal(v.number, 7);
	assert_int_equal(v.level, LOG_LEVEL_INFO);
	assert_int_equal(v.fd, -1);
	assert_null(v.string);
}

static void test_kinds(void **state)
{
	good("-f --on-off=off --word off --string=text --path=/p --dir=/a --dir=/b --fd=3 "
	     "--number=64 --size=256 --number64=0xffffffffffffffff --extra");
	assert_true(v.flag && v.extra);
	assert_false(v.on_off);
	assert_int_equal(v.word, CHOICE_OFF);
	assert_string_equal(v.string, "text");
	assert_string_equal(v.path, "/p");
	assert_string_equal(v.paths[0], "/a");
	assert_string_equal(v.paths[1], "/b");
	assert_null(v.paths[2]);
	assert_int_equal(v.fd, 3);
	assert_int_equal(v.number, 64);
	assert_int_equal(v.size, 256);
	assert_true(v.number64 == UINT64_MAX);
}

static void test_more_kinds(void **state)
{
	good("--bytes=64K -m 256 --real=0.5 --mode=0640 --custom=x --log-level=debug");
	assert_int_equal(v.bytes, 65536);
	assert_int_equal(v.mib, 256 << 20);
	assert_true(v.real == 0.5);
	assert_int_equal(v.mode, 0640);
	assert_string_equal(v.custom, "x");
	assert_int_equal(v.level, LOG_LEVEL_DEBUG);
	good("--group=2147483647");
	assert_int_equal(v.group, 2147483647);
	good("--group=root");
	assert_int_equal(v.group, 0);
	good("-m 1G --size=0 --old-number=0");
	assert_int_equal(v.mib, 1 << 30);
	assert_int_equal(v.size, 0);
	assert_int_equal(v.number, 0);
}

/* Values that mean the same as not giving the option. */
static void test_unset(void **state)
{
	good("--block=512 --config=5");
	good("--block=0 --config=-1");
	assert_int_equal(v.block, 0);
	assert_int_equal(v.config, UINT_MAX);
	good("--block=512");
	good("--block=0x00");
	assert_int_equal(v.block, 0);
}

/* The last one counts, and the first is freed. */
static void test_twice(void **state)
{
	good("--string=a --path=/a --number=1 --string=b --path=/b --number=2");
	assert_string_equal(v.string, "b");
	assert_string_equal(v.path, "/b");
	assert_int_equal(v.number, 2);
}

static void test_arguments(void **state)
{
	static const char *const lines[] = { "file", "-- file", "--flag file", "-f -- file" };

	for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++) {
		g_auto(GStrv) args = NULL;

		assert_true(parse_syntax(&syntax, lines[i], &args, NULL));
		assert_string_equal(args[0], "program");
		assert_string_equal(args[1], "file");
		assert_null(args[2]);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *line, *message;
	} bad[] = {
		{ "--on-off=maybe", "invalid --on-off=maybe: on or off" },
		{ "--flag=maybe", "invalid --flag=maybe: on or off" },
		{ "--flag=", "invalid --flag=: on or off" },
		{ "--fd=-1", "invalid --fd=-1: a number from 0 to 2147483647" },
		{ "--fd", "Missing argument for --fd" },
		{ "-fm", "Missing argument for --memory" },
		{ "-fx", "Unknown option -x" },
		{ "--help-other", "Unknown option --help-other" },
		{ "--word=", "invalid --word=: auto, on or off" },
		{ "--fd=x", "invalid --fd=x: a number from 0 to 2147483647" },
		{ "--fd=-", "invalid --fd=-: a number from 0 to 2147483647" },
		{ "--number=-1", "invalid --number=-1: a number from 1 to 64" },
		{ "--block=1", "invalid --block=1: a power of two from 512 to 4096" },
		{ "--block=-1", "invalid --block=-1: a power of two from 512 to 4096" },
		{ "--number=0", "invalid --number=0: a number from 1 to 64" },
		{ "--number=65", "invalid --number=65: a number from 1 to 64" },
		{ "--number=8x", "invalid --number=8x: a number from 1 to 64" },
		{ "--size=96", "invalid --size=96: 0 or a power of two up to 32768" },
		{ "--number64=18446744073709551616",
			"invalid --number64=18446744073709551616: a number from 0 to "
			"18446744073709551615" },
		{ "--bytes=1",
			"invalid --bytes=1: a number of bytes such as 4096 or 64K, from 512 "
			"to 16777216" },
		{ "-m 1.5G", "invalid --memory=1.5G: a size such as 256M or 2G" },
		{ "--real=x", "invalid --real=x: a number such as 5 or 0.5" },
		{ "--real=-1", "invalid --real=-1: a number such as 5 or 0.5" },
		{ "--real=inf", "invalid --real=inf: a number such as 5 or 0.5" },
		{ "--mode=888", "invalid --mode=888: an octal mode up to 777" },
		{ "--group=no-such-group",
			"invalid --group=no-such-group: there is no such group" },
		{ "--group=-1", "invalid --group=-1: there is no such group" },
		{ "--group=4294967295", "invalid --group=4294967295: there is no such group" },
		{ "--custom=0123456789abcdef",
			"invalid --custom=0123456789abcdef: at most 15 bytes" },
		{ "--log-level=%s%n", "invalid --log-level=%s%n: error, warning, info or debug" },
		{ "--nope", "Unknown option --nope" },
		{ "a b", "unexpected argument 'b' (try --help)" },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		g_auto(GStrv) args = NULL, again = NULL;

		assert_false(parse_syntax(&syntax, bad[i].line, &args, &error));
		assert_int_equal(error->domain, G_OPTION_ERROR);
		assert_string_equal(error->message, bad[i].message);
		assert_false(parse_syntax(&syntax, bad[i].line, &again, NULL));
	}
}

static void test_too_few(void **state)
{
	const struct option_syntax two = {
		.arguments = "A B", .min_arguments = 2, .max_arguments = 2
	};
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) args = NULL;

	g_set_prgname("program");
	assert_false(parse_syntax(&two, "a", &args, &error));
	assert_string_equal(error->message, "usage: program [OPTION...] A B");
}

/* For programs that save and restore what options set. */
static void test_target(void **state)
{
	size_t size;

	assert_ptr_equal(option_target(&kinds[0], &size), &v.flag);
	assert_int_equal(size, sizeof(bool));
	assert_ptr_equal(option_target(&kinds[10], &size), &v.number64);
	assert_int_equal(size, sizeof(uint64_t));
	assert_null(option_target(&more[6], &size));
}

static void test_bad(void **state)
{
	g_autoptr(GError) error = NULL;

	assert_false(option_bad(&error, "--%s=%d: 100%% wrong", "queues", 7));
	assert_true(g_error_matches(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE));
	assert_string_equal(error->message, "--queues=7: 100% wrong");
	assert_false(option_bad(NULL, "--%s", "queues"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_initial, clear, clear),
		cmocka_unit_test_setup_teardown(test_kinds, clear, clear),
		cmocka_unit_test_setup_teardown(test_more_kinds, clear, clear),
		cmocka_unit_test_setup_teardown(test_unset, clear, clear),
		cmocka_unit_test_setup_teardown(test_twice, clear, clear),
		cmocka_unit_test_setup_teardown(test_arguments, clear, clear),
		cmocka_unit_test_setup_teardown(test_refused, clear, clear),
		cmocka_unit_test_setup_teardown(test_too_few, clear, clear),
		cmocka_unit_test(test_target),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
