/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines, the keys of back-ends, the argument of --device, numbers. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/number.h"
#include "base/option.h"
#include "launch/backend_keys.h"
#ifdef HAVE_KVM
#include "kvm-stub/machine/device_spec.h"
#endif

/* A target of each kind. */
static struct {
	bool flag, on_off;
	unsigned word, number, power, unset;
	char *string, *path, **paths;
	int fd;
	uint64_t number64, bytes, shifted;
	double real;
	mode_t mode;
} to;

static bool parse(const char *text, GError **error)
{
	return *text == 'x' || option_bad(error, "something with an x");
}

static const char *const words[] = { "one", "two", NULL };

static const struct option_entry entries[] = {
	{ "flag", .letter = 'f', .flag = &to.flag, .excludes = { "fd", "mode" } },
	{ "on-off", .letter = 'o', .on_off = &to.on_off, .initial = "on" },
	{ "word", .word = &to.word, .words = words, .initial = "one" },
	{ "string", .letter = 's', .string = &to.string, .hidden = true },
	{ "path", .path = &to.path },
	{ "paths", .letter = 'p', .paths = &to.paths },
	{ "fd", .fd = &to.fd },
	{ "number", .letter = 'n', .number = &to.number, .min = 1, .max = 64, .units = true },
	{ "power", .number = &to.power, .max = 4096, .power_of_two = true },
	{ "unset", .number = &to.unset, .min = 3, .max = 9, .unset = "-1" },
	{ "number64", .number64 = &to.number64 },
	{ "bytes", .bytes = &to.bytes, .min = 512 },
	{ "shifted", .bytes = &to.shifted, .shift = 20 },
	{ "real", .real = &to.real },
	{ "mode", .mode = &to.mode },
	{ "parse", .parse = parse },
	{ NULL },
};

static const struct option_syntax syntax = {
	.summary = "A program",
	.arguments = "[FILE...]",
	.max_arguments = 3,
	.tables = { entries },
};

/* Tells whether --help is among them, which ends the program. */
static bool asks_for_help(const char *argument)
{
	if (g_str_has_prefix(argument, "--"))
		return g_str_has_prefix(argument + 2, "help");
	return *argument == '-' && strpbrk(argument, "h?");
}

static void run_line(struct fuzz_input *in)
{
	g_autoptr(GPtrArray) line = g_ptr_array_new();
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) argv = NULL;

	g_ptr_array_add(line, g_strdup("program"));
	while (fuzz_more(in) && line->len < 16) {
		char *argument = fuzz_string(in);

		if (asks_for_help(argument))
			*argument = '\0';
		g_ptr_array_add(line, argument);
	}
	g_ptr_array_add(line, NULL);
	argv = (char **)g_ptr_array_steal(line, NULL);
	if (!option_parse(&syntax, &argv, &error))
		g_assert_true(error && error->domain == G_OPTION_ERROR);
	option_clear(entries);
}

static void run_keys(struct fuzz_input *in)
{
	struct backend_keys keys = BACKEND_KEYS_INIT;

	for (unsigned i = 0; i < 8; i++) {
		g_autofree char *key = fuzz_string(in), *value = fuzz_string(in);
		g_autoptr(GError) error = NULL;

		if (!backend_keys_set(&keys, key, value, &error))
			g_assert_nonnull(error);
	}
}

static void run_device(struct fuzz_input *in)
{
#ifdef HAVE_KVM
	g_autofree char *text = fuzz_string(in);
	g_autoptr(GError) error = NULL;
	g_autoptr(device_spec) spec = device_spec_parse(text, &error);

	g_assert_true(!spec == !!error);
#endif
}

static void run_number(struct fuzz_input *in)
{
	g_autofree char *text = fuzz_string(in);
	uint64_t min = fuzz_u64(in), max = fuzz_u64(in), n;
	double real;

	if (number_parse(text, min, max, &n))
		g_assert_true(n >= min && n <= max);
	number_parse_bytes(text, fuzz_below(in, 64), &n);
	if (number_parse_real(text, &real))
		g_assert_true(real >= 0);
}

static void run(struct fuzz_input *in)
{
	static void (*const parts[])(
		struct fuzz_input * in) = { run_line, run_keys, run_device, run_number };

	parts[fuzz_below(in, G_N_ELEMENTS(parts))](in);
}

FUZZ_TARGET(options, .run = run);
