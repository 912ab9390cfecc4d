/* SPDX-License-Identifier: Apache-2.0 */
/* Discovery files: order, hiding, and invalid files. */
#include "tests/lib/test.h"

#include <sys/stat.h>

#include "base/log.h"
#include "launch/discovery.h"

enum { USER, SYSTEM, DISTRO, N_FOLDERS };

struct discovery_test {
	char *dir, *folder[N_FOLDERS + 1];
	GPtrArray *made; /* files, to be removed */
	GString *log; /* warnings and worse */
	GString *debug;
	GError *error;
	unsigned n_fds;
};

static void on_line(enum log_level level, const char *line, void *opaque)
{
	struct discovery_test *w = opaque;

	g_string_append_printf(level == LOG_LEVEL_DEBUG ? w->debug : w->log, "%s\n", line);
}

static int setup(void **state)
{
	static const char *const names[] = { "user", "system", "distro" };
	struct discovery_test *w = g_new0(struct discovery_test, 1);

	w->n_fds = count_fds();
	w->dir = g_dir_make_tmp("virtiod-discovery-XXXXXX", NULL);
	for (unsigned i = 0; i < N_FOLDERS; i++) {
		w->folder[i] = g_build_filename(w->dir, names[i], NULL);
		g_mkdir(w->folder[i], 0700);
	}
	w->made = g_ptr_array_new_with_free_func(g_free);
	w->log = g_string_new(NULL);
	w->debug = g_string_new(NULL);
	log_set_sink(on_line, w);
	log_set_level(LOG_LEVEL_DEBUG);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct discovery_test *w = *state;

	log_set_sink(NULL, NULL);
	for (unsigned i = 0; i < w->made->len; i++)
		assert_int_equal(g_remove(w->made->pdata[i]), 0);
	for (unsigned i = 0; i < N_FOLDERS; i++) {
		g_rmdir(w->folder[i]);
		g_free(w->folder[i]);
	}
	assert_int_equal(g_rmdir(w->dir), 0);
	assert_int_equal(count_fds(), w->n_fds);
	g_ptr_array_unref(w->made);
	g_string_free(w->log, TRUE);
	g_string_free(w->debug, TRUE);
	g_clear_error(&w->error);
	g_free(w->dir);
	g_free(w);
	return 0;
}

static char *new_path(struct discovery_test *w, unsigned folder, const char *name)
{
	char *path = g_build_filename(w->folder[folder], name, NULL);

	g_ptr_array_add(w->made, path);
	return path;
}

static void add_bytes(
	struct discovery_test *w, unsigned folder, const char *name, const char *bytes, gssize len)
{
	assert_true(g_file_set_contents(new_path(w, folder, name), bytes, len, NULL));
}

static void add_text(struct discovery_test *w, unsigned folder, const char *name, const char *text)
{
	add_bytes(w, folder, name, text, -1);
}

/* Adds a program of this name. */
static char *add_binary(struct discovery_test *w, unsigned folder, const char *name)
{
	add_text(w, folder, name, "#!/bin/sh\n");
	g_chmod(w->made->pdata[w->made->len - 1], 0700);
	return w->made->pdata[w->made->len - 1];
}

static void add_json(struct discovery_test *w, unsigned folder, const char *name, const char *type,
	const char *binary)
{
	g_autofree char *text = g_strdup_printf(
		"{\"description\": \"x\", \"type\": \"%s\", \"binary\": \"%s\", \"tags\": [\"a\"]}",
		type, binary);

	add_text(w, folder, name, text);
}

static char *find(struct discovery_test *w, const char *type)
{
	g_clear_error(&w->error);
	return discovery_find(type, (const char *const *)w->folder, &w->error);
}

static void assert_found(struct discovery_test *w, const char *type, const char *binary)
{
	g_autofree char *found = find(w, type);

	if (!found)
		fail_msg("%s\n%s", w->error->message, w->log->str);
	assert_string_equal(found, binary);
}

static void assert_not_found(struct discovery_test *w, const char *type)
{
	assert_null(find(w, type));
	assert_true(g_error_matches(w->error, G_FILE_ERROR, G_FILE_ERROR_NOENT));
	assert_non_null(strstr(w->error->message, type));
	for (unsigned i = 0; i < N_FOLDERS; i++)
		assert_non_null(strstr(w->error->message, w->folder[i]));
}

static void test_first_of_the_type_by_base_name(void **state)
{
	struct discovery_test *w = *state;
	const char *a = add_binary(w, DISTRO, "a"), *b = add_binary(w, DISTRO, "b");

	add_json(w, DISTRO, "10-other.json", "other", b);
	add_json(w, DISTRO, "50-a.json", "foo", a);
	add_json(w, USER, "60-b.json", "foo", b);
	assert_found(w, "foo", a);
	/* What is lower counts before what is more specific. */
	add_json(w, SYSTEM, "40-b.json", "foo", b);
	assert_found(w, "foo", b);
	assert_string_equal(w->log->str, "");
	assert_non_null(strstr(w->debug->str, "10-other.json is of type other"));
}

/* "blk" for "block": the message has the types that could be meant. */
static void test_other_types_are_listed(void **state)
{
	struct discovery_test *w = *state;
	const char *a = add_binary(w, DISTRO, "a");

	assert_not_found(w, "blk");
	assert_non_null(strstr(w->error->message, "\"blk\" (there is none at all) in: "));
	add_json(w, DISTRO, "50-a.json", "rng", a);
	add_json(w, DISTRO, "40-a.json", "block", a);
	add_json(w, USER, "60-a.json", "block", a);
	add_json(w, USER, "10-none.json", "gone", "/no/such/program");
	assert_not_found(w, "blk");
	assert_non_null(strstr(w->error->message, "\"blk\" (types: block, rng) in: "));
}

static void test_more_specific_overrides(void **state)
{
	struct discovery_test *w = *state;
	const char *a = add_binary(w, DISTRO, "a"), *b = add_binary(w, DISTRO, "b"),
		   *c = add_binary(w, DISTRO, "c");

	add_json(w, DISTRO, "50-foo.json", "foo", a);
	add_json(w, SYSTEM, "50-foo.json", "foo", b);
	assert_found(w, "foo", b);
	add_json(w, USER, "50-foo.json", "foo", c);
	assert_found(w, "foo", c);
	/* Even by a file of another type, or by nonsense. */
	add_json(w, USER, "50-foo.json", "other", c);
	g_free(g_ptr_array_steal_index(w->made, w->made->len - 1));
	assert_not_found(w, "foo");
	add_text(w, USER, "50-foo.json", "nonsense");
	g_free(g_ptr_array_steal_index(w->made, w->made->len - 1));
	assert_not_found(w, "foo");
}

static void test_empty_hides(void **state)
{
	struct discovery_test *w = *state;
	const char *a = add_binary(w, DISTRO, "a"), *b = add_binary(w, DISTRO, "b");

	add_json(w, DISTRO, "50-a.json", "foo", a);
	add_json(w, DISTRO, "60-b.json", "foo", b);
	add_text(w, SYSTEM, "50-a.json", "");
	assert_found(w, "foo", b);
	add_text(w, USER, "60-b.json", "");
	assert_not_found(w, "foo");
	/* A more specific one of that name counts all the same. */
	add_json(w, USER, "50-a.json", "foo", a);
	assert_found(w, "foo", a);
	assert_string_equal(w->log->str, "");
}

static void test_other_files_are_no_matter(void **state)
{
	struct discovery_test *w = *state;
	const char *a = add_binary(w, DISTRO, "a"), *b = add_binary(w, DISTRO, "b");

	add_json(w, DISTRO, "10-foo.json~", "foo", b);
	add_json(w, DISTRO, "10-foo.json.dpkg-old", "foo", b);
	add_json(w, DISTRO, ".10-foo.json", "foo", b);
	add_json(w, DISTRO, "foo.json", "foo", a);
	assert_int_equal(g_rmdir(w->folder[USER]), 0);
	assert_found(w, "foo", a);
	assert_string_equal(w->log->str, "");
}

/*
 * Checks that each is skipped with a warning that has its name and this; the one after it is
 * found.
 */
static void assert_skipped(struct discovery_test *w, const char *text, gssize len, const char *why)
{
	g_string_truncate(w->log, 0);
	if (w->made->len == 2) {
		add_bytes(w, DISTRO, "10-bad.json", text, len);
	} else {
		assert_true(g_file_set_contents(w->made->pdata[2], text, len, NULL));
	}
	assert_found(w, "foo", w->made->pdata[0]);
	if (!strstr(w->log->str, "10-bad.json is skipped") || !strstr(w->log->str, why))
		fail_msg("%.60s: %s", text, w->log->str);
}

static void test_hostile_texts(void **state)
{
	struct discovery_test *w = *state;
	const char *a = add_binary(w, DISTRO, "a");
	g_autofree char *deep = g_strnfill(60000, '[');
	g_autofree char *longest = g_strnfill(65536, ' ');
	g_autofree char *too_long = g_strnfill(65537, ' ');

	add_json(w, DISTRO, "50-foo.json", "foo", a);
	assert_skipped(w, "nonsense", -1, "not a JSON object");
	assert_skipped(w, "{", -1, "not a JSON object");
	assert_skipped(w, " ", -1, "not a JSON object");
	assert_skipped(w, "[]", -1, "not a JSON object");
	assert_skipped(w, "null", -1, "not a JSON object");
	assert_skipped(w, "\"foo\"", -1, "not a JSON object");
	assert_skipped(w, "{}", -1, "no string \"type\"");
	assert_skipped(w, "{\"type\": 5, \"binary\": \"/bin/sh\"}", -1, "no string \"type\"");
	assert_skipped(w, "{\"type\": null, \"binary\": \"/bin/sh\"}", -1, "no string \"type\"");
	assert_skipped(w, "{\"type\": [\"foo\"], \"binary\": \"/x\"}", -1, "no string \"type\"");
	assert_skipped(w, "{\"type\": \"foo\"}", -1, "no string \"binary\"");
	assert_skipped(w, "{\"type\": \"foo\", \"binary\": {}}", -1, "no string \"binary\"");
	assert_skipped(w, "{\"type\": \"foo\xff\", \"binary\": \"/x\"}", -1, "not UTF-8");
	assert_skipped(w, "{\"type\": \"foo\"\0, \"binary\": \"/x\"}", 31, "not UTF-8");
	assert_skipped(w, deep, -1, "not a JSON object");
	assert_skipped(w, longest, -1, "not a JSON object");
	assert_skipped(w, too_long, -1, "too long");
}

static void test_binaries(void **state)
{
	struct discovery_test *w = *state;
	const char *a = add_binary(w, DISTRO, "a");
	g_autofree char *json_of_dir = NULL, *json_of_text = NULL;

	add_json(w, DISTRO, "50-foo.json", "foo", a);
	assert_skipped(w, "{\"type\": \"foo\", \"binary\": \"sh\"}", -1, "sh is not absolute");
	assert_skipped(w, "{\"type\": \"foo\", \"binary\": \"\"}", -1, "is not absolute");
	assert_skipped(
		w, "{\"type\": \"foo\", \"binary\": \"/none/x\"}", -1, "/none/x is not there");
	json_of_dir = g_strdup_printf("{\"type\": \"foo\", \"binary\": \"%s\"}", w->dir);
	assert_skipped(w, json_of_dir, -1, "is not executable");
	json_of_text = g_strdup_printf(
		"{\"type\": \"foo\", \"binary\": \"%s\"}", (char *)w->made->pdata[1]);
	assert_skipped(w, json_of_text, -1, "50-foo.json is not executable");
}

static void test_files_that_are_none(void **state)
{
	struct discovery_test *w = *state;
	const char *a = add_binary(w, DISTRO, "a");

	add_json(w, DISTRO, "50-foo.json", "foo", a);
	assert_int_equal(g_mkdir(new_path(w, USER, "10-dir.json"), 0700), 0);
	assert_int_equal(symlink("/none", new_path(w, USER, "11-link.json")), 0);
	assert_int_equal(mkfifo(new_path(w, USER, "12-fifo.json"), 0600), 0);
	assert_found(w, "foo", a);
	assert_non_null(strstr(w->log->str, "10-dir.json is skipped: not a file"));
	assert_non_null(strstr(w->log->str, "11-link.json is skipped: "));
	assert_null(strstr(w->log->str, "12-fifo.json"));
	/* The usual way to mask. */
	assert_int_equal(symlink("/dev/null", new_path(w, USER, "50-foo.json")), 0);
	assert_not_found(w, "foo");
}

static void test_conventional_folders(void **state)
{
	struct discovery_test *w = *state;
	const char *a = add_binary(w, USER, "a");
	g_autofree char *qemu = g_build_filename(w->folder[USER], "qemu", NULL);
	g_autofree char *folder = g_build_filename(qemu, "vhost-user", NULL);
	g_autofree char *found = NULL;

	g_setenv("XDG_CONFIG_HOME", w->folder[USER], TRUE);
	assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
	add_json(w, USER, "qemu/vhost-user/50-foo.json", "virtiod-test", a);
	found = discovery_find("virtiod-test", NULL, &w->error);
	g_unlink(w->made->pdata[1]);
	g_ptr_array_remove_index(w->made, 1);
	assert_int_equal(g_rmdir(folder), 0);
	assert_int_equal(g_rmdir(qemu), 0);
	assert_string_equal(found, a);

	assert_null(discovery_find("virtiod-test", NULL, &w->error));
	assert_non_null(strstr(w->error->message, folder));
	assert_non_null(strstr(w->error->message,
		"/etc/qemu/vhost-user, /usr/share/qemu/vhost-user, " VIRTIOD_SYSCONFDIR
		"/virtiod/vhost-user, " VIRTIOD_DATADIR "/virtiod/vhost-user"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first_of_the_type_by_base_name),
		TEST(test_other_types_are_listed),
		TEST(test_more_specific_overrides),
		TEST(test_empty_hides),
		TEST(test_other_files_are_no_matter),
		TEST(test_hostile_texts),
		TEST(test_binaries),
		TEST(test_files_that_are_none),
		TEST(test_conventional_folders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
