/* SPDX-License-Identifier: Apache-2.0 */
/* Units of systemd: the drop-ins of a device, and where they are written. */
#include "tests/lib/test.h"

#include "launch/device_set.h"
#include "tools/supervisor/units.h"

static const char text[] = "[vm-1/disk0]\n"
			   "device=blk\n"
			   "blk-file=/a b/\"c\"%i$HOME;\\\\\xc3\xa4.img\n"
			   "read-only=true\n"
			   "user=vm1\n"
			   "after=rng\n"
			   "socket-mode=0660\n"
			   "socket-group=0\n"
			   "[vm-1/rng]\n"
			   "device=rng\n";

static GPtrArray *parse(void)
{
	GPtrArray *entries = device_entries_new();

	assert_true(device_file_parse(entries, "/etc/d.conf", text, strlen(text), NULL));
	assert_true(device_set_sort(entries, NULL));
	return entries;
}

static void test_drop_ins(void **state)
{
	g_autoptr(GPtrArray) entries = parse();
	const struct device_entry *disk = device_set_find(entries, "vm-1/disk0");
	g_autofree char *name = units_name(disk), *socket = units_socket(disk, "/run/virtiod");
	g_autofree char *service = units_service(disk, "/usr/bin", entries);

	assert_string_equal(name, "virtiod-blk@vm\\x2d1-disk0");
	assert_string_equal(socket,
		"# Made by virtiod-generator from /etc/d.conf:1, of the device [vm-1/disk0].\n"
		"[Socket]\n"
		"ListenStream=\n"
		"ListenStream=/run/virtiod/vm-1/disk0.sock\n"
		"SocketMode=0660\n"
		"SocketGroup=0\n");
	assert_string_equal(service,
		"# Made by virtiod-generator from /etc/d.conf:1, of the device [vm-1/disk0].\n"
		"[Unit]\n"
		"SourcePath=/etc/d.conf\n"
		"Wants=virtiod-rng@vm\\x2d1-rng.service\n"
		"After=virtiod-rng@vm\\x2d1-rng.service\n"
		"[Service]\n"
		"EnvironmentFile=\n"
		"ExecStart=\n"
		"ExecStart=\"/usr/bin/virtiod-blk\" "
		"\"--blk-file=/a b/\\\"c\\\"%%i$$HOME;\\\\\\xc3\\xa4.img\" \"--read-only=true\" "
		"\"--run-as=vm1\"\n");
}

static void test_defaults(void **state)
{
	g_autoptr(GPtrArray) entries = parse();
	const struct device_entry *rng = device_set_find(entries, "vm-1/rng");
	g_autofree char *socket = units_socket(rng, "/r");

	assert_non_null(strstr(socket, "SocketMode=0600\nSocketGroup=\n"));
}

static void test_folder(void **state)
{
	struct test *t = *state;
	const char *template = test_path(t, "virtiod-blk@.socket");
	g_autoptr(GPtrArray) entries = parse();
	g_autofree char *link = NULL, *written = NULL, *expected = NULL;
	GError *error = NULL;

	assert_false(units_write(entries, t->dir, t->dir, "/r", "/b", &error));
	assert_error_has(&error, "/etc/d.conf:9: [vm-1/rng]: invalid device=rng: there is no unit");
	assert_true(g_file_set_contents(template, "", 0, NULL));
	assert_true(g_file_set_contents(test_path(t, "virtiod-rng@.socket"), "", 0, NULL));
	for (unsigned i = 0; i < 2; i++)
		assert_true(units_write(entries, t->dir, t->dir, "/r", "/b", &error));
	link = g_file_read_link(
		test_path(t, "sockets.target.wants/virtiod-blk@vm\\x2d1-disk0.socket"), NULL);
	assert_string_equal(link, template);
	expected = units_socket(device_set_find(entries, "vm-1/rng"), "/r");
	assert_true(g_file_get_contents(
		test_path(t, "virtiod-rng@vm\\x2d1-rng.socket.d/50-devices.conf"), &written, NULL,
		NULL));
	assert_string_equal(written, expected);
	assert_true(g_file_test(test_path(t, "virtiod-rng@vm\\x2d1-rng.service.d/50-devices.conf"),
		G_FILE_TEST_IS_REGULAR));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(plain, test_drop_ins),
		TEST_WITH(plain, test_defaults),
		TEST_WITH(plain, test_folder),
	};

	return cmocka_run_group_tests_name("units", tests, NULL, NULL);
}
