/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Acts on changes in xenstore. An event only tells where to look; the state is read anew, so events
 * that come late, twice or for our own changes do no harm.
 *
 *	state of a node		known device		unknown device
 *	1		(nothing)			serve it or refuse it -> 2
 *	2, 3, 4		(nothing)			another process served it: log, ignore
 *	5, removed		release it -> 6		(5: -> 6)
 *	6			release it		(nothing)
 */
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "xen/supervisor/backend_process.h"
#include "xen/supervisor/supervisor_impl.h"

static const char *const kinds[] = { "virtio", "virtio_disk" };

#define DOMAIN_GONE "@releaseDomain"

/* Returns a name for messages, also if it is the name that is invalid. */
static char *domain_name(struct supervisor *s, unsigned domid)
{
	g_autofree char *path = g_strdup_printf("/local/domain/%u/name", domid);
	char *name = xenstore_read(s->store, path, DEVICE_NODE_MAX_NAME, NULL);

	return name ? name : g_strdup("?");
}

/* Serves an empty slot in the device's place: an access without an answer would crash the guest. */
static void refuse(struct guest_device *d, const char *name, const GError *why)
{
	struct supervisor *s = d->supervisor;
	g_autoptr(GError) error = NULL;
	uint64_t base;
	bool empty = device_node_read_base(s->store, d->kind, d->domid, d->devid, &base) &&
		guest_device_serve_empty(d, name, base, &error);

	log_error(d->who, "refused: %s", why->message);
	if (empty)
		log_warning(d->who, "the guest finds an empty slot at 0x%" PRIx64, base);
	else
		log_error(d->who,
			"not even an empty slot can be made of it%s%s: the guest may end "
			"when it looks there",
			error ? ": " : "", error ? error->message : "");
	/* The toolstack waits for this state with some devices; let it start the guest. */
	device_node_set_state(s->store, d->kind, d->domid, d->devid, XENBUS_INIT_WAIT);
}

static void serve(struct supervisor *s, const char *kind, unsigned domid, unsigned devid)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(device_node) n = device_node_read(s->store, kind, domid, devid, &error);
	g_autofree char *name = NULL;
	struct guest_device *d;

	/* Removed meanwhile: another event follows. */
	if (!n && g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
		return;
	name = n ? g_strdup(n->domain) : domain_name(s, domid);
	d = guest_device_new(s, kind, name, domid, devid);
	if (n && guest_device_serve(d, n, backend_process_new(s->rules, n, d->who), &error))
		device_node_set_state(s->store, kind, domid, devid, XENBUS_INIT_WAIT);
	else
		refuse(d, name, error);
}

static void ignore(struct supervisor *s, const char *kind, unsigned domid, unsigned devid,
	enum xenbus_state state)
{
	g_autofree char *name = domain_name(s, domid);
	struct guest_device *d = guest_device_new(s, kind, name, domid, devid);

	log_error(d->who,
		"is in state %d: another process served it, and with that one the guest's "
		"ioreq server is gone; it is left alone",
		state);
}

static void look(struct supervisor *s, const char *kind, unsigned domid, unsigned devid)
{
	struct guest_device *d = guest_device_find(s, kind, domid, devid);
	enum xenbus_state state = device_node_get_state(s->store, kind, domid, devid);

	switch (state) {
	case XENBUS_INITIALISING:
		if (!d && !s->ending)
			serve(s, kind, domid, devid);
		break;
	case XENBUS_INIT_WAIT:
	case XENBUS_INITIALISED:
	case XENBUS_CONNECTED:
		if (!d && !s->ending)
			ignore(s, kind, domid, devid, state);
		break;
	case XENBUS_CLOSING:
		if (!d)
			device_node_set_state(s->store, kind, domid, devid, XENBUS_CLOSED);
		/* fall through */
	case XENBUS_CLOSED:
	case XENBUS_UNKNOWN:
		if (d)
			guest_device_leave(d);
		break;
	}
}

/* Parses a name in xenstore that is a number. */
static bool parse_id(const char *name, unsigned *id)
{
	guint64 value;

	if (!g_ascii_string_to_unsigned(name, 10, 0, G_MAXINT, &value, NULL))
		return false;
	*id = value;
	return true;
}

/* Looks at all nodes of a kind, and at known devices, whose nodes may have been removed. */
static void look_at_all(struct supervisor *s, const char *kind)
{
	g_autoptr(GList) known = g_hash_table_get_values(s->devices);
	g_autofree char *top = g_strdup_printf("backend/%s", kind);
	g_auto(GStrv) domids = xenstore_list(s->store, top, NULL);
	unsigned domid, devid;

	/* Arguments are copied before look() may free the device. */
	for (const GList *l = known; l; l = l->next) {
		struct guest_device *d = l->data;

		if (g_strcmp0(d->kind, kind) == 0)
			look(s, kind, d->domid, d->devid);
	}
	for (char **dom = domids; dom && *dom; dom++) {
		g_autofree char *path = g_strdup_printf("%s/%s", top, *dom);
		g_auto(GStrv) devids = xenstore_list(s->store, path, NULL);

		for (char **dev = devids; dev && *dev; dev++) {
			if (parse_id(*dom, &domid) && parse_id(*dev, &devid))
				look(s, kind, domid, devid);
		}
	}
}

static void look_for_dead_domains(struct supervisor *s)
{
	g_autoptr(GList) domains = g_hash_table_get_values(s->domains);

	for (const GList *l = domains; l; l = l->next) {
		struct domain *domain = l->data;

		if (xenstore_has_domain(s->store, domain->domid))
			continue;
		log_debug(xen_guest_who(domain->guest), "is no more");
		guest_device_leave_all(s, domain);
	}
}

/* Returns whether path is the folder of this kind's nodes, or below it. */
static bool is_of_kind(const char *path, const char *kind)
{
	g_autofree char *top = g_strdup_printf("backend/%s", kind);
	size_t len = strlen(top);

	return strncmp(path, top, len) == 0 && (!path[len] || path[len] == '/');
}

void nodes_changed(void *opaque, const char *path)
{
	struct supervisor *s = opaque;
	g_autofree char *kind = NULL;
	unsigned domid, devid;

	if (strcmp(path, DOMAIN_GONE) == 0) {
		look_for_dead_domains(s);
		return;
	}
	if (device_node_parse_path(path, &kind, &domid, &devid)) {
		look(s, kind, domid, devid);
		return;
	}
	domain_changed(s, path);
	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
		if (is_of_kind(path, kinds[i]))
			look_at_all(s, kinds[i]);
	}
}

bool nodes_watch(struct supervisor *s, GError **error)
{
	return xenstore_watch(s->store, "backend/virtio", error) &&
		xenstore_watch(s->store, "backend/virtio_disk", error) &&
		xenstore_watch(s->store, DOMAIN_GONE, error);
}
