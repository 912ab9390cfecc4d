/* SPDX-License-Identifier: Apache-2.0 */
/* Devices in xenstore: what libxl writes is understood, everything else refused by name. */
#include "tests/lib/test.h"

#include "base/log.h"
#include "fake_xenstore.h"
#include "xen/supervisor/device_node.h"

#define PATH "backend/virtio/3/0"
#define DISK "backend/virtio_disk/3/51712"

struct device_node_test {
	struct xenstore *store;
	struct test test;
};

static void on_changed(void *opaque, const char *path)
{
}

static int setup(void **state)
{
	struct device_node_test *w = g_new0(struct device_node_test, 1);

	test_begin(&w->test);
	w->store = xenstore_open(on_changed, NULL, NULL);
	fake_xenstore_set("domid", "0");
	fake_xenstore_set("/local/domain/3/name", "web");
	fake_xenstore_set(PATH "/frontend", "/local/domain/3/device/virtio/0");
	fake_xenstore_set(PATH "/state", "1");
	fake_xenstore_set(PATH "/base", "0x2000000");
	fake_xenstore_set(PATH "/irq", "33");
	fake_xenstore_set(PATH "/type", "virtio,device");
	fake_xenstore_set(PATH "/transport", "mmio");
	fake_xenstore_set(PATH "/grant_usage", "1");
	fake_xenstore_set(DISK "/state", "1");
	fake_xenstore_set(DISK "/base", "33554944");
	fake_xenstore_set(DISK "/irq", "43");
	fake_xenstore_set(DISK "/transport", "mmio");
	fake_xenstore_set(DISK "/params", "/srv/a;b %p.img");
	fake_xenstore_set(DISK "/mode", "r");
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct device_node_test *w = *state;

	xenstore_free(w->store);
	fake_xenstore_clear();
	test_end(&w->test);
	g_free(w);
	return 0;
}

static void test_paths(void **state)
{
	static const char *const bad[] = { "", "backend", "backend/virtio", "backend/virtio/3",
		"backend/virtio/3/", "backend/virtio//0", "backend/virtio/+3/0",
		"backend/virtio/03/0", "backend/virtio/3/00", "backend/virtio/-3/0",
		"backend/virtio/ 3/0", "backend/virtio/3/0x", "backend/virtio/3x/0",
		"backend/vbd/3/0", "backend/virtio_/3/0", "backend/virti/3/0",
		"/backend/virtio/3/0", "backend/virtio/32752/0", "backend/virtio/4294967299/0",
		"backend/virtio/3/4294967296", "backend/virtio/99999999999999999999/0" };
	g_autofree char *kind = NULL, *deep = NULL, *other = NULL;
	unsigned domid = 9, devid = 9;

	assert_true(device_node_parse_path("backend/virtio/32751/0", &kind, &domid, &devid));
	assert_string_equal(kind, "virtio");
	assert_int_equal(domid, 32751);
	assert_int_equal(devid, 0);
	assert_true(device_node_parse_path(
		"backend/virtio_disk/3/2147483647/state/x", &deep, &domid, &devid));
	assert_string_equal(deep, "virtio_disk");
	assert_int_equal(domid, 3);
	assert_int_equal(devid, 2147483647);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_false(device_node_parse_path(bad[i], &other, &domid, &devid));
	assert_null(other);
}

static void test_any_device(void **state)
{
	struct device_node_test *w = *state;
	g_autoptr(device_node) n = device_node_read(w->store, "virtio", 3, 0, NULL);
	g_autoptr(device_node) typed = NULL;

	assert_non_null(n);
	assert_string_equal(n->kind, "virtio");
	assert_string_equal(n->path, PATH);
	assert_string_equal(n->domain, "web");
	assert_int_equal(n->domid, 3);
	assert_int_equal(n->devid, 0);
	assert_int_equal(n->base, 0x2000000);
	assert_int_equal(n->irq, 33);
	assert_int_equal(n->device_id, 0);
	assert_true(n->grants);
	assert_false(n->read_only);
	assert_null(n->params);

	fake_xenstore_set(PATH "/type", "virtio,device1a");
	fake_xenstore_set(PATH "/grant_usage", "0");
	fake_xenstore_set(PATH "/base", "0x20ffe00"); /* the last window */
	typed = device_node_read(w->store, "virtio", 3, 0, NULL);
	assert_non_null(typed);
	assert_int_equal(typed->device_id, 26);
	assert_int_equal(typed->base, 0x20ffe00);
	assert_false(typed->grants);
}

static void test_params(void **state)
{
	struct device_node_test *w = *state;
	g_autoptr(device_node) n = device_node_read(w->store, "virtio_disk", 3, 51712, NULL);
	g_autoptr(device_node) copy = NULL;

	assert_non_null(n);
	copy = device_node_copy(n);
	assert_string_equal(copy->kind, "virtio_disk");
	assert_string_equal(copy->path, DISK);
	assert_string_equal(copy->domain, "web");
	assert_string_equal(copy->params, "/srv/a;b %p.img");
	assert_int_equal(copy->base, 0x2000200);
	assert_int_equal(copy->irq, 43);
	assert_true(copy->read_only);
	assert_int_equal(copy->device_id, 0);
}

static void test_grants_not_said(void **state)
{
	struct device_node_test *w = *state;
	g_autoptr(device_node) in_dom0 = device_node_read(w->store, "virtio_disk", 3, 51712, NULL);
	g_autoptr(device_node) elsewhere = NULL;

	assert_false(in_dom0->grants);
	fake_xenstore_set("domid", "2");
	elsewhere = device_node_read(w->store, "virtio_disk", 3, 51712, NULL);
	assert_true(elsewhere->grants);
}

/* Expects an error that has all these words. */
static void assert_refused(struct device_node_test *w, const char *kind, unsigned devid,
	const char *key, const char *value)
{
	g_autoptr(GError) error = NULL;

	assert_null(device_node_read(w->store, kind, 3, devid, &error));
	assert_non_null(error);
	if (!g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_INVAL) ||
		!strstr(error->message, key) || (value && !strstr(error->message, value)))
		fail_msg("%s = %s: %s", key, value, error->message);
}

/* Values of the device's nodes that are refused. */
static const struct {
	const char *key, *value;
} hostile[] = {
	{ "base", "" },
	{ "base", "0" },
	{ "base", "0x0" },
	{ "base", "0x" },
	{ "base", "0x 2000000" },
	{ "base", "0x+2000000" },
	{ "base", "0X2000000" },
	{ "base", "+33554432" },
	{ "base", "-33554432" },
	{ "base", " 33554432" },
	{ "base", "33554432 " },
	{ "base", "010" },
	{ "base", "033554432" },
	{ "base", "2000000h" },
	{ "base", "0x2000100" },
	{ "base", "0x2000001" },
	{ "base", "0x1fffe00" },
	{ "base", "0x20fff00" },
	{ "base", "0x2100000" },
	{ "base", "0x10002000000" },
	{ "base", "0xfffffffffffffe00" },
	{ "base", "0x10000000002000000" },
	{ "irq", "" },
	{ "irq", "0" },
	{ "irq", "32" },
	{ "irq", "44" },
	{ "irq", "+33" },
	{ "irq", "-33" },
	{ "irq", "033" },
	{ "irq", "33x" },
	{ "irq", "0x21" },
	{ "irq", "4294967329" },
	{ "irq", "18446744073709551649" },
	{ "type", "" },
	{ "type", "virtio" },
	{ "type", "Virtio,device" },
	{ "type", "virtio,device " },
	{ "type", "virtio,device1A" },
	{ "type", "virtio,device0" },
	{ "type", "virtio,device0x1" },
	{ "type", "virtio,device-1" },
	{ "type", "virtio,deviceg" },
	{ "type", "virtio,device100000001" },
	{ "type", "virtio,device1/../../2" },
	{ "transport", "" },
	{ "transport", "pci" },
	{ "transport", "mmio " },
	{ "grant_usage", "" },
	{ "grant_usage", "2" },
	{ "grant_usage", "yes" },
	{ "mode", "rw" },
	{ "params", "" },
};

static void test_hostile(void **state)
{
	struct device_node_test *w = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(hostile); i++) {
		g_autofree char *path = g_strdup_printf(PATH "/%s", hostile[i].key);
		g_autofree char *saved = g_strdup(fake_xenstore_get(path));
		g_autofree char *quoted = g_strdup_printf("\"%s\"", hostile[i].value);

		fake_xenstore_set(path, hostile[i].value);
		assert_refused(w, "virtio", 0, path, quoted);
		if (saved)
			fake_xenstore_set(path, saved);
		else
			fake_xenstore_remove(path);
	}
	device_node_free(device_node_read(w->store, "virtio", 3, 0, NULL)); /* all is as it was */
}

static void test_long_and_binary(void **state)
{
	static const char *const keys[] = { "base", "irq", "type", "transport", "grant_usage",
		"mode", "params" };
	struct device_node_test *w = *state;
	g_autofree char *longest = g_strnfill(65536, '3');

	for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
		g_autofree char *path = g_strdup_printf(PATH "/%s", keys[i]);
		g_autofree char *saved = g_strdup(fake_xenstore_get(path));

		fake_xenstore_set(path, longest);
		assert_refused(w, "virtio", 0, path, NULL);
		fake_xenstore_set_bytes(path, "33\0", 3);
		assert_refused(w, "virtio", 0, path, NULL);
		fake_xenstore_set(path, "\n");
		assert_refused(w, "virtio", 0, path, NULL);
		if (saved)
			fake_xenstore_set(path, saved);
		else
			fake_xenstore_remove(path);
	}
}

static void test_domain_names(void **state)
{
	static const char *const bad[] = { "", ".", "..", "/", "a/b", "../a", "a/.." };
	struct device_node_test *w = *state;
	g_autofree char *longest = g_strnfill(DEVICE_NODE_MAX_NAME, 'x');
	g_autofree char *too_long = g_strnfill(DEVICE_NODE_MAX_NAME + 1, 'x');
	g_autoptr(device_node) n = NULL, dots = NULL;

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		fake_xenstore_set("/local/domain/3/name", bad[i]);
		assert_refused(w, "virtio", 0, "/local/domain/3/name", bad[i]);
	}
	fake_xenstore_set("/local/domain/3/name", too_long);
	assert_refused(w, "virtio", 0, "/local/domain/3/name", NULL);
	fake_xenstore_remove("/local/domain/3/name");
	fake_xenstore_set("/local/domain/3/vm", "x");
	assert_refused(w, "virtio", 0, "/local/domain/3/name", "missing");
	fake_xenstore_set("/local/domain/3/name", longest);
	n = device_node_read(w->store, "virtio", 3, 0, NULL);
	assert_string_equal(n->domain, longest);
	fake_xenstore_set("/local/domain/3/name", "..a..");
	dots = device_node_read(w->store, "virtio", 3, 0, NULL);
	assert_string_equal(dots->domain, "..a..");
}

static void test_missing(void **state)
{
	static const char *const keys[] = { "base", "irq", "type", "transport" };
	struct device_node_test *w = *state;
	g_autoptr(GError) gone = NULL, broken = NULL;

	for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
		g_autofree char *path = g_strdup_printf(PATH "/%s", keys[i]);
		g_autofree char *saved = g_strdup(fake_xenstore_get(path));

		fake_xenstore_remove(path);
		assert_refused(w, "virtio", 0, path, "missing");
		fake_xenstore_set(path, saved);
	}
	fake_xenstore_fail(PATH "/irq", G_FILE_ERROR_IO);
	assert_null(device_node_read(w->store, "virtio", 3, 0, &broken));
	assert_true(g_error_matches(broken, G_FILE_ERROR, G_FILE_ERROR_IO));
	fake_xenstore_fail(NULL, -1);
	/* Nothing is wrong with a node that was removed. */
	fake_xenstore_remove(PATH);
	assert_null(device_node_read(w->store, "virtio", 3, 0, &gone));
	assert_true(g_error_matches(gone, G_FILE_ERROR, G_FILE_ERROR_NOENT));
}

static void test_state(void **state)
{
	struct device_node_test *w = *state;
	static const char *const unknown[] = { "7", "-1", "01", "1 ", "", "x" };

	assert_int_equal(device_node_get_state(w->store, "virtio", 3, 0), XENBUS_INITIALISING);
	device_node_set_state(w->store, "virtio", 3, 0, XENBUS_CONNECTED);
	assert_string_equal(fake_xenstore_get(PATH "/state"), "4");
	assert_int_equal(device_node_get_state(w->store, "virtio", 3, 0), XENBUS_CONNECTED);
	for (unsigned i = 0; i < G_N_ELEMENTS(unknown); i++) {
		fake_xenstore_set(PATH "/state", unknown[i]);
		assert_int_equal(device_node_get_state(w->store, "virtio", 3, 0), XENBUS_UNKNOWN);
	}
	device_node_set_state(w->store, "virtio_disk", 3, 51712, XENBUS_CLOSED);
	assert_string_equal(fake_xenstore_get(DISK "/state"), "6");
	/* One that was removed is not created again, and nothing is logged. */
	fake_xenstore_remove(PATH);
	device_node_set_state(w->store, "virtio", 3, 0, XENBUS_CLOSED);
	assert_null(fake_xenstore_get(PATH "/state"));
	assert_int_equal(device_node_get_state(w->store, "virtio", 3, 0), XENBUS_UNKNOWN);
	assert_int_equal(test_log_lines(), 0);
	fake_xenstore_fail(DISK "/state", G_FILE_ERROR_IO);
	device_node_set_state(w->store, "virtio_disk", 3, 51712, XENBUS_CLOSED);
	assert_int_equal(test_log_lines(), 1);
}

static void test_memory(void **state)
{
	struct device_node_test *w = *state;
	const char *path = "/local/domain/3/memory/static-max";

	assert_int_equal(device_node_domain_memory(w->store, 3), 0);
	fake_xenstore_set(path, "262144");
	assert_int_equal(device_node_domain_memory(w->store, 3), 256 << 20);
	fake_xenstore_set(path, "18446744073709551615");
	assert_int_equal(device_node_domain_memory(w->store, 3), 0);
	fake_xenstore_set(path, "-1");
	assert_int_equal(device_node_domain_memory(w->store, 3), 0);
	fake_xenstore_set(path, "1024 ");
	assert_int_equal(device_node_domain_memory(w->store, 3), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_paths),
		TEST(test_any_device),
		TEST(test_params),
		TEST(test_grants_not_said),
		TEST(test_hostile),
		TEST(test_long_and_binary),
		TEST(test_domain_names),
		TEST(test_missing),
		TEST(test_state),
		TEST(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
