/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of virtiod-xen: what it means, and what it does not take. */
#include "tests/lib/test.h"

#include "priv/sandbox.h"
#include "xen/options.h"

/* Parses a command line of words with one space between them. */
static bool parse(struct xen_options *o, const char *line, GError **error)
{
	g_auto(GStrv) args = g_strsplit(line, " ", -1);

	return xen_options_parse(o, g_strv_length(args), args, error);
}

static void assert_refused(const char *line, const char *text)
{
	g_autoptr(GError) error = NULL;
	g_auto(xen_options) o = { 0 };

	assert_false(parse(&o, line, &error));
	if (!strstr(error->message, text))
		fail_msg("%s: \"%s\" has no \"%s\"", line, error->message, text);
}

static void test_defaults(void **state)
{
	g_auto(xen_options) o = { 0 };

	assert_true(parse(&o, "virtiod-xen", NULL));
	assert_int_equal(o.command, XEN_SERVE);
	assert_non_null(strstr(o.supervisor.config, "/virtiod/xen.conf"));
	assert_non_null(strstr(o.supervisor.defaults, "/virtiod/xen.conf"));
	assert_string_equal(o.supervisor.run, "/run/virtiod");
	assert_int_equal(o.supervisor.wait_ms, 10000);
	assert_true(o.supervisor.eventfds);
	assert_int_equal(o.supervisor.uid_base, 1879048192);
	assert_int_equal(o.log_level, LOG_LEVEL_INFO);
}

static void test_all(void **state)
{
	g_auto(xen_options) o = { 0 };

	assert_true(parse(&o,
		"virtiod-xen --config=/c --defaults=/d --run-dir=/r --wait=0 --no-eventfds "
		"--uid-base=0 --sandbox=strict --log-level=debug",
		NULL));
	assert_string_equal(o.supervisor.config, "/c");
	assert_string_equal(o.supervisor.defaults, "/d");
	assert_string_equal(o.supervisor.run, "/r");
	assert_int_equal(o.supervisor.wait_ms, 0);
	assert_false(o.supervisor.eventfds);
	assert_int_equal(o.supervisor.uid_base, 0);
	assert_int_equal(o.supervisor.sandbox, SANDBOX_STRICT);
	assert_int_equal(o.log_level, LOG_LEVEL_DEBUG);
}

static void test_attach(void **state)
{
	g_auto(xen_options) o = { 0 };

	assert_true(parse(&o,
		"virtiod-xen attach --domid=3 --base=0x2000200 --irq=34 --socket=/s --grants",
		NULL));
	assert_int_equal(o.command, XEN_ATTACH);
	assert_int_equal(o.attach.domid, 3);
	assert_int_equal(o.attach.base, 0x2000200);
	assert_int_equal(o.attach.irq, 34);
	assert_string_equal(o.attach.socket, "/s");
	assert_true(o.attach.grants);
	assert_int_equal(o.supervisor.wait_ms, 10000);
}

static void test_worker(void **state)
{
	g_auto(xen_options) o = { 0 };

	assert_true(parse(&o, "virtiod-xen worker 3 4 debug web", NULL));
	assert_int_equal(o.command, XEN_WORKER);
	assert_int_equal(o.commands, 3);
	assert_int_equal(o.requests, 4);
	assert_int_equal(o.log_level, LOG_LEVEL_DEBUG);
}

static void test_options_switches(void **state)
{
	g_auto(xen_options) o = { 0 }, other = { 0 };

	assert_true(parse(&o, "virtiod-xen --no-eventfds=off", NULL));
	assert_true(o.supervisor.eventfds);
	assert_true(parse(&other, "virtiod-xen --no-eventfds=yes", NULL));
	assert_false(other.supervisor.eventfds);
	assert_refused("virtiod-xen --no-eventfds=never", "invalid --no-eventfds=never: on or off");
}

static void test_options_exclude(void **state)
{
	assert_refused("virtiod-xen attach --domid=1 --base=0 --irq=33 --socket=/s --config=/c",
		"--config and --socket exclude each other");
	assert_refused("virtiod-xen attach --domid=1 --base=0 --irq=33 --socket=/s --defaults=/c",
		"--defaults and --socket exclude each other");
}

static void test_refused(void **state)
{
	assert_refused("virtiod-xen --wait=soon", "invalid --wait=soon: a number from 0 to 86400");
	assert_refused("virtiod-xen --wait=86401", "--wait=86401");
	assert_refused("virtiod-xen --wait=-1", "--wait=-1");
	assert_refused("virtiod-xen --uid-base=4294967295", "--uid-base=4294967295");
	assert_refused("virtiod-xen --log-level=loud", "--log-level=loud");
	assert_refused("virtiod-xen --sandbox=some", "--sandbox=some");
	assert_refused("virtiod-xen --run-dir=here", "invalid --run-dir=here: an absolute path");
	assert_refused("virtiod-xen detach", "unknown command 'detach'");
	assert_refused("virtiod-xen attach detach", "unexpected argument 'detach'");
	assert_refused("virtiod-xen --nonsense", "nonsense");
	assert_refused("virtiod-xen --domid=3", "are for attach");
	assert_refused("virtiod-xen attach --domid=3 --irq=34 --socket=/s", "attach needs");
	assert_refused("virtiod-xen attach --domid=40000 --base=0 --irq=33 --socket=/s", "--domid");
	assert_refused("virtiod-xen attach --domid=1 --base=x --irq=33 --socket=/s", "--base=x");
	assert_refused("virtiod-xen attach --domid=1 --base=3 --irq=34 --socket=/s",
		"invalid --base=0x3: a multiple of 4");
	assert_refused(
		"virtiod-xen attach --domid=1 --base=0xffffffffffffffff --irq=33 --socket=/s",
		"--base=0x");
	assert_refused(
		"virtiod-xen attach --domid=1 --base=0 --irq=1020 --socket=/s", "--irq=1020");
	assert_refused("virtiod-xen attach --domid=1 --base=0 --irq=31 --socket=/s", "--irq=31");
	assert_refused("virtiod-xen worker", "for virtiod-xen itself only");
	assert_refused("virtiod-xen worker 3 x info who", "for virtiod-xen itself only");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_attach),
		cmocka_unit_test(test_worker),
		cmocka_unit_test(test_options_switches),
		cmocka_unit_test(test_options_exclude),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
