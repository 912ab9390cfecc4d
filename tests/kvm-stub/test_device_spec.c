/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of --device: those of virtiod-kvm, those passed to the back-end, and wrong ones. */
#include "tests/lib/test.h"

#include "kvm-stub/machine/device_spec.h"

static struct device_spec *good(const char *text)
{
	g_autoptr(GError) error = NULL;
	struct device_spec *s = device_spec_parse(text, &error);

	if (!s)
		fail_msg("%s", error->message);
	assert_string_equal(s->text, text);
	return s;
}

static const char *option(const struct device_spec *s, unsigned i)
{
	assert_true(i < s->options->len);
	return s->options->pdata[i];
}

static void test_socket_alone(void **state)
{
	g_autoptr(device_spec) s = good("socket=/run/a b.sock");

	assert_string_equal(s->socket, "/run/a b.sock");
	assert_null(s->type);
	assert_int_equal(s->options->len, 0);
	assert_int_equal(s->front.device_id, 0);
	assert_int_equal(s->front.config_size, -1);
	assert_int_equal(s->front.queues, 0);
	assert_int_equal(s->front.probe, VU_PROBE_AUTO);
	assert_int_equal(s->front.packed, CHOICE_AUTO);
	assert_int_equal(s->keys.queue_size, 0);
}

static void test_own_keys(void **state)
{
	g_autoptr(device_spec) s =
		good("fallback-type=63,config-size=3840,queues=256,queue-size=32768,"
		     "probe=off,packed=on,socket=x");
	g_autoptr(device_spec) least = good("socket=x,fallback-type=1,config-size=0,queues=1,queue-"
					    "size=1,probe=force,packed=off");
	g_autoptr(device_spec) automatic = good("socket=x,probe=auto,packed=auto");

	assert_string_equal(s->socket, "x");
	assert_int_equal(s->front.device_id, 63);
	assert_int_equal(s->front.config_size, 3840);
	assert_int_equal(s->front.queues, 256);
	assert_int_equal(s->keys.queue_size, 32768);
	assert_int_equal(s->front.probe, VU_PROBE_OFF);
	assert_int_equal(s->front.packed, CHOICE_ON);
	assert_int_equal(least->front.device_id, 1);
	assert_int_equal(least->front.config_size, 0);
	assert_int_equal(least->front.queues, 1);
	assert_int_equal(least->keys.queue_size, 1);
	assert_int_equal(least->front.probe, VU_PROBE_FORCE);
	assert_int_equal(least->front.packed, CHOICE_OFF);
	assert_int_equal(automatic->front.probe, VU_PROBE_AUTO);
	assert_int_equal(automatic->front.packed, CHOICE_AUTO);
}

static void test_options_of_the_back_end(void **state)
{
	g_autoptr(device_spec) s =
		good("path=/a=b,type=foo,read-only,queues=2,path=/c,empty=,Odd_key.9=x");

	assert_string_equal(s->type, "foo");
	assert_null(s->socket);
	assert_int_equal(s->front.queues, 2);
	assert_int_equal(s->options->len, 5);
	assert_string_equal(option(s, 0), "--path=/a=b");
	assert_string_equal(option(s, 1), "--read-only");
	assert_string_equal(option(s, 2), "--path=/c");
	assert_string_equal(option(s, 3), "--empty=");
	assert_string_equal(option(s, 4), "--Odd_key.9=x");
}

static void test_commas(void **state)
{
	g_autoptr(device_spec) s = good("type=foo,path=a,,b,,,,,next=,,");
	g_autoptr(device_spec) dial = good("socket=,,a,,");

	assert_int_equal(s->options->len, 2);
	assert_string_equal(option(s, 0), "--path=a,b,,");
	assert_string_equal(option(s, 1), "--next=,");
	assert_string_equal(dial->socket, ",a,");
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *words; /* the message contains both */
	} bad[] = {
		{ "socket=x,fallback-type=0", "invalid fallback-type=0: a number from 1 to 63" },
		{ "socket=x,fallback-type=64", "fallback-type=64" },
		{ "socket=x,fallback-type=name", "fallback-type=name" },
		{ "socket=x,config-size=3841",
			"invalid config-size=3841: a number from 0 to 3840" },
		{ "socket=x,config-size=-1", "config-size=-1" },
		{ "socket=x,queues=0", "queues=0" },
		{ "socket=x,queues=257", "invalid queues=257: a number from 1 to 256" },
		{ "socket=x,queues=4294967297", "queues=4294967297" },
		{ "socket=x,queues= 1", "queues= 1" },
		{ "socket=x,queues=1 ", "queues=1 " },
		{ "socket=x,queues=+1", "queues=+1" },
		{ "socket=x,queues=", "queues=:" },
		{ "socket=x,queues", "queues=:" },
		{ "socket=x,queue-size=0", "queue-size=0" },
		{ "socket=x,queue-size=65536",
			"invalid queue-size=65536: a power of two from 1 to 32768" },
		{ "socket=x,queue-size=96", "invalid queue-size=96: a power of two" },
		{ "socket=x,probe=maybe", "probe=maybe" },
		{ "socket=x,probe", "probe=:" },
		{ "socket=x,packed=force", "packed=force" },
		{ "", "not a key" },
		{ ",", "not a key" },
		{ "socket=x,", "not a key" },
		{ "=x", "not a key" },
		{ "type=foo,--path=x", "\"--path\" is not a key" },
		{ "type=foo,a b=x", "\"a b\" is not a key" },
		{ "type=foo,a\"b=x", "is not a key" },
		{ "socket=", "socket= needs a value" },
		{ "socket", "socket= needs a value" },
		{ "type=", "type= needs a value" },
		{ "queues=1", "it needs socket=PATH or type=NAME" },
		{ "path=x", "it needs socket=PATH or type=NAME" },
		{ "socket=x,type=foo", "not both" },
		{ "socket=x,socket=x", "socket= is given twice" },
		{ "type=foo,queues=1,queues=1", "queues= is given twice" },
		{ "socket=x,fallback-type=2,device-id=2", "device-id= is given twice" },
		{ "socket=x,read-only", "unknown key read-only" },
		{ "path=y,socket=x", "unknown key path" },
		{ "type=foo,fd=3", "fd= is reserved" },
		{ "type=foo,socket-path=x", "socket-path= is reserved" },
		{ "type=foo,print-capabilities", "print-capabilities= is reserved" },
		{ "socket=x,device-id=blk", "invalid device-id=blk: a number from 1 to 63" },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		if (device_spec_parse(bad[i].text, &error))
			fail_msg("%s is accepted", bad[i].text);
		assert_true(g_error_matches(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE));
		if (!strstr(error->message, bad[i].text) || !strstr(error->message, bad[i].words))
			fail_msg("%s", error->message);
	}
}

/* The key has two spellings. */
static void test_device_id(void **state)
{
	g_autoptr(device_spec) s = good("socket=x,device-id=63");
	g_autoptr(device_spec) old = good("socket=x,fallback-type=63");

	assert_int_equal(s->front.device_id, 63);
	assert_int_equal(old->front.device_id, 63);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_socket_alone),
		cmocka_unit_test(test_own_keys),
		cmocka_unit_test(test_options_of_the_back_end),
		cmocka_unit_test(test_commas),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_device_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
