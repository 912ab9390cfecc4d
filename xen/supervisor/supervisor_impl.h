/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's tables of guests and devices, shared by its files. */
#pragma once

#include "xen/supervisor/xen_guest.h"
#include "xen/supervisor/device_node.h"
#include "xen/supervisor/backend_rules.h"
#include "xen/supervisor/suspend.h"
#include "xen/supervisor/xenstore.h"
#include "xen/supervisor/supervisor.h"

struct supervisor {
	const struct supervisor_options *options;
	char *root; /* of the workers */
	struct xenstore *store;
	struct backend_rules *rules;
	GHashTable *domains; /* domid -> struct domain */
	GHashTable *devices; /* "virtio/3/0" -> struct guest_device */
	GMainLoop *loop;
	bool ending; /* takes no new devices; the loop ends with the last domain */
};

/* A known device. */
struct guest_device {
	struct supervisor *supervisor;
	char *key, *who; /* who: "domain web (3), device 0" */
	char *kind; /* of its node; NULL: no node */
	unsigned domid, devid;
	enum {
		GUEST_DEVICE_SERVED,
		GUEST_DEVICE_EMPTY, /* refused: the guest finds an empty slot */
		GUEST_DEVICE_IGNORED, /* nothing of it is set up */
		GUEST_DEVICE_LEAVING,
	} status;
	struct domain *domain; /* NULL: GUEST_DEVICE_IGNORED */
	unsigned number; /* within its guest */
};

/* A guest that has devices. */
struct domain {
	struct supervisor *supervisor;
	unsigned domid;
	struct xen_guest *guest;
	struct suspend *suspend;
	struct guest_device *device[IPC_MAX_DEVICES];
};

/* supervisor.c */
/* Call supervisor_clear() also after an error. */
bool supervisor_init(struct supervisor *s, const struct supervisor_options *o, GError **error);
/* Ends everything that is left immediately. */
void supervisor_clear(struct supervisor *s);
/* Runs until SIGTERM, SIGINT, SIGHUP or supervisor_end(), then until the last guest is released. */
void supervisor_loop(struct supervisor *s);
void supervisor_end(struct supervisor *s);

/* guest_device.c. name: the domain's; kind: NULL for one without a node. */
struct guest_device *guest_device_new(
	struct supervisor *s, const char *kind, const char *name, unsigned domid, unsigned devid);
struct guest_device *guest_device_find(
	struct supervisor *s, const char *kind, unsigned domid, unsigned devid);
/* Only for a device that belongs to no guest. */
void guest_device_free(struct guest_device *d);
/* Takes over backend, also on error; of n, kind and ids are not used. */
bool guest_device_serve(struct guest_device *d, const struct device_node *n,
	struct backend_process *backend, GError **error);
bool guest_device_serve_empty(
	struct guest_device *d, const char *name, uint64_t base, GError **error);
/* Removes it from its guest; then its node's state is Closed, and it is freed. */
void guest_device_leave(struct guest_device *d);
/* Ends its worker, if it has one. Its devices are the caller's. */
void domain_free(struct domain *domain);
/* Looks whether a change in xenstore at this path is about one of the domains. */
void domain_changed(struct supervisor *s, const char *path);
/* Removes all devices of the domain; NULL: of all domains. */
void guest_device_leave_all(struct supervisor *s, struct domain *of);

/* nodes.c */
bool nodes_watch(struct supervisor *s, GError **error);
/* Callback for xenstore_open(). opaque: struct supervisor. */
void nodes_changed(void *opaque, const char *path);
