/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes of devices in xenstore, and the files of rules. */
#include "tests/fuzz/fuzz.h"

#include "tests/lib/test.h"
#include "tests/xen/fake_xenstore.h"
#include "xen/supervisor/backend_rules.h"
#include "launch/rule_text.h"

static char *config, *defaults, *folder;

static void setup(void)
{
	config = fuzz_path("config");
	defaults = fuzz_path("defaults");
	folder = fuzz_path("run");
	g_mkdir(folder, 0700);
}

static void on_changed(void *opaque, const char *path)
{
}

/* Sets a value that libxl might write, or any. */
static void set(struct fuzz_input *in, const char *path, const char *key, const char *usual)
{
	g_autofree char *full = g_strconcat(path, key, NULL);
	uint8_t len = fuzz_u8(in);
	struct fuzz_input part;

	if (len < 2) {
		fake_xenstore_set(full, usual);
		return;
	}
	if (len == 2)
		return;
	part = fuzz_part(in, len - 3);
	fake_xenstore_set_bytes(full, part.at, part.end - part.at);
}

static void fill_store(struct fuzz_input *in, const char *path)
{
	static const char *const keys[][2] = { { "/state", "1" }, { "/base", "0x2000000" },
		{ "/irq", "33" }, { "/type", "virtio,device1a" }, { "/transport", "mmio" },
		{ "/grant_usage", "1" }, { "/params", "/srv/a.img" }, { "/mode", "r" },
		{ "/frontend", "/local/domain/3/device/virtio/0" } };

	fake_xenstore_set("domid", "0");
	set(in, "/local/domain/3", "/name", "web");
	set(in, "/local/domain/3", "/memory/static-max", "131072");
	for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++)
		set(in, path, keys[i][0], keys[i][1]);
}

static void run_node(struct fuzz_input *in)
{
	const char *kind = fuzz_u8(in) % 2 ? "virtio_disk" : "virtio";
	g_autofree char *path = g_strdup_printf("backend/%s/3/0", kind);
	struct xenstore *store = xenstore_open(on_changed, NULL, NULL);
	g_autoptr(device_node) node = NULL, copy = NULL;
	g_autoptr(GError) error = NULL;
	uint64_t base;

	fill_store(in, path);
	node = device_node_read(store, kind, 3, 0, &error);
	g_assert_true(!node == !!error);
	if (node) {
		copy = device_node_copy(node);
		g_assert_cmpuint(strlen(node->domain), <=, DEVICE_NODE_MAX_NAME);
		g_assert_null(strchr(node->domain, '/'));
	}
	device_node_read_base(store, kind, 3, 0, &base);
	device_node_get_state(store, kind, 3, 0);
	device_node_domain_memory(store, 3);
	xenstore_free(store);
	fake_xenstore_clear();
}

static void run_path(struct fuzz_input *in)
{
	g_autofree char *path = fuzz_string(in), *kind = NULL;
	unsigned domid, devid;

	device_node_parse_path(path, &kind, &domid, &devid);
}

static void run_rules(struct fuzz_input *in)
{
	g_autofree char *domain = fuzz_string(in), *params = fuzz_string(in);
	uint8_t how = fuzz_u8(in);
	struct device_node node = {
		.kind = (char *)(how & 1 ? "virtio_disk" : "virtio"),
		.path = (char *)"x",
		.domain = domain,
		.domid = 3,
		.devid = how >> 4,
		.params = how & 2 ? params : NULL,
		.read_only = how & 4,
	};
	g_autoptr(GError) error = NULL;
	g_autoptr(backend_rules) rules = NULL;
	g_autoptr(backend_rule) rule = NULL;
	struct fuzz_input first = fuzz_part(in, fuzz_u16(in));

	/* A domain's name is checked before it comes here. */
	if (!*domain || strchr(domain, '/') || domain[0] == '.')
		node.domain = (char *)"web";
	g_assert_true(
		g_file_set_contents(config, (const char *)first.at, first.end - first.at, NULL));
	g_assert_true(g_file_set_contents(defaults, (const char *)in->at, in->end - in->at, NULL));
	rules = backend_rules_read(config, defaults, folder, 1000000, &error);
	if (rules)
		rule = backend_rules_find(rules, &node, &error);
	g_assert_true(!rule == !!error);
}

static void run_text(struct fuzz_input *in)
{
	g_autofree char *raw = fuzz_string(in);

	g_free(rule_text_string(raw, NULL));
	g_strfreev(rule_text_list(raw, NULL));
}

static void run(struct fuzz_input *in)
{
	static void (*const parts[])(
		struct fuzz_input * in) = { run_node, run_path, run_rules, run_text };

	parts[fuzz_below(in, G_N_ELEMENTS(parts))](in);
}

FUZZ_TARGET(xenstore, .setup = setup, .run = run);
