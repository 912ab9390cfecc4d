/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must live as long as the guest, whoever serves it: the ioreq server, the event channels, the
 * supervisor's own mapping of the ioreq page, the eventfds and what the kernel was told of them, each
 * device's state and connection. (When the owner of assigned ioeventfds dies, the kernel keeps the
 * event channel bound to a freed page: so the owner must not be the process that handles what guests
 * send.) Parses nothing that a guest wrote. Main loop only.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "xen/link.h"
#include "xen/node.h"
#include "xen/source.h"

struct keeper;
typedef struct keeper keeper; /* for g_autoptr */

struct keeper_config {
	unsigned domid;
	const char *name; /* the domain's; copied */
	uint64_t max_memory; /* bytes; 0: not known */
	bool eventfds; /* use the kernel's, if it has them */
};

/* Creates the guest's ioreq server and enables it, without a range yet. */
struct keeper *keeper_new(const struct keeper_config *config, GError **error);
/* Deassigns, unmaps, destroys. */
void keeper_free(struct keeper *k);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(keeper, keeper_free)

/*
 * Registers the range: from here on guest accesses wait for a worker. Takes over source (also on
 * error). Refused, by name: a range or an interrupt that another device of the guest has, too many.
 */
bool keeper_add(struct keeper *k, const struct node *n, unsigned wait_ms, struct source *source,
	unsigned *device, GError **error);
void keeper_remove(struct keeper *k, unsigned device);

/* For a worker: the GUEST and ADD records with fds, which stay the keeper's. */
void keeper_describe_guest(
	const struct keeper *k, struct link_order *order, int fds[LINK_MAX_FDS], unsigned *n_fds);
bool keeper_describe_device(const struct keeper *k, unsigned device, struct link_order *order,
	int fds[LINK_MAX_FDS], unsigned *n_fds);

/*
 * Answers a worker's request; *fds: the keeper's, valid until its next call. False: it makes no
 * sense, the worker is to be ended.
 */
bool keeper_answer(struct keeper *k, const struct link_request *request, struct link_reply *reply,
	int fds[LINK_MAX_FDS], unsigned *n_fds);
