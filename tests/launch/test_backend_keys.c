/* SPDX-License-Identifier: Apache-2.0 */
/* The keys by which users name a back-end: values, limits, old spellings. */
#include "tests/lib/test.h"

#include "launch/backend_keys.h"

static bool one_name(const char *name, uint32_t *id)
{
	if (!g_str_equal(name, "toaster"))
		return false;
	*id = 62;
	return true;
}

static void test_values(void **state)
{
	static const char *const pairs[][2] = {
		{ "device-id", "2" },
		{ "config-size", "0" },
		{ "queues", "256" },
		{ "queue-size", "32768" },
		{ "probe", "force" },
		{ "packed", "off" },
	};
	struct backend_keys k = BACKEND_KEYS_INIT;

	assert_int_equal(k.config_size, BACKEND_CONFIG_SIZE_UNSAID);
	for (unsigned i = 0; i < G_N_ELEMENTS(pairs); i++) {
		assert_true(backend_keys_has(pairs[i][0]));
		assert_true(backend_keys_set(&k, pairs[i][0], pairs[i][1], NULL));
	}
	assert_int_equal(k.device_id, 2);
	assert_int_equal(k.config_size, 0);
	assert_int_equal(k.queues, 256);
	assert_int_equal(k.queue_size, 32768);
	assert_string_equal(backend_probe_words[k.probe], "force");
	assert_int_equal(k.packed, CHOICE_OFF);
}

static void test_old_spellings(void **state)
{
	struct backend_keys k = BACKEND_KEYS_INIT;
	struct option_entry table[BACKEND_KEYS_ROWS];
	unsigned found = 0;

	assert_true(backend_keys_set(&k, "fallback-type", "4", NULL));
	assert_int_equal(k.device_id, 4);
	assert_string_equal(backend_keys_name("fallback-type"), "device-id");
	assert_string_equal(backend_keys_name("queues"), "queues");
	assert_string_equal(backend_keys_name("socket"), "socket");
	/* --type of virtioctl; elsewhere type= is something else. */
	assert_false(backend_keys_has("type"));
	backend_keys_table(&k, one_name, table);
	for (const struct option_entry *o = table; o->name; o++) {
		if (!g_str_equal(o->name, "type"))
			continue;
		assert_true(option_set(o, "toaster", NULL));
		assert_true(o->hidden);
		found++;
	}
	assert_int_equal(found, 1);
	assert_int_equal(k.device_id, 62);
}

static void test_refused(void **state)
{
	static const struct {
		const char *key, *value, *message;
	} bad[] = {
		{ "device-id", "0", "invalid device-id=0: a number from 1 to 63" },
		{ "fallback-type", "blk2", "invalid fallback-type=blk2: a number from 1 to 63" },
		{ "config-size", "3841", "invalid config-size=3841: a number from 0 to 3840" },
		{ "queues", "0", "invalid queues=0: a number from 1 to 256" },
		{ "queues", "", "invalid queues=: a number from 1 to 256" },
		{ "queue-size", "96", "invalid queue-size=96: a power of two from 1 to 32768" },
		{ "queue-size", "0", "invalid queue-size=0: a power of two from 1 to 32768" },
		{ "probe", "on", "invalid probe=on: auto, force or off" },
		{ "packed", "force", "invalid packed=force: auto, on or off" },
		{ "type", "2", "there is no key \"type\"" },
		{ "socket", "x", "there is no key \"socket\"" },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		struct backend_keys k = BACKEND_KEYS_INIT;
		g_autoptr(GError) error = NULL;

		assert_false(backend_keys_set(&k, bad[i].key, bad[i].value, &error));
		assert_true(g_error_matches(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE));
		assert_string_equal(error->message, bad[i].message);
		assert_int_equal(k.device_id, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_old_spellings),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
