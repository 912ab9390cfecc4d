/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files of devices: what they say, and what is said of wrong ones. */
#include "tests/lib/test.h"

#include <sys/stat.h>

#include "launch/device_file.h"

static GPtrArray *parse(const char *text)
{
	GPtrArray *entries = device_entries_new();
	g_autoptr(GError) error = NULL;

	if (!device_file_parse(entries, "d.conf", text, strlen(text), &error))
		fail_msg("%s", error->message);
	return entries;
}

static void assert_options(const struct device_entry *s, const char *joined)
{
	g_autofree char *all = g_strjoinv("|", s->options);

	assert_string_equal(all, joined);
}

static void test_group(void **state)
{
	g_autoptr(GPtrArray) entries = parse("# a comment\n"
					     "\n"
					     "[vm1/disk0]\r\n"
					     "  device = blk\n"
					     "blk-file=/images/a file; with, all.img  \n"
					     "read-only=true\n"
					     "user=nobody:0\n"
					     "after=disk1\n"
					     "after=vm2/rng\n"
					     "wait=5\n"
					     "socket-mode=0660\n"
					     "socket-group=0\n"
					     "# the end");
	const struct device_entry *s = entries->pdata[0];

	assert_int_equal(entries->len, 1);
	assert_string_equal(s->name, "vm1/disk0");
	assert_string_equal(s->type, "blk");
	assert_options(s,
		"--blk-file=/images/a file; with, all.img|--read-only=true|"
		"--run-as=nobody:0");
	assert_int_equal(s->option_lines[0], 5);
	assert_int_equal(s->option_lines[2], 7);
	assert_string_equal(s->after[0], "vm1/disk1");
	assert_string_equal(s->after[1], "vm2/rng");
	assert_null(s->after[2]);
	assert_int_equal(s->after_line, 9);
	assert_int_equal(s->wait_s, 5);
	assert_int_equal(s->socket_mode, 0660);
	assert_int_equal(s->socket_group, 0);
	assert_string_equal(s->path, "d.conf");
	assert_int_equal(s->line, 3);
	assert_int_equal(s->end, 13);
}

static void test_defaults(void **state)
{
	g_autoptr(GPtrArray) entries = parse("[a/b]\ndevice=rng\n\n[a/c]\ndevice=rng");
	const struct device_entry *s = entries->pdata[0];

	assert_int_equal(entries->len, 2);
	assert_options(s, "");
	assert_null(s->after[0]);
	assert_int_equal(s->wait_s, 10);
	assert_int_equal(s->socket_mode, 0600);
	assert_int_equal(s->socket_group, (gid_t)-1);
	assert_int_equal(s->end, 3);
	s = entries->pdata[1];
	assert_int_equal(s->line, 4);
	assert_int_equal(s->end, 6);
}

/* One argument each, whatever is in it: bytes, blanks at its ends, "=", one that occurs again. */
static void test_values(void **state)
{
	g_autoptr(GPtrArray) entries = parse("[a/b]\ndevice=i2c\nsim=x@0x50\nsim=y=z\n"
					     "f=\\s\\tx\\\\\\n\\r\\s\nf=\xff\xc3\n");

	assert_options(entries->pdata[0], "--sim=x@0x50|--sim=y=z|--f= \tx\\\n\r |--f=\xff\xc3");
}

static void test_nothing(void **state)
{
	g_autoptr(GPtrArray) entries = parse("");

	assert_int_equal(entries->len, 0);
	g_ptr_array_unref(g_steal_pointer(&entries));
	entries = parse("# nothing\n \t\n");
	assert_int_equal(entries->len, 0);
}

static void test_names(void **state)
{
	static const char *const good[] = { "a/b", "vm-1.x:y/Disk_0", "0/0", "_/_" };
	static const char *const bad[] = { "", "a", "/", "a/", "/b", "a/b/c", "../b", "a/..", "./b",
		"a/.b", "a/-b", "a b/c", "a/b ", "a+b/c", "a/\xc3\xa4", "a/b\n",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/b",
		"a/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" };

	for (unsigned i = 0; i < G_N_ELEMENTS(good); i++)
		assert_null(device_name_fault(good[i]));
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_non_null(device_name_fault(bad[i]));
}

static void test_faults(void **state)
{
	static const struct {
		const char *text, *message;
	} faults[] = {
		{ "device=blk", "d.conf:1: 'device=blk' stands before the first [GUEST/DEVICE]" },
		{ "\n[vm1]", "d.conf:2: invalid group [vm1]: GUEST/DEVICE, with one slash" },
		{ "[a/..]", "d.conf:1: invalid group [a/..]: a device's name of up to 32" },
		{ "[../b]", "invalid group [../b]: a guest's name of up to 48" },
		{ "[a/b] x", "invalid group '[a/b] x': [GUEST/DEVICE], without more" },
		{ "[", "invalid group '['" },
		{ "[a/b]\nx=1\n[a/c]", "d.conf:1: [a/b]: has no device=TYPE" },
		{ "[a/b]\ndevice=../sh", "d.conf:2: [a/b]: invalid device=../sh: the last part" },
		{ "[a/b]\ndevice=", "device= has no value" },
		{ "[a/b]\ndevice=x\ndevice=x",
			"d.conf:3: [a/b]: device=x: the key is given twice" },
		{ "[a/b]\nread-only", "'read-only' is not KEY=VALUE: a switch is read-only=true" },
		{ "[a/b]\nx=", "x= has no value: a switch is x=true" },
		{ "[a/b]\n=x", "invalid key '': small letters" },
		{ "[a/b]\nA=x", "invalid key 'A'" },
		{ "[a/b]\n-a=x", "invalid key '-a'" },
		{ "[a/b]\na[de]=x", "invalid key 'a[de]'" },
		{ "[a/b]\nfd=3", "invalid key 'fd': the socket is made for the program" },
		{ "[a/b]\nrun-as=x", "invalid key 'run-as': this is user= here" },
		{ "[a/b]\nx=\\q", "invalid x=\\q: one of s, n, t, r, \\ after each backslash" },
		{ "[a/b]\nwait=never", "invalid wait=never: a number from 0 to 3600" },
		{ "[a/b]\nsocket-mode=8", "invalid socket-mode=8: " },
		{ "[a/b]\nsocket-group=no such group", "invalid socket-group=no such group: " },
		{ "[a/b]\nafter=c d", "invalid after=c d: GUEST/DEVICE, or a DEVICE" },
		{ "[a/b]\nafter=../d", "invalid after=../d: GUEST/DEVICE" },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(faults); i++) {
		g_autoptr(GPtrArray) entries = device_entries_new();
		GError *error = NULL;

		assert_false(device_file_parse(
			entries, "d.conf", faults[i].text, strlen(faults[i].text), &error));
		assert_error_has(&error, faults[i].message);
	}
}

/* Each byte of a file is the end of one, and each of a good file is once a wrong one. */
static void test_hostile_text(void **state)
{
	static const char text[] = "[a/b]\ndevice=rng\nafter=c\nx=\\s\n[a/c]\ndevice=rng\n";
	char copy[sizeof(text)];

	for (size_t len = 0; len < sizeof(text); len++) {
		for (unsigned byte = 0; byte < 256; byte++) {
			g_autoptr(GPtrArray) entries = device_entries_new();
			g_autoptr(GError) error = NULL;
			size_t n = byte ? sizeof(text) - 1 : len;

			memcpy(copy, text, sizeof(text));
			if (byte)
				copy[len] = (char)byte;
			if (!device_file_parse(entries, "d.conf", copy, n, &error))
				assert_memory_equal(error->message, "d.conf:", 7);
		}
	}
}

static void test_bounds(void **state)
{
	g_autoptr(GString) text = g_string_new("[a/b]\ndevice=x\n");
	g_autoptr(GPtrArray) entries = device_entries_new();
	GError *error = NULL;

	for (unsigned i = 1; i < DEVICE_FILE_MAX_KEYS; i++)
		g_string_append_printf(text, "k=%u\n", i);
	assert_true(device_file_parse(entries, "f", text->str, text->len, &error));
	g_string_append(text, "k=0\n");
	assert_false(device_file_parse(entries, "f", text->str, text->len, &error));
	assert_error_has(&error, "f:130: [a/b]: k=0: more than 128 keys");
	g_string_assign(text, "#");
	for (unsigned i = 0; i < 4096; i++)
		g_string_append_c(text, 'x');
	assert_false(device_file_parse(entries, "f", text->str, text->len, &error));
	assert_error_has(&error, "f:1: the line has more than 4096 bytes");
	assert_false(device_file_parse(entries, "f", "#\n#\0", 4, &error));
	assert_error_has(&error, "f:2: the line has a NUL byte");
}

static void test_files(void **state)
{
	struct test *t = *state;
	char *path = test_path(t, "a.conf");
	g_autoptr(GPtrArray) entries = device_entries_new();
	g_autofree char *large = g_malloc0(DEVICE_FILE_MAX_BYTES + 1);
	GError *error = NULL;

	assert_false(device_file_read(entries, path, &error));
	assert_error_has(&error, "No such file");
	assert_false(device_file_read(entries, t->dir, &error));
	assert_error_has(&error, "no regular file");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_false(device_file_read(entries, path, &error));
	assert_error_has(&error, "no regular file");
	assert_int_equal(unlink(path), 0);
	assert_true(g_file_set_contents(path, "[a/b]\ndevice=x\n", -1, NULL));
	assert_true(device_file_read(entries, path, &error));
	assert_int_equal(entries->len, 1);
	assert_int_equal(chmod(path, 0666), 0);
	assert_false(device_file_read(entries, path, &error));
	assert_error_has(&error, "everybody may write it (chmod o-w)");
	assert_true(g_file_set_contents(path, large, DEVICE_FILE_MAX_BYTES + 1, NULL));
	assert_int_equal(chmod(path, 0600), 0);
	assert_false(device_file_read(entries, path, &error));
	assert_error_has(&error, "more than 262144 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(plain, test_group),
		TEST_WITH(plain, test_defaults),
		TEST_WITH(plain, test_values),
		TEST_WITH(plain, test_nothing),
		TEST_WITH(plain, test_names),
		TEST_WITH(plain, test_faults),
		TEST_WITH(plain, test_hostile_text),
		TEST_WITH(plain, test_bounds),
		TEST_WITH(plain, test_files),
	};

	return cmocka_run_group_tests_name("device_file", tests, NULL, NULL);
}
