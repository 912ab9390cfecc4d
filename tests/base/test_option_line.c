/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options as users write them: switches with a value, numbers and file names in any spelling and
 * locale, options that exclude each other, --help, exit statuses.
 */
#include "tests/lib/test.h"

#include <locale.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/error.h"
#include "base/option.h"
#include "base/util.h"

static struct {
	bool flag, on_off, quiet;
	unsigned word, count, block;
	uint64_t number64, bytes;
	double real;
	char *string, *path, **paths;
} v;

static const struct option_entry table[] = {
	{ "flag", .letter = 'f', .flag = &v.flag, .help = "A flag" },
	{ "quiet", .flag = &v.quiet, .excludes = { "word", "flag" } },
	{ "on-off", .on_off = &v.on_off, .initial = "on", .help = "A switch" },
	{ "word", .word = &v.word, .words = choice_words, .help = "A word" },
	{ "count", .letter = 'c', .number = &v.count, .max = 64, .initial = "7" },
	{ "block", .number = &v.block, .min = 512, .max = 65536, .units = true },
	{ "number64", .number64 = &v.number64, .units = true },
	{ "bytes", .bytes = &v.bytes },
	{ "real", .real = &v.real },
	{ "string", .string = &v.string },
	{ "path", .path = &v.path, .excludes = { "extra" } },
	{ "dir", .paths = &v.paths },
	{ NULL },
};
static bool extra;
static const struct option_entry of_command[] = { { "extra", .flag = &extra }, { NULL } };
static const struct option_syntax syntax = {
	.summary = "Tries everything.",
	.arguments = "[FILE]",
	.max_arguments = 1,
	.tables = { NULL, table },
	.group = { "extra", "The extra command", "Show its options", of_command },
};

static int clear(void **state)
{
	option_clear(table);
	memset(&v, 0, sizeof(v));
	extra = false;
	return 0;
}

/* Parses line: the arguments, with spaces between them. Returns what is wrong with it, or NULL. */
static char *parse(const char *line)
{
	g_autofree char *all = g_strconcat("program ", line, NULL);
	g_auto(GStrv) args = g_strsplit(all, " ", -1);
	g_autoptr(GError) error = NULL;

	if (option_parse(&syntax, &args, &error))
		return NULL;
	assert_int_equal(option_exit_status(error), EXIT_USAGE);
	return g_strdup(error->message);
}

static void good(const char *line)
{
	g_autofree char *wrong = parse(line);

	if (wrong)
		fail_msg("%s: %s", line, wrong);
}

static void bad(const char *line, const char *message)
{
	g_autofree char *wrong = parse(line);

	assert_non_null(wrong);
	assert_string_equal(wrong, message);
}

static void test_options_switches(void **state)
{
	static const char *const on[] = { "on", "yes", "true", "1" };
	static const char *const off[] = { "off", "no", "false", "0" };

	for (unsigned i = 0; i < G_N_ELEMENTS(on); i++) {
		g_autofree char *yes =
			g_strdup_printf("--flag=%s --on-off=%s --word=%s", on[i], on[i], on[i]);
		g_autofree char *no = g_strdup_printf(
			"--flag --flag=%s --on-off=%s --word %s", off[i], off[i], off[i]);

		good(yes);
		assert_true(v.flag && v.on_off);
		assert_int_equal(v.word, CHOICE_ON);
		good(no);
		assert_false(v.flag || v.on_off);
		assert_int_equal(v.word, CHOICE_OFF);
	}
	bad("--flag=of", "invalid --flag=of: on or off");
	bad("--on-off=", "invalid --on-off=: on or off");
	bad("--word=y", "invalid --word=y: auto, on or off");
	/* What follows a flag is an argument. */
	bad("--flag off on", "unexpected argument 'on' (try --help)");
}

/* Each spelling is right everywhere or wrong everywhere. */
static void test_options_numbers_alike(void **state)
{
	static const char *const names[] = { "count", "block", "number64", "bytes", "real" };
	static const struct {
		const char *text;
		bool in_count, in_bytes, in_real; /* is right there */
	} rows[] = {
		{ "64", true, true, true },
		{ "0064", true, true, true },
		{ "0x40", true, true, true },
		{ "+64" },
		{ "-64" },
		{ "64 " },
		{ "\t64" },
		{ "" },
		{ "0x" },
		{ "inf" },
		{ "64K", false, true },
		{ "64k", false, true },
		{ "64KB", false, true },
		{ "64KiB", false, true },
		{ "0x40K", false, true },
		{ "64Kb" },
		{ "64 K" },
		{ "0.5", false, false, true },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		for (unsigned n = 0; n < G_N_ELEMENTS(names); n++) {
			bool expected = n == 0 ? rows[i].in_count
				: n < 4	       ? rows[i].in_bytes
					       : rows[i].in_real;
			const struct option_entry *o = table;

			while (strcmp(o->name, names[n]) != 0)
				o++;
			if (n == 1 && rows[i].in_count)
				continue; /* too few bytes */
			if (option_set(o, rows[i].text, NULL) != expected)
				fail_msg("--%s='%s'", names[n], rows[i].text);
		}
	}
	good("--block=64K --number64=4KiB --bytes=2MB --count=0010");
	assert_int_equal(v.block, 65536);
	assert_int_equal(v.number64, 4096);
	assert_int_equal(v.bytes, 2 << 20);
	assert_int_equal(v.count, 10);
}

/* Names are bytes: UTF-8 in the C locale, and in a UTF-8 one bytes that are none. */
static void test_options_bytes_in_any_locale(void **state)
{
	static const char *const locales[] = { "C", "C.UTF-8" };
	static const char *const names[] = { "/d\xc3\xbcsk", "/d\xfcsk", "/\xff\xfe", "/\xc2\x9b" };

	for (unsigned i = 0; i < G_N_ELEMENTS(locales); i++) {
		assert_non_null(setlocale(LC_ALL, locales[i]));
		for (unsigned n = 0; n < G_N_ELEMENTS(names); n++) {
			g_autofree char *line = g_strdup_printf(
				"--path=%s --string %s --dir=%s", names[n], names[n], names[n]);

			good(line);
			assert_string_equal(v.path, names[n]);
			assert_string_equal(v.string, names[n]);
			assert_string_equal(v.paths[0], names[n]);
			clear(NULL);
		}
	}
	setlocale(LC_ALL, "C");
	bad("--word=\xc3\xbc", "invalid --word=\xc3\xbc: auto, on or off");
}

static void test_options_exclude(void **state)
{
	bad("--quiet --word=on", "--quiet and --word exclude each other");
	bad("--word=on --quiet", "--quiet and --word exclude each other");
	bad("-f --on-off=no --quiet=yes", "--quiet and --flag exclude each other");
	bad("--path=/x --extra", "--path and --extra exclude each other");
	good("--quiet=off --word=on --flag");
	good("--quiet --flag=off");
	good("--quiet");
	good("--path=/x --path=/y --flag");
}

static void test_options_short(void **state)
{
	good("-fc5");
	assert_true(v.flag);
	assert_int_equal(v.count, 5);
	good("-c 6 - -f");
	assert_int_equal(v.count, 6);
	bad("-c", "Missing argument for --count");
	bad("-c -5", "invalid --count=-5: a number from 0 to 64");
}

/* Returns what --help prints, in a process of its own, which it ends. */
static char *help(const char *line)
{
	char text[4096];
	size_t len = 0;
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		g_free(parse(line));
		_exit(99);
	}
	close(ends[1]);
	while ((n = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
	text[len] = '\0';
	return g_strdup(text);
}

static void test_options_help_is_ascii(void **state)
{
	g_autofree char *all = help("--help-all"), *of_main = help("-f --help"), *group = NULL;

	g_set_prgname("program");
	group = help("--help-extra");
	assert_non_null(strstr(group, "program [OPTION...] [FILE]"));
	assert_non_null(strstr(group, "--extra"));
	assert_null(strstr(group, "--on-off"));
	assert_non_null(strstr(of_main, "A switch (default: on)"));
	assert_non_null(strstr(of_main, "--word=auto|on|off"));
	assert_non_null(strstr(of_main, "-f, --flag "));
	assert_non_null(strstr(of_main, "--help-extra"));
	assert_null(strstr(of_main, "--extra "));
	assert_non_null(strstr(all, "--extra"));
	assert_true(g_str_is_ascii(all) && g_str_is_ascii(of_main) && g_str_is_ascii(group));
}

static void test_options_exit_status(void **state)
{
	g_autoptr(GError) option = NULL, file = NULL, key = NULL;

	option_bad(&option, "no");
	g_set_error_literal(&key, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE, "no");
	error_errno(&file, ENOENT, "no");
	assert_int_equal(option_exit_status(NULL), 0);
	assert_int_equal(option_exit_status(file), 1);
	assert_int_equal(option_exit_status(option), 2);
	assert_int_equal(option_exit_status(key), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_options_switches, clear, clear),
		cmocka_unit_test_setup_teardown(test_options_numbers_alike, clear, clear),
		cmocka_unit_test_setup_teardown(test_options_bytes_in_any_locale, clear, clear),
		cmocka_unit_test_setup_teardown(test_options_exclude, clear, clear),
		cmocka_unit_test_setup_teardown(test_options_short, clear, clear),
		cmocka_unit_test_setup_teardown(test_options_help_is_ascii, clear, clear),
		cmocka_unit_test(test_options_exit_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
