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
#define DEVICE_NODE_WINDOW 0x200
/* Xen's memory map of guests (xen/arch-arm.h): GUEST_VIRTIO_MMIO_BASE and the SPIs. */
#define DEVICE_NODE_MMIO_BASE UINT64_C(0x02000000)
#define DEVICE_NODE_MMIO_SIZE UINT64_C(0x00100000)
#define DEVICE_NODE_IRQ_FIRST 33
#define DEVICE_NODE_IRQ_LAST 43

/* Longest name of a domain, in bytes: it is part of paths and messages. */
#define DEVICE_NODE_MAX_NAME 100

/* Values of "state" (xen/io/xenbus.h). */
enum xenbus_state {
	XENBUS_UNKNOWN,
	XENBUS_INITIALISING,
	XENBUS_INIT_WAIT,
	XENBUS_INITIALISED,
	XENBUS_CONNECTED,
	XENBUS_CLOSING,
	XENBUS_CLOSED,
};

struct device_node {
	char *kind; /* "virtio" or "virtio_disk" */
	char *path; /* relative to our domain's folder, no slash at the end */
	char *domain; /* name: can be a file's, at most DEVICE_NODE_MAX_NAME bytes */
	unsigned domid, devid;
	uint64_t base;
	uint32_t irq;
	bool grants;
	bool read_only; /* mode */
	uint32_t device_id; /* of "virtio,device<hex>"; 0: "virtio,device", any */
	char *params; /* a path of the host; NULL: none */
};
typedef struct device_node device_node; /* for g_autoptr */

/* Parses "backend/virtio/3/0" and paths below it. Returns false for other paths. */
bool device_node_parse_path(const char *path, char **kind, unsigned *domid, unsigned *devid);
/*
 * Reads and checks a node. Returns NULL with G_FILE_ERROR_NOENT if it does not exist (any more), or
 * with an error that names path, key and value.
 */
struct device_node *device_node_read(
	struct xenstore *s, const char *kind, unsigned domid, unsigned devid, GError **error);
/* Reads only the base of a node that was refused. Returns false if that is invalid, too. */
bool device_node_read_base(
	struct xenstore *s, const char *kind, unsigned domid, unsigned devid, uint64_t *base);
struct device_node *device_node_copy(const struct device_node *n);
void device_node_free(struct device_node *n);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(device_node, device_node_free)

/* Returns XENBUS_UNKNOWN if the node has no valid state. */
enum xenbus_state device_node_get_state(
	struct xenstore *s, const char *kind, unsigned domid, unsigned devid);
/* Writes the state, unless the node was removed. */
void device_node_set_state(struct xenstore *s, const char *kind, unsigned domid, unsigned devid,
	enum xenbus_state state);
/* Writes the text to the node "error", for the toolstack's user, unless the node was removed. */
void device_node_set_error(
	struct xenstore *s, const char *kind, unsigned domid, unsigned devid, const char *text);
/* Returns the domain's memory/static-max in bytes; 0: unknown. */
uint64_t device_node_domain_memory(struct xenstore *s, unsigned domid);
