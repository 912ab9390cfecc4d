/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-xen attach: a supervisor with one device that the command line describes. */
#include <string.h>

#include "xen/supervisor/backend_process.h"
#include "xen/supervisor/supervisor_impl.h"

#define DOMAIN_GONE "@releaseDomain"

/* Ends the program when the domain has ended. */
static void on_change(void *opaque, const char *path)
{
	struct supervisor *s = opaque;
	GHashTableIter iter;
	gpointer id;
	bool alive = false;

	domain_changed(s, path);
	if (strcmp(path, DOMAIN_GONE) != 0)
		return;
	g_hash_table_iter_init(&iter, s->domains);
	while (g_hash_table_iter_next(&iter, &id, NULL))
		alive |= xenstore_has_domain(s->store, GPOINTER_TO_UINT(id));
	if (!alive)
		supervisor_end(s);
}

static struct device_node *describe(
	struct supervisor *s, const struct attach_options *a, GError **error)
{
	g_autofree char *path = g_strdup_printf("/local/domain/%u/name", a->domid);
	struct device_node *n;
	char *name;

	if (!xenstore_has_domain(s->store, a->domid)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "domain %u does not exist",
			a->domid);
		return NULL;
	}
	name = xenstore_read(s->store, path, DEVICE_NODE_MAX_NAME, error);
	if (!name)
		return NULL;
	n = g_new0(struct device_node, 1);
	n->kind = g_strdup("attach");
	n->path = g_strdup("");
	n->domain = name;
	n->domid = a->domid;
	n->base = a->base;
	n->irq = a->irq;
	n->grants = a->grants;
	return n;
}

static bool serve(struct supervisor *s, const struct attach_options *a, GError **error)
{
	g_autoptr(device_node) n = NULL;
	struct guest_device *d;

	s->rules = backend_rules_new_socket(a->socket);
	s->store = xenstore_open(on_change, s, error);
	if (!s->store)
		return false;
	n = describe(s, a, error);
	if (!n)
		return false;
	d = guest_device_new(s, NULL, n->domain, n->domid, 0);
	if (!guest_device_serve(d, n, backend_process_new(s->rules, n, d->who), error) ||
		!xenstore_watch(s->store, DOMAIN_GONE, error))
		return false;
	supervisor_loop(s);
	return true;
}

bool supervisor_attach(
	const struct supervisor_options *o, const struct attach_options *a, GError **error)
{
	struct supervisor s;
	bool ok;

	ok = supervisor_init(&s, o, error) && serve(&s, a, error);
	supervisor_clear(&s);
	return ok;
}
