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

#include "xen/ipc.h"
#include "xen/supervisor/device_node.h"
#include "xen/supervisor/backend_process.h"

struct broker;
typedef struct broker broker; /* for g_autoptr */

struct broker_config {
	unsigned domid;
	const char *name; /* the domain's; copied */
	uint64_t max_memory; /* bytes; 0: not known */
	bool eventfds; /* use the kernel's, if it has them */
};

/* Creates the guest's ioreq server and enables it, without a range yet. */
struct broker *broker_new(const struct broker_config *config, GError **error);
/* Deassigns, unmaps, destroys. */
void broker_free(struct broker *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(broker, broker_free)

struct broker_device_config {
	const char *name; /* for messages; copied */
	uint64_t base;
	uint32_t irq;
	bool grants;
	unsigned wait_ms;
	uint32_t queue_size; /* 0: default */
	uint32_t device_id; /* what the toolstack says that it is; 0: nothing */
};

/*
 * Registers the range: from here on guest accesses wait for a worker. Takes over backend (also on
 * error). Refused, by name: a range or an interrupt that another device of the guest has, too many.
 */
bool broker_add(struct broker *b, const struct broker_device_config *config,
	struct backend_process *backend, unsigned *device, GError **error);
/*
 * Registers the range of a device that will never be there: a worker answers accesses without
 * knowing of it, and the guest finds nothing, while an access that nobody answers would end it.
 */
bool broker_add_empty(struct broker *b, uint64_t base, unsigned *device, GError **error);
/* Nothing is left of it in the kernel or in Xen; back-end and eventfds are closed. */
void broker_remove(struct broker *b, unsigned device);

/* For a worker: the GUEST and ADD records with fds, which stay the broker's. */
void broker_describe_guest(
	const struct broker *b, struct ipc_command *command, int fds[IPC_MAX_FDS], unsigned *n_fds);
/* False: there is nothing to describe, as it is an empty one. */
bool broker_describe_device(const struct broker *b, unsigned device, struct ipc_command *command,
	int fds[IPC_MAX_FDS], unsigned *n_fds);

/*
 * Answers a worker's request; fds: those that came with it, then the caller's, to send and to close.
 * False: it makes no sense, the worker is to be ended.
 */
bool broker_answer(struct broker *b, const struct ipc_request *request, struct ipc_reply *reply,
	int fds[IPC_MAX_FDS], unsigned *n_fds);

/* Eventfds that the kernel serves now. */
unsigned broker_assigned(const struct broker *b);
