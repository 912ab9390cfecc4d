/* SPDX-License-Identifier: Apache-2.0 */
/* Reads device nodes. Their writer may be wrong or hostile: nothing is guessed. */
#include "xen/supervisor/device_node.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/xen_abi.h"

#define MAX_NUMBER 24 /* most bytes of a number or a word */
#define MAX_TYPE 64
#define MAX_PARAMS 4095
#define TYPE "virtio,device"
#define TYPE_DIGITS 8

static const char *const kinds[] = { "virtio", "virtio_disk" };

/* Parses digits without leading zeros. Returns their number; 0: there is no valid number. */
static size_t number(const char *text, uint64_t max, uint64_t *value)
{
	size_t len = strspn(text, G_CSET_DIGITS);
	g_autofree char *digits = g_strndup(text, len);

	if ((len > 1 && *text == '0') ||
		!g_ascii_string_to_unsigned(digits, 10, 0, max, value, NULL))
		return 0;
	return len;
}

/* Parses a text that is nothing but a number. */
static bool is_number(const char *text, uint64_t max, uint64_t *value)
{
	return *text && number(text, max, value) == strlen(text);
}

bool device_node_parse_path(const char *path, char **kind, unsigned *domid, unsigned *devid)
{
	const char *p = path, *end;
	uint64_t dom, dev;
	size_t len;

	if (!g_str_has_prefix(p, "backend/"))
		return false;
	p += strlen("backend/");
	end = strchr(p, '/');
	for (unsigned i = 0; end && i < G_N_ELEMENTS(kinds); i++) {
		if (strlen(kinds[i]) != (size_t)(end - p) || strncmp(p, kinds[i], end - p) != 0)
			continue;
		p = end + 1;
		len = number(p, XEN_MAX_DOMID, &dom);
		if (!len || p[len] != '/')
			return false;
		p += len + 1;
		len = number(p, INT_MAX, &dev);
		if (!len || (p[len] != '/' && p[len] != '\0'))
			return false;
		*kind = g_strdup(kinds[i]);
		*domid = dom;
		*devid = dev;
		return true;
	}
	return false;
}

static char *device_node_path(const char *kind, unsigned domid, unsigned devid)
{
	return g_strdup_printf("backend/%s/%u/%u", kind, domid, devid);
}

/* Reads keys; after the first invalid one, reading has no effect. */
struct node_reader {
	struct xenstore *store;
	const char *path;
	GError *error; /* NOENT: the node does not exist */
};

static void refuse(struct node_reader *r, const char *key, const char *value, const char *why)
{
	g_set_error(&r->error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "xenstore: %s/%s is \"%s\": %s",
		r->path, key, value, why);
}

/* Returns the value of an optional key; NULL: there is none, or an error. */
static char *get(struct node_reader *r, const char *key, size_t max)
{
	g_autofree char *path = g_strdup_printf("%s/%s", r->path, key);
	g_autoptr(GError) error = NULL;
	char *value;

	if (r->error)
		return NULL;
	value = xenstore_read(r->store, path, max, &error);
	if (!value && !g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
		r->error = g_steal_pointer(&error);
	return value;
}

/* Returns the value of a mandatory key. Never NULL. */
static char *need(struct node_reader *r, const char *key, size_t max)
{
	char *value = get(r, key, max);

	if (value)
		return value;
	/* A node without any key was removed: no fault of its writer. */
	if (!r->error) {
		g_auto(GStrv) list = xenstore_list(r->store, r->path, &r->error);

		if (list)
			g_set_error(&r->error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
				"xenstore: %s/%s is missing", r->path, key);
	}
	return g_strdup("");
}

static uint64_t read_base(struct node_reader *r)
{
	g_autofree char *value = need(r, "base", MAX_NUMBER);
	uint64_t base = 0;
	bool good;

	if (r->error)
		return 0;
	/* libxl writes it with 0x for "virtio" and decimal for "virtio_disk". */
	if (g_str_has_prefix(value, "0x"))
		good = g_ascii_isxdigit(value[2]) &&
			g_ascii_string_to_unsigned(value + 2, 16, 0, UINT64_MAX, &base, NULL);
	else
		good = is_number(value, UINT64_MAX, &base);
	if (!good)
		refuse(r, "base", value, "not an address");
	else if (base < DEVICE_NODE_MMIO_BASE ||
		base - DEVICE_NODE_MMIO_BASE > DEVICE_NODE_MMIO_SIZE - DEVICE_NODE_WINDOW)
		refuse(r, "base", value, "outside the guest's addresses for virtio-mmio");
	else if (base % DEVICE_NODE_WINDOW)
		refuse(r, "base", value, "not a multiple of " G_STRINGIFY(DEVICE_NODE_WINDOW));
	return base;
}

static uint32_t read_irq(struct node_reader *r)
{
	g_autofree char *value = need(r, "irq", MAX_NUMBER);
	uint64_t irq = 0;

	if (r->error)
		return 0;
	if (!is_number(value, UINT32_MAX, &irq) || irq < DEVICE_NODE_IRQ_FIRST ||
		irq > DEVICE_NODE_IRQ_LAST)
		refuse(r, "irq", value,
			"not an interrupt from " G_STRINGIFY(
				DEVICE_NODE_IRQ_FIRST) " to " G_STRINGIFY(DEVICE_NODE_IRQ_LAST));
	return irq;
}

/* Reads "virtio,device", or that and the id in lower-case hexadecimal digits. */
static uint32_t read_type(struct node_reader *r)
{
	g_autofree char *value = need(r, "type", MAX_TYPE);
	const char *digits = value + strlen(TYPE);
	size_t len;
	uint32_t id = 0;

	if (r->error)
		return 0;
	if (!g_str_has_prefix(value, TYPE)) {
		refuse(r, "type", value, "not \"" TYPE "\" with or without an id");
		return 0;
	}
	len = strlen(digits);
	if (len <= TYPE_DIGITS && strspn(digits, "0123456789abcdef") == len)
		id = strtoul(digits, NULL, 16);
	if (len && !id)
		refuse(r, "type", value, "the id is not a hexadecimal number from 1 on");
	return id;
}

/* Returns true for the first word, false for the second and for no value. */
static bool read_choice(struct node_reader *r, const char *key, const char *yes, const char *no)
{
	g_autofree char *value = get(r, key, MAX_NUMBER);

	if (!value || strcmp(value, no) == 0)
		return false;
	if (strcmp(value, yes) != 0) {
		g_autofree char *why = g_strdup_printf("neither \"%s\" nor \"%s\"", yes, no);

		refuse(r, key, value, why);
	}
	return true;
}

static void check_transport(struct node_reader *r)
{
	g_autofree char *value = need(r, "transport", MAX_NUMBER);

	if (!r->error && strcmp(value, "mmio") != 0)
		refuse(r, "transport", value, "not \"mmio\"");
}

static char *read_params(struct node_reader *r)
{
	char *value = get(r, "params", MAX_PARAMS);

	if (value && !*value)
		refuse(r, "params", value, "empty");
	return value;
}

/* Reads the domain's name, which becomes part of a socket's path. */
static char *read_domain(struct xenstore *s, unsigned domid, GError **error)
{
	g_autofree char *path = g_strdup_printf("/local/domain/%u", domid);
	struct node_reader r = { .store = s, .path = path };
	char *name = need(&r, "name", DEVICE_NODE_MAX_NAME);

	if (!r.error &&
		(!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0))
		refuse(&r, "name", name, "not a valid file name");
	if (r.error)
		g_propagate_error(error, r.error);
	return name;
}

/*
 * Reads grant_usage. Before Xen 4.19 virtio_disk nodes lack it: it then depends on the
 * back-end's domain.
 */
static bool read_grants(struct node_reader *r)
{
	g_autofree char *usage = get(r, "grant_usage", MAX_NUMBER), *domid = NULL;

	if (usage || r->error)
		return read_choice(r, "grant_usage", "1", "0");
	domid = xenstore_read(r->store, "domid", MAX_NUMBER, NULL);
	return domid && strcmp(domid, "0") != 0;
}

struct device_node *device_node_read(
	struct xenstore *s, const char *kind, unsigned domid, unsigned devid, GError **error)
{
	g_autoptr(device_node) n = g_new0(struct device_node, 1);
	struct node_reader r = { .store = s };

	n->kind = g_strdup(kind);
	n->path = device_node_path(kind, domid, devid);
	n->domid = domid;
	n->devid = devid;
	r.path = n->path;
	n->base = read_base(&r);
	n->irq = read_irq(&r);
	check_transport(&r);
	n->grants = read_grants(&r);
	n->read_only = read_choice(&r, "mode", "r", "w");
	n->params = read_params(&r);
	if (strcmp(kind, "virtio") == 0)
		n->device_id = read_type(&r);
	if (!r.error)
		n->domain = read_domain(s, domid, &r.error);
	if (r.error) {
		g_propagate_error(error, r.error);
		return NULL;
	}
	return g_steal_pointer(&n);
}

bool device_node_read_base(
	struct xenstore *s, const char *kind, unsigned domid, unsigned devid, uint64_t *base)
{
	g_autofree char *path = device_node_path(kind, domid, devid);
	struct node_reader r = { .store = s, .path = path };
	bool good;

	*base = read_base(&r);
	good = !r.error;
	g_clear_error(&r.error);
	return good;
}

struct device_node *device_node_copy(const struct device_node *n)
{
	struct device_node *copy = g_memdup2(n, sizeof(*n));

	copy->kind = g_strdup(n->kind);
	copy->path = g_strdup(n->path);
	copy->domain = g_strdup(n->domain);
	copy->params = g_strdup(n->params);
	return copy;
}

void device_node_free(struct device_node *n)
{
	if (!n)
		return;
	g_free(n->kind);
	g_free(n->path);
	g_free(n->domain);
	g_free(n->params);
	g_free(n);
}

enum xenbus_state device_node_get_state(
	struct xenstore *s, const char *kind, unsigned domid, unsigned devid)
{
	g_autofree char *top = device_node_path(kind, domid, devid);
	g_autofree char *path = g_strdup_printf("%s/state", top);
	g_autofree char *value = xenstore_read(s, path, MAX_NUMBER, NULL);
	uint64_t state;

	if (!value || !is_number(value, XENBUS_CLOSED, &state))
		return XENBUS_UNKNOWN;
	return state;
}

void device_node_set_state(struct xenstore *s, const char *kind, unsigned domid, unsigned devid,
	enum xenbus_state state)
{
	g_autofree char *path = g_strdup_printf("backend/%s/%u/%u/state", kind, domid, devid);
	char value[] = { '0' + state, '\0' };
	g_autoptr(GError) error = NULL;

	if (!xenstore_update(s, path, value, &error) &&
		!g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
		log_warning(NULL, "%s", error->message);
}

void device_node_set_error(
	struct xenstore *s, const char *kind, unsigned domid, unsigned devid, const char *text)
{
	g_autofree char *state = g_strdup_printf("backend/%s/%u/%u/state", kind, domid, devid);
	g_autofree char *path = g_strdup_printf("backend/%s/%u/%u/error", kind, domid, devid);
	g_autoptr(GError) error = NULL;

	if (!xenstore_write(s, path, state, text, &error) &&
		!g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
		log_warning(NULL, "%s", error->message);
}

uint64_t device_node_domain_memory(struct xenstore *s, unsigned domid)
{
	g_autofree char *path = g_strdup_printf("/local/domain/%u/memory/static-max", domid);
	g_autofree char *value = xenstore_read(s, path, MAX_NUMBER, NULL);
	uint64_t kib;

	if (!value || !is_number(value, UINT64_MAX / 1024, &kib))
		return 0;
	return kib * 1024;
}
