/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: what each option sets, and what is refused. */
#include "tests/lib/test.h"

#include "kvm-stub/layout.h"
#include "kvm-stub/options.h"
#include "kvm-stub/machine/device_spec.h"

/* Parses line: the arguments, with spaces between them. */
static bool parse(struct kvm_options *o, const char *line, GError **error)
{
	g_autofree char *all = g_strconcat("virtiod-kvm ", line, NULL);
	g_auto(GStrv) argv = g_strsplit(all, " ", -1);

	return kvm_options_parse(o, g_strv_length(argv), argv, error);
}

static void test_defaults(void **state)
{
	g_auto(kvm_options) o = { 0 };

	assert_true(parse(&o, "--kernel=/k", NULL));
	assert_string_equal(o.kernel, "/k");
	assert_null(o.initrd);
	assert_null(o.append);
	assert_int_equal(o.memory, 256 << 20);
	assert_int_equal(o.cpus, 1);
	assert_int_equal(o.devices->len, 0);
	assert_null(o.folders);
	assert_null(o.terminal_file);
	assert_false(o.selftest);
	assert_false(o.no_reboot);
	assert_int_equal(o.log_level, LOG_LEVEL_INFO);
}

static void test_all(void **state)
{
	g_auto(kvm_options) o = { 0 };

	assert_true(parse(&o,
		"--memory 4G --cpus 3 --kernel /k --initrd /i --append root=/dev/vda "
		"--device socket=/one --device type=any,key=value --console=/c "
		"--discovery-dir=/d --discovery-dir=/e --log-level=debug --no-reboot",
		NULL));
	assert_true(o.memory == UINT64_C(4) << 30);
	assert_int_equal(o.cpus, 3);
	assert_string_equal(o.initrd, "/i");
	assert_string_equal(o.append, "root=/dev/vda");
	assert_int_equal(o.devices->len, 2);
	assert_string_equal(((struct device_spec *)o.devices->pdata[0])->socket, "/one");
	assert_string_equal(((struct device_spec *)o.devices->pdata[1])->type, "any");
	assert_string_equal(o.folders[1], "/e");
	assert_null(o.folders[2]);
	assert_true(o.no_reboot);
	assert_string_equal(o.terminal_file, "/c");
	assert_int_equal(o.log_level, LOG_LEVEL_DEBUG);
}

/* In any locale; here it is C. */
static void test_options_are_bytes(void **state)
{
	g_auto(kvm_options) o = { 0 };

	assert_true(parse(&o,
		"--kernel=/k\xc3\xbc --append x=\xfc --device=socket=/\xc3\xbc\xff --console=/\xfc",
		NULL));
	assert_string_equal(o.kernel, "/k\xc3\xbc");
	assert_string_equal(o.append, "x=\xfc");
	assert_string_equal(((struct device_spec *)o.devices->pdata[0])->socket, "/\xc3\xbc\xff");
	assert_string_equal(o.terminal_file, "/\xfc");
}

static void test_memory(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "64", UINT64_C(64) << 20 },
		{ "64M", UINT64_C(64) << 20 },
		{ "64m", UINT64_C(64) << 20 },
		{ "8192K", UINT64_C(8) << 20 },
		{ "3G", UINT64_C(3) << 30 },
		{ "1T", UINT64_C(1) << 40 },
		{ "4GiB", UINT64_C(4) << 30 },
		{ "0x10", UINT64_C(16) << 20 },
	};
	static const char *const bad[] = { "", "M", "0", "0G", "-1", "+1", "1.5G", "4 G",
		"17592186044416M", "99999999999999999999", "16777216T" };

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		g_autofree char *line =
			g_strconcat("--guest=selftest --memory=", good[i].text, NULL);
		g_auto(kvm_options) o = { 0 };

		assert_true(parse(&o, line, NULL));
		assert_true(o.memory == good[i].bytes);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		char *argv[] = { "virtiod-kvm", "--guest=selftest", NULL, NULL };
		g_autofree char *option = g_strconcat("--memory=", bad[i], NULL);
		g_autoptr(GError) error = NULL;
		g_auto(kvm_options) o = { 0 };

		argv[2] = option;
		assert_false(kvm_options_parse(&o, 3, argv, &error));
		assert_non_null(strstr(error->message, option));
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *line, *said;
	} cases[] = {
		{ "--memory=1G", "--kernel" },
		{ "--kernel=/k --guest=selftest", "exclude" },
		{ "--guest=other", "--guest=other" },
		{ "--guest=selftest --initrd=/i", "--initrd" },
		{ "--guest=selftest --append=x", "--append" },
		{ "--append=x --guest=selftest", "--guest and --append exclude each other" },
		{ "--guest=selftest --version=maybe", "invalid --version=maybe: on or off" },
		{ "--guest=selftest --cpus=0", "--cpus=0" },
		{ "--guest=selftest --cpus=-1", "--cpus=-1" },
		{ "--guest=selftest --cpus=255", "--cpus=255" },
		{ "--guest=selftest --cpus=two", "two" },
		{ "--guest=selftest --log-level=all", "--log-level=all" },
		{ "--guest=selftest --device=nonsense", "\"nonsense\"" },
		{ "--guest=selftest more", "'more'" },
		{ "--guest=selftest --more", "--more" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_auto(kvm_options) o = { 0 };

		assert_false(parse(&o, cases[i].line, &error));
		assert_non_null(strstr(error->message, cases[i].said));
	}
}

static void test_slots(void **state)
{
	g_autoptr(GString) line = g_string_new("--guest=selftest");
	g_autoptr(GError) error = NULL;

	for (unsigned i = 0; i < MAX_SLOTS; i++)
		g_string_append(line, " --device=socket=/s");
	for (unsigned i = 0; i < 2; i++) {
		g_auto(kvm_options) o = { 0 };

		assert_int_equal(parse(&o, line->str, &error), i == 0);
		g_string_append(line, " --device=socket=/s");
	}
	assert_non_null(strstr(error->message, "slots"));
}

static void test_version(void **state)
{
	g_auto(kvm_options) o = { 0 };

	assert_true(parse(&o, "--version", NULL));
	assert_true(o.version);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_options_are_bytes),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_version),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
