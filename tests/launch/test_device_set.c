/* SPDX-License-Identifier: Apache-2.0 */
/* Folders of configuration files: which files, their order, and what they say of each other. */
#include "tests/lib/test.h"

#include "launch/device_set.h"

static void put(struct test *t, const char *name, const char *text)
{
	assert_true(g_file_set_contents(test_path(t, name), text, -1, NULL));
}

static char *join(const GPtrArray *entries)
{
	GString *all = g_string_new(NULL);

	for (unsigned i = 0; i < entries->len; i++)
		g_string_append_printf(all, "%s%s", i ? " " : "",
			((const struct device_entry *)entries->pdata[i])->name);
	return g_string_free(all, FALSE);
}

/* Sorts the devices of a text; NULL: an error. */
static GPtrArray *sort(const char *text, GError **error)
{
	g_autoptr(GPtrArray) entries = device_entries_new();

	assert_true(device_file_parse(entries, "f", text, strlen(text), NULL));
	return device_set_sort(entries, error) ? g_steal_pointer(&entries) : NULL;
}

static void assert_fails(const char *text, const char *message)
{
	GError *error = NULL;

	assert_null(sort(text, &error));
	assert_error_has(&error, message);
}

static void test_folder(void **state)
{
	struct test *t = *state;
	g_autoptr(GPtrArray) entries = NULL;
	g_autofree char *names = NULL;

	put(t, "b.conf", "[b/1]\ndevice=x\n");
	put(t, "a.conf", "[a/2]\ndevice=x\n[a/1]\ndevice=x\n");
	put(t, "c.conf.bak", "not read");
	put(t, ".d.conf", "not read");
	put(t, "README", "not read");
	entries = device_set_read(t->dir, NULL);
	names = join(entries);
	assert_string_equal(names, "a/2 a/1 b/1");
	assert_ptr_equal(device_set_find(entries, "b/1"), entries->pdata[2]);
	assert_null(device_set_find(entries, "b/2"));
}

static void test_no_folder(void **state)
{
	struct test *t = *state;
	g_autoptr(GPtrArray) entries = device_set_read(test_path(t, "none"), NULL);
	GError *error = NULL;

	assert_int_equal(entries->len, 0);
	put(t, "file", "");
	assert_null(device_set_read(test_path(t, "file"), &error));
	assert_error_has(&error, "Not a directory");
}

static void test_wrong_file(void **state)
{
	struct test *t = *state;
	GError *error = NULL;

	put(t, "a.conf", "[a/b]\ndevice=x\n");
	put(t, "b.conf", "\n[a]\n");
	assert_null(device_set_read(t->dir, &error));
	assert_error_has(&error, "/b.conf:2: invalid group [a]");
}

static void test_same_name(void **state)
{
	struct test *t = *state;
	GError *error = NULL;

	put(t, "a.conf", "[a/b]\ndevice=x\n");
	put(t, "b.conf", "\n[a/b]\ndevice=x\n");
	assert_null(device_set_read(t->dir, &error));
	assert_non_null(strstr(error->message, "/b.conf:2: [a/b]: "));
	assert_error_has(&error, "/a.conf:1 has a group of this name, too");
	assert_fails("[a/b]\ndevice=x\n[a/b]\ndevice=y\n", "f:3: [a/b]: f:1 has a group");
}

static void test_order(void **state)
{
	g_autoptr(GPtrArray) entries = sort("[a/1]\ndevice=x\nafter=3\nafter=b/1\n"
					    "[a/2]\ndevice=x\n"
					    "[a/3]\ndevice=x\nafter=2\n"
					    "[b/1]\ndevice=x\nafter=a/3\n",
		NULL);
	g_autofree char *names = join(entries);

	assert_string_equal(names, "a/2 a/3 b/1 a/1");
}

static void test_after_nobody(void **state)
{
	assert_fails("[a/1]\ndevice=x\nafter=2\n",
		"f:3: [a/1]: invalid after=a/2: there is no group [a/2]");
}

static void test_circles(void **state)
{
	assert_fails("[a/1]\ndevice=x\nafter=1\n",
		"f:3: [a/1]: after= makes a circle: a/1 waits for a/1 (remove one)");
	assert_fails("[a/0]\ndevice=x\n[a/1]\ndevice=x\nafter=2\n[a/2]\ndevice=x\nafter=3\n"
		     "[a/3]\ndevice=x\nafter=2\n",
		"after= makes a circle: a/");
}

/* As many as there can be, each after the next. */
static void test_long_chain(void **state)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GPtrArray) entries = NULL;
	GError *error = NULL;

	for (unsigned i = 0; i < DEVICE_SET_MAX - 1; i++)
		g_string_append_printf(text, "[a/%u]\ndevice=x\nafter=%u\n", i, i + 1);
	g_string_append_printf(text, "[a/%u]\ndevice=x\n", DEVICE_SET_MAX - 1);
	entries = sort(text->str, &error);
	assert_non_null(entries);
	assert_string_equal(((struct device_entry *)entries->pdata[0])->name, "a/1023");
	assert_string_equal(((struct device_entry *)entries->pdata[1023])->name, "a/0");
	g_string_append(text, "after=0\n");
	assert_null(sort(text->str, &error));
	assert_error_has(&error, "makes a circle");
}

static void test_too_many(void **state)
{
	struct test *t = *state;
	GError *error = NULL;

	for (unsigned i = 0; i <= 4; i++) {
		g_autoptr(GString) text = g_string_new(NULL);
		g_autofree char *name = g_strdup_printf("%u.conf", i);

		for (unsigned k = 0; k <= DEVICE_SET_MAX / 4; k++)
			g_string_append_printf(text, "[%u/%u]\ndevice=x\n", i, k);
		put(t, name, text->str);
	}
	assert_null(device_set_read(t->dir, &error));
	assert_error_has(&error, "has more than 1024 devices");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(plain, test_folder),
		TEST_WITH(plain, test_no_folder),
		TEST_WITH(plain, test_wrong_file),
		TEST_WITH(plain, test_same_name),
		TEST_WITH(plain, test_order),
		TEST_WITH(plain, test_after_nobody),
		TEST_WITH(plain, test_circles),
		TEST_WITH(plain, test_long_chain),
		TEST_WITH(plain, test_too_many),
	};

	return cmocka_run_group_tests_name("device_set", tests, NULL, NULL);
}
