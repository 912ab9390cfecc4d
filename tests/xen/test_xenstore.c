/* SPDX-License-Identifier: Apache-2.0 */
/* xenstore: values are bounded text, removed nodes stay away, events come from the main loop. */
#include "libxen_test.h"

#include "xen/supervisor/xenstore.h"

static GString *seen;
static void *plain; /* the state of the fixture below */

static void on_changed(void *opaque, const char *path)
{
	g_string_append_printf(seen, "%s;", path);
}

static int store_setup(void **state)
{
	setup(state);
	plain = *state;
	seen = g_string_new(NULL);
	*state = xenstore_open(on_changed, NULL, NULL);
	return 0;
}

static int store_teardown(void **state)
{
	xenstore_free(*state);
	g_string_free(seen, TRUE);
	*state = plain;
	return teardown(state);
}

static void run_loop(void)
{
	while (g_main_context_iteration(NULL, FALSE))
		;
}

static void set_value(const void *value, unsigned len)
{
	fake.path = "a/b";
	memcpy(fake.value, value, len);
	fake.value_len = len;
}

static void test_open(void **state)
{
	g_autoptr(GError) error = NULL;

	fail_at("xs_open", ENOENT);
	assert_null(xenstore_open(on_changed, NULL, &error));
	assert_failed(&error, ENOENT, "xenstore");
}

static void test_read(void **state)
{
	struct xenstore *s = *state;
	g_autoptr(GError) error = NULL;
	g_autofree char *value = NULL, *empty = NULL;

	assert_null(xenstore_read(s, "a/b", 8, &error));
	assert_failed(&error, ENOENT, "a/b");
	set_value("12345678", 8);
	value = xenstore_read(s, "a/b", 8, NULL);
	assert_string_equal(value, "12345678");
	assert_null(xenstore_read(s, "a/b", 7, &error));
	assert_true(g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_INVAL));
	assert_non_null(strstr(error->message, "a/b"));
	set_value("", 0);
	empty = xenstore_read(s, "a/b", 8, NULL);
	assert_string_equal(empty, "");
	fail_at("xs_read", EIO);
	g_clear_error(&error);
	assert_null(xenstore_read(s, "a/b", 8, &error));
	assert_failed(&error, EIO, "a/b");
}

static void test_no_text(void **state)
{
	static const char *const bad[] = { "a\n", "\x1f", "\x7f", "\033[1m", "a\0" };
	struct xenstore *s = *state;
	g_autofree char *utf8 = NULL;

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		set_value(bad[i], MAX(strlen(bad[i]), 2));
		assert_null(xenstore_read(s, "a/b", 8, &error));
		assert_true(g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_INVAL));
		assert_non_null(strstr(error->message, "a/b"));
	}
	set_value("\xc3\xa4 ~", 4);
	utf8 = xenstore_read(s, "a/b", 8, NULL);
	assert_string_equal(utf8, "\xc3\xa4 ~");
}

static void test_list(void **state)
{
	struct xenstore *s = *state;
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) none = NULL, two = NULL;

	none = xenstore_list(s, "a", NULL);
	assert_null(none[0]);
	fake.names[0] = "b";
	fake.names[1] = "c";
	fake.n_names = 2;
	two = xenstore_list(s, "a", NULL);
	assert_string_equal(two[0], "b");
	assert_string_equal(two[1], "c");
	assert_null(two[2]);
	fake.n_names = 4097;
	assert_null(xenstore_list(s, "a", &error));
	assert_non_null(strstr(error->message, "'a'"));
	g_clear_error(&error);
	fail_at("xs_directory", ENOENT);
	assert_null(xenstore_list(s, "a", &error));
	assert_failed(&error, ENOENT, "'a'");
}

static void test_has_domain(void **state)
{
	assert_true(xenstore_has_domain(*state, FAKE_DOMID));
	assert_false(xenstore_has_domain(*state, FAKE_DOMID + 1));
}

static void test_update(void **state)
{
	struct xenstore *s = *state;
	g_autoptr(GError) error = NULL;

	set_value("1", 1);
	fake.conflicts = 3;
	assert_true(xenstore_update(s, "a/b", "4", NULL));
	assert_int_equal(fake.transactions, 4);
	assert_int_equal(fake.aborted, 0);
	assert_memory_equal(fake.value, "4", 1);
	fake.conflicts = 1000000;
	assert_false(xenstore_update(s, "a/b", "5", &error)); /* there is an end to it */
	assert_failed(&error, EAGAIN, "a/b");
}

static void test_update_of_removed(void **state)
{
	struct xenstore *s = *state;
	g_autoptr(GError) error = NULL;

	assert_false(xenstore_update(s, "a/b", "4", &error));
	assert_failed(&error, ENOENT, "a/b");
	assert_int_equal(fake.aborted, 1);
	assert_false(xenstore_write(s, "a/c", "a/b", "4", &error));
	assert_failed(&error, ENOENT, "a/c");
	set_value("1", 1);
	fake.removed_meanwhile = true;
	assert_false(xenstore_update(s, "a/b", "4", &error));
	assert_failed(&error, ENOENT, "a/b");
}

static void test_update_fails(void **state)
{
	static const char *const calls[] = { "xs_transaction_start", "xs_read", "xs_write",
		"xs_transaction_end" };
	struct xenstore *s = *state;
	g_autoptr(GError) error = NULL;

	set_value("1", 1);
	for (unsigned i = 0; i < G_N_ELEMENTS(calls); i++) {
		fail_at(calls[i], EACCES);
		assert_false(xenstore_update(s, "a/b", "4", &error));
		assert_failed(&error, EACCES, "a/b");
	}
	assert_int_equal(fake.aborted, 2);
}

static void test_events(void **state)
{
	struct xenstore *s = *state;
	g_autoptr(GError) error = NULL;

	fake.events[0] = "a";
	fake.events[1] = "a/b";
	assert_true(xenstore_watch(s, "a", NULL));
	assert_string_equal(seen->str, "");
	run_loop();
	assert_string_equal(seen->str, "a;a/b;");
	run_loop();
	assert_string_equal(seen->str, "a;a/b;");
	assert_int_equal(test_log_lines(), 0);
	xenstore_unwatch(s, "a");
	assert_string_equal(fake.unwatched, "a");
	fail_at("xs_watch", EINVAL);
	assert_false(xenstore_watch(s, "a\\", &error));
	assert_failed(&error, EINVAL, "a\\");
}

static void test_connection_lost(void **state)
{
	struct xenstore *s = *state;

	assert_true(xenstore_watch(s, "a", NULL));
	fail_at("xs_check_watch", EBADF);
	run_loop(); /* ends, though the fd stays readable */
	assert_true(test_logged("connection is lost"));
	assert_string_equal(seen->str, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_open),
		TEST_WITH(store, test_read),
		TEST_WITH(store, test_no_text),
		TEST_WITH(store, test_list),
		TEST_WITH(store, test_has_domain),
		TEST_WITH(store, test_update),
		TEST_WITH(store, test_update_of_removed),
		TEST_WITH(store, test_update_fails),
		TEST_WITH(store, test_events),
		TEST_WITH(store, test_connection_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
