/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device as the toolstack describes it in xenstore, checked:
 *
 *	backend/virtio/<domid>/<devid>/		any device, by its type
 *	backend/virtio_disk/<domid>/<devid>/	one that the toolstack gives "params"
 *
 * below our own domain's folder, with base, irq, state, grant_usage, type or params, mode.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "xen/supervisor/xenstore.h"

/* The window that libxl's device trees have for each device. */
#define NODE_WINDOW 0x200
/* Xen's own, for guests (xen/arch-arm.h): GUEST_VIRTIO_MMIO_BASE and the SPIs. */
#define NODE_MMIO_BASE UINT64_C(0x02000000)
#define NODE_MMIO_SIZE UINT64_C(0x00100000)
#define NODE_IRQ_FIRST 33
#define NODE_IRQ_LAST 43

/* Longest name of a domain, in bytes: it is part of paths and messages. */
#define NODE_MAX_NAME 100

/* xenbus states (xen/io/xenbus.h). */
enum node_state {
	NODE_UNKNOWN,
	NODE_INITIALISING,
	NODE_INIT_WAIT,
	NODE_INITIALISED,
	NODE_CONNECTED,
	NODE_CLOSING,
	NODE_CLOSED,
};

struct node {
	char *kind; /* "virtio" or "virtio_disk" */
	char *path; /* relative to our domain's folder, no slash at the end */
	char *domain; /* name: can be a file's, at most NODE_MAX_NAME bytes */
	unsigned domid, devid;
	uint64_t base;
	uint32_t irq;
	bool grants;
	bool read_only; /* mode */
	uint32_t device_id; /* of "virtio,device<hex>"; 0: "virtio,device", whatever it is */
	char *params; /* a path of the host; NULL: none */
};
typedef struct node node; /* for g_autoptr */

/* "backend/virtio/3/0", and whatever is below it. False: a path of something else. */
bool node_parse_path(const char *path, char **kind, unsigned *domid, unsigned *devid);
/*
 * NULL: not there (any more), NOENT; or refused, with an error that names path, key and value.
 */
struct node *node_read(
	struct xenstore *s, const char *kind, unsigned domid, unsigned devid, GError **error);
/* Where the device of a node that was refused would be; false: it says nothing that can be. */
bool node_read_base(
	struct xenstore *s, const char *kind, unsigned domid, unsigned devid, uint64_t *base);
struct node *node_copy(const struct node *n);
void node_free(struct node *n);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(node, node_free)

/* NODE_UNKNOWN if it has none. */
enum node_state node_get_state(
	struct xenstore *s, const char *kind, unsigned domid, unsigned devid);
/* If the node is still there. */
void node_set_state(struct xenstore *s, const char *kind, unsigned domid, unsigned devid,
	enum node_state state);
/* The domain's memory/static-max in bytes; 0: not said. */
uint64_t node_domain_memory(struct xenstore *s, unsigned domid);
