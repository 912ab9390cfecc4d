/* SPDX-License-Identifier: Apache-2.0 */
/* Spare slots: devices that come and go. */
#include "slots_test.h"

#define SPARE 2

/* Makes one device, in slot 0, and spare slots after it. */
static void begin(struct slots_test *w)
{
	w->n_spare = SPARE;
	assert_made(w, MAKE(w, "type=input"));
}

static int add(struct slots_test *w, const char *text, int wanted)
{
	g_auto(GStrv) parts = g_strsplit(text, "SOCK", -1);
	g_autofree char *whole = g_strjoinv(w->sock, parts);
	g_autoptr(device_spec) spec = device_spec_parse(whole, NULL);

	assert_non_null(spec);
	g_clear_error(&w->error);
	return slots_add(w->slots, spec, wanted, &w->error);
}

static void assert_not_added(struct slots_test *w, const char *text, int wanted, const char *why)
{
	assert_int_equal(add(w, text, wanted), -1);
	if (!strstr(w->error->message, why))
		fail_msg("'%s' is not in '%s'", why, w->error->message);
}

static char *list(struct slots_test *w)
{
	GString *out = g_string_new(NULL);
	struct json j = { .out = out, .one_line = true };

	json_open_object(&j, NULL);
	slots_list(w->slots, &j);
	json_close_object(&j);
	return g_string_free(out, FALSE);
}

/* Runs the main loop until the list has that text. */
static void await(struct slots_test *w, const char *text)
{
	int64_t until = g_get_monotonic_time() + TEST_WAIT_MS * test_patience() * 1000ll;

	for (;;) {
		g_autofree char *shown = list(w);

		if (strstr(shown, text))
			return;
		if (g_get_monotonic_time() > until)
			fail_msg("'%s' is not in '%s'", text, shown);
		g_main_context_iteration(NULL, TRUE);
	}
}

static bool removes(struct slots_test *w, unsigned slot, bool force)
{
	g_clear_error(&w->error);
	return slots_remove(w->slots, slot, force, &w->error);
}

static void assert_empty(struct slots_test *w, unsigned slot)
{
	assert_int_equal(rd32(w, slot, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(rd32(w, slot, VIRTIO_MMIO_VERSION), 2);
	assert_int_equal(rd32(w, slot, VIRTIO_MMIO_DEVICE_ID), 0);
	wr32(w, slot, VIRTIO_MMIO_STATUS, 1);
	assert_int_equal(rd32(w, slot, VIRTIO_MMIO_STATUS), 0);
}

static void test_comes_and_goes(void **state)
{
	struct slots_test *w = *state;

	begin(w);
	for (unsigned i = 0; i < 5; i++) {
		assert_empty(w, 1);
		assert_empty(w, 2);
		assert_int_equal(add(w, "socket=SOCK", -1), 1);
		await(w, "\"device_id\":42");
		drive(w, 1);
		assert_int_equal(rd32(w, 0, VIRTIO_MMIO_DEVICE_ID), 18);
		assert_false(removes(w, 1, false));
		assert_non_null(strstr(w->error->message, "unbind"));
		/* As Linux leaves it without a driver. */
		wr32(w, 1, VIRTIO_MMIO_STATUS, 0);
		wr32(w, 1, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
		assert_true(removes(w, 1, false));
	}
	assert_empty(w, 1);
}

static void test_by_force(void **state)
{
	struct slots_test *w = *state;

	begin(w);
	assert_int_equal(add(w, "socket=SOCK", 2), 2);
	await(w, "\"state\":\"present\",\"name\":\"device 2");
	drive(w, 2);
	assert_true(removes(w, 2, true));
	assert_empty(w, 2);
}

static void test_refused(void **state)
{
	struct slots_test *w = *state;

	begin(w);
	assert_not_added(w, "socket=SOCK", 0, "slot 0 is not an empty, spare one");
	assert_not_added(w, "socket=SOCK", 3, "slot 3 is not an empty, spare one");
	assert_not_added(w, "socket=/elsewhere/sock", -1, "directly in");
	assert_not_added(w, "socket=SOCK/sock", -1, "directly in");
	assert_not_added(w, "type=input", -1, "it needs socket=PATH");
	assert_false(removes(w, 0, true));
	assert_false(removes(w, 1, true));
	assert_false(removes(w, 3, true));
}

static void test_full(void **state)
{
	struct slots_test *w = *state;

	begin(w);
	assert_int_equal(add(w, "socket=SOCK", -1), 1);
	assert_int_equal(add(w, "socket=SOCK.absent", -1), 2);
	assert_not_added(w, "socket=SOCK", -1, "no slot is empty: of 3 slots 2 are spare");
	/* One that has not come. */
	assert_true(removes(w, 2, false));
	assert_int_equal(add(w, "socket=SOCK.absent", -1), 2);
	slots_reset(w->slots);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_comes_and_goes),
		TEST(test_by_force),
		TEST(test_refused),
		TEST(test_full),
	};

	if (argc != 2)
		return 2;
	toy = g_canonicalize_filename(argv[1], NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
