/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor's files share: the tables of guests and devices. */
#pragma once

#include "xen/supervisor/xen_guest.h"
#include "xen/supervisor/device_node.h"
#include "xen/supervisor/backend_rules.h"
#include "xen/supervisor/xenstore.h"
#include "xen/supervisor/supervisor.h"

struct supervisor {
	const struct supervisor_options *options;
	char *root; /* the workers' */
	struct xenstore *store;
	struct backend_rules *rules;
	GHashTable *domains; /* domid -> struct domain */
	GHashTable *devices; /* "virtio/3/0" -> struct guest_device */
	GMainLoop *loop;
	bool ending; /* nothing new; the loop ends with the last domain */
};

/* One device that we know of. */
struct guest_device {
	struct supervisor *supervisor;
	char *key, *who; /* who: "domain web (3), device 0" */
	char *kind; /* of its node; NULL: it has none */
	unsigned domid, devid;
	enum {
		GUEST_DEVICE_SERVED,
		GUEST_DEVICE_EMPTY, /* refused: the guest finds an empty slot */
		GUEST_DEVICE_IGNORED, /* nothing of ours is there */
		GUEST_DEVICE_LEAVING,
	} status;
	struct domain *domain; /* NULL: GUEST_DEVICE_IGNORED */
	unsigned number; /* the guest's */
};

/* A guest, for as long as it has devices of ours. */
struct domain {
	struct supervisor *supervisor;
	unsigned domid;
	struct xen_guest *guest;
	struct guest_device *device[IPC_MAX_DEVICES];
};

/* supervisor.c */
/* supervisor_clear() also after an error. */
bool supervisor_init(struct supervisor *s, const struct supervisor_options *o, GError **error);
/* Everything that is left goes at once. */
void supervisor_clear(struct supervisor *s);
/* Until SIGTERM, SIGINT or SIGHUP, or supervisor_end(); then until the last guest is let go of. */
void supervisor_loop(struct supervisor *s);
void supervisor_end(struct supervisor *s);

/* guest_device.c. name: the domain's; kind: NULL for one without a node. */
struct guest_device *guest_device_new(
	struct supervisor *s, const char *kind, const char *name, unsigned domid, unsigned devid);
struct guest_device *guest_device_find(
	struct supervisor *s, const char *kind, unsigned domid, unsigned devid);
/* Only one that no guest has. */
void guest_device_free(struct guest_device *d);
/* Takes over backend, also on error; n: only what is said of the device itself is looked at. */
bool guest_device_serve(struct guest_device *d, const struct device_node *n,
	struct backend_process *backend, GError **error);
bool guest_device_serve_empty(
	struct guest_device *d, const char *name, uint64_t base, GError **error);
/* It leaves its guest, and is freed when it has; its node is Closed then. */
void guest_device_leave(struct guest_device *d);
/* All of the domain's, or, with NULL, all of ours. */
void guest_device_leave_all(struct supervisor *s, struct domain *of);

/* nodes.c */
bool nodes_watch(struct supervisor *s, GError **error);
/* xenstore_open()'s callback. opaque: struct supervisor. */
void nodes_changed(void *opaque, const char *path);
