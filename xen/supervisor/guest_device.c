/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of guests and devices: adds and removes entries. */
#include <inttypes.h>

#include "base/log.h"
#include "xen/supervisor/supervisor_impl.h"

static char *make_key(const char *kind, unsigned domid, unsigned devid)
{
	return g_strdup_printf("%s/%u/%u", kind ? kind : "", domid, devid);
}

struct guest_device *guest_device_new(
	struct supervisor *s, const char *kind, const char *name, unsigned domid, unsigned devid)
{
	struct guest_device *d = g_new0(struct guest_device, 1);

	d->supervisor = s;
	d->key = make_key(kind, domid, devid);
	d->who = g_strdup_printf("domain %s (%u), device %u", name, domid, devid);
	d->kind = g_strdup(kind);
	d->domid = domid;
	d->devid = devid;
	d->status = GUEST_DEVICE_IGNORED;
	g_hash_table_insert(s->devices, d->key, d);
	return d;
}

struct guest_device *guest_device_find(
	struct supervisor *s, const char *kind, unsigned domid, unsigned devid)
{
	g_autofree char *key = make_key(kind, domid, devid);

	return g_hash_table_lookup(s->devices, key);
}

void guest_device_free(struct guest_device *d)
{
	g_hash_table_remove(d->supervisor->devices, d->key);
	g_free(d->key);
	g_free(d->who);
	g_free(d->kind);
	g_free(d);
}

static void on_removed(void *opaque, unsigned number)
{
	struct domain *domain = opaque;
	struct supervisor *s = domain->supervisor;
	struct guest_device *d = g_steal_pointer(&domain->device[number]);

	if (d->kind)
		device_node_set_state(s->store, d->kind, d->domid, d->devid, XENBUS_CLOSED);
	log_info(d->who, "removed");
	guest_device_free(d);
}

static void on_given_up(void *opaque, unsigned number)
{
	struct domain *domain = opaque;
	const struct guest_device *d = domain->device[number];

	if (d->kind)
		device_node_set_error(domain->supervisor->store, d->kind, d->domid, d->devid,
			"no back-end: the guest finds no device; the log of virtiod-xen tells why");
}

void domain_free(struct domain *domain)
{
	suspend_free(domain->suspend);
	xen_guest_free(domain->guest);
	g_free(domain);
}

void domain_changed(struct supervisor *s, const char *path)
{
	GHashTableIter iter;
	gpointer domain;

	g_hash_table_iter_init(&iter, s->domains);
	while (g_hash_table_iter_next(&iter, NULL, &domain))
		suspend_changed(((struct domain *)domain)->suspend, path);
}

static void on_ended(void *opaque)
{
	struct domain *domain = opaque;
	struct supervisor *s = domain->supervisor;

	g_hash_table_remove(s->domains, GUINT_TO_POINTER(domain->domid));
	domain_free(domain);
	if (s->ending && g_hash_table_size(s->domains) == 0)
		g_main_loop_quit(s->loop);
}

/*
 * Returns the domain of that id. *new: it was created here and has no device yet; settle()
 * completes or frees it.
 */
static struct domain *get_domain(
	struct supervisor *s, const char *name, unsigned domid, bool *new, GError **error)
{
	static const struct xen_guest_events events = {
		.removed = on_removed, .given_up = on_given_up, .ended = on_ended
	};
	struct domain *domain = g_hash_table_lookup(s->domains, GUINT_TO_POINTER(domid));
	const struct xen_guest_config config = {
		.broker = { .domid = domid,
			.name = name,
			.max_memory = device_node_domain_memory(s->store, domid),
			.eventfds = s->options->eventfds,
			.run = s->options->run },
		.sandbox = s->options->sandbox,
		.uid_base = s->options->uid_base,
		.leave_ms = s->options->leave_ms,
		.root = s->root,
	};

	*new = !domain;
	if (domain)
		return domain;
	domain = g_new0(struct domain, 1);
	domain->supervisor = s;
	domain->domid = domid;
	domain->guest = xen_guest_new(&config, &events, domain, error);
	if (!domain->guest) {
		g_free(domain);
		return NULL;
	}
	domain->suspend = suspend_new(s->store, domid, xen_guest_who(domain->guest));
	g_hash_table_insert(s->domains, GUINT_TO_POINTER(domid), domain);
	return domain;
}

/* Completes get_domain(): the domain has the device now or, if ok is false, does not. */
static bool settle(struct guest_device *d, struct domain *domain, bool new, bool ok)
{
	if (ok) {
		d->domain = domain;
		domain->device[d->number] = d;
	} else if (new) {
		g_hash_table_remove(d->supervisor->domains, GUINT_TO_POINTER(domain->domid));
		domain_free(domain);
	}
	return ok;
}

bool guest_device_serve(struct guest_device *d, const struct device_node *n,
	struct backend_process *backend, GError **error)
{
	struct supervisor *s = d->supervisor;
	/* Only for what is needed before the first connection, which searches again. */
	g_autoptr(backend_rule) r = backend_rules_find(s->rules, n, NULL);
	const struct broker_device_config config = {
		.name = d->who,
		.base = n->base,
		.irq = n->irq,
		.grants = n->grants,
		.wait_ms = r && r->wait_ms ? r->wait_ms : s->options->wait_ms,
		.queue_size = r ? r->queue_size : 0,
		.device_id = n->device_id,
	};
	bool new;
	struct domain *domain = get_domain(s, n->domain, d->domid, &new, error);

	if (!domain) {
		backend_process_free(backend);
		return false;
	}
	if (!settle(d, domain, new,
		    xen_guest_add(domain->guest, &config, backend, &d->number, error)))
		return false;
	d->status = GUEST_DEVICE_SERVED;
	log_info(d->who, "at 0x%" PRIx64 ", interrupt %u, memory by %s", n->base, n->irq,
		n->grants ? "grants" : "foreign mappings");
	return true;
}

bool guest_device_serve_empty(
	struct guest_device *d, const char *name, uint64_t base, GError **error)
{
	bool new;
	struct domain *domain = get_domain(d->supervisor, name, d->domid, &new, error);

	if (!domain ||
		!settle(d, domain, new,
			xen_guest_add_empty(domain->guest, base, &d->number, error)))
		return false;
	d->status = GUEST_DEVICE_EMPTY;
	return true;
}

void guest_device_leave(struct guest_device *d)
{
	if (d->status == GUEST_DEVICE_LEAVING)
		return;
	if (d->status == GUEST_DEVICE_IGNORED) {
		if (d->kind)
			device_node_set_state(
				d->supervisor->store, d->kind, d->domid, d->devid, XENBUS_CLOSED);
		guest_device_free(d);
		return;
	}
	d->status = GUEST_DEVICE_LEAVING;
	xen_guest_remove(d->domain->guest, d->number);
}

void guest_device_leave_all(struct supervisor *s, struct domain *of)
{
	g_autoptr(GList) all = g_hash_table_get_values(s->devices);

	for (const GList *l = all; l; l = l->next) {
		struct guest_device *d = l->data;

		if (d->domain && (!of || d->domain == of))
			guest_device_leave(d);
	}
}
