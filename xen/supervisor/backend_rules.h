/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which back-end serves a device: that of the first matching group of /etc/virtiod/xen.conf, else
 * the socket /run/virtiod/<domain>/<devid>.sock if it exists, else that of the first matching group
 * of <datadir>/virtiod/xen.conf (where virtio_disk nodes find their program: the code knows no
 * device). Format (GKeyFile):
 *
 *	[any name]
 *	domain=web*		glob of the domain's name; default: all
 *	devid=0			default: all
 *	type=2			the node's device id; default: all
 *	node=virtio_disk	the node's folder; default: all
 *	mode=r			"r" or "w"; default: both
 *	socket=/run/%n/%i.sock	where the back-end listens; or:
 *	program=TYPE		the program that discovery finds for this type (vhost-user.json);
 *				or its absolute path
 *	options=--a=%p;--b	its options; each begins with a dash
 *	probe=, packed=, device-id=, config-size=, queues=, queue-size=
 *	wait=10			seconds
 *
 * %n is the domain's name, %d its id, %u its user id (unique to the domain, not root's), %i the
 * device's id, %p params, %r the folder /run/virtiod, %% a percent sign. A group that uses %p
 * matches only nodes with params.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "vhost-user/front/vu_front.h"
#include "xen/supervisor/device_node.h"

/* The rule for one device, placeholders replaced. */
struct backend_rule {
	char *socket; /* or: */
	char *program; /* absolute path */
	char **options; /* NULL-terminated */
	struct vu_front_options front; /* what the rule declares of a back-end without PROBE */
	uint32_t queue_size; /* 0: not set */
	unsigned wait_ms; /* 0: not set */
	char *where; /* "/etc/virtiod/xen.conf [web]", for messages */
};
typedef struct backend_rule backend_rule; /* for g_autoptr */
void backend_rule_free(struct backend_rule *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(backend_rule, backend_rule_free)

struct backend_rules;
typedef struct backend_rules backend_rules; /* for g_autoptr */

/*
 * Reads and checks both files, so that mistakes show at the start: errors name file, group, key and
 * value. A missing file counts as empty. run: the folder instead of /run/virtiod. uid_base: a
 * domain's user id is uid_base + domid; 0: that of "nobody" for all.
 */
struct backend_rules *backend_rules_read(const char *config, const char *defaults, const char *run,
	unsigned uid_base, GError **error);
/* Returns a single rule, for every device: connect to this socket. */
struct backend_rules *backend_rules_new_socket(const char *socket);
void backend_rules_free(struct backend_rules *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(backend_rules, backend_rules_free)

/* Returns the rule of a device; NULL with an error that names the places searched. */
struct backend_rule *backend_rules_find(
	const struct backend_rules *r, const struct device_node *n, GError **error);
