/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor's files share: the tables of guests and devices. */
#pragma once

#include "xen/supervisor/guest.h"
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
	GHashTable *devices; /* "virtio/3/0" -> struct device */
	GMainLoop *loop;
	bool ending; /* nothing new; the loop ends with the last domain */
};

/* One device that we know of. */
struct device {
	struct supervisor *supervisor;
	char *key, *who; /* who: "domain web (3), device 0" */
	char *kind; /* of its node; NULL: it has none */
	unsigned domid, devid;
	enum {
		DEVICE_SERVED,
		DEVICE_EMPTY, /* refused: the guest finds an empty slot */
		DEVICE_IGNORED, /* nothing of ours is there */
		DEVICE_LEAVING,
	} status;
	struct domain *domain; /* NULL: DEVICE_IGNORED */
	unsigned number; /* the guest's */
};

/* A guest, for as long as it has devices of ours. */
struct domain {
	struct supervisor *supervisor;
	unsigned domid;
	struct guest *guest;
	struct device *device[IPC_MAX_DEVICES];
};

/* supervisor.c */
/* supervisor_clear() also after an error. */
bool supervisor_init(struct supervisor *s, const struct supervisor_options *o, GError **error);
/* Everything that is left goes at once. */
void supervisor_clear(struct supervisor *s);
/* Until SIGTERM, SIGINT or SIGHUP, or supervisor_end(); then until the last guest is let go of. */
void supervisor_loop(struct supervisor *s);
void supervisor_end(struct supervisor *s);

/* devices.c. name: the domain's; kind: NULL for one without a node. */
struct device *device_new(
	struct supervisor *s, const char *kind, const char *name, unsigned domid, unsigned devid);
struct device *device_find(struct supervisor *s, const char *kind, unsigned domid, unsigned devid);
/* Only one that no guest has. */
void device_free(struct device *d);
/* Takes over backend, also on error; n: only what is said of the device itself is looked at. */
bool device_serve(struct device *d, const struct device_node *n, struct backend_process *backend,
	GError **error);
bool device_serve_empty(struct device *d, const char *name, uint64_t base, GError **error);
/* It leaves its guest, and is freed when it has; its node is Closed then. */
void device_leave(struct device *d);
/* All of the domain's, or, with NULL, all of ours. */
void device_leave_all(struct supervisor *s, struct domain *of);

/* nodes.c */
bool nodes_watch(struct supervisor *s, GError **error);
/* xenstore_open()'s callback. opaque: struct supervisor. */
void nodes_changed(void *opaque, const char *path);
