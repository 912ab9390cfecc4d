/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's broker, in the supervisor: it owns what must live as long as the guest while workers
 * come and go, and hands it out to them: the ioreq servers, the event channels, a mapping of the
 * ioreq pages, the eventfds and their assignments in the kernel, each device's state and
 * connection. (When the owner of assigned ioeventfds dies, the kernel keeps the event channel bound
 * to a freed page; so the owner must not be the process that handles guest input.) Parses nothing
 * that a guest wrote. Main loop only.
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
	uint64_t max_memory; /* bytes; 0: unknown */
	bool eventfds; /* use irqfd and ioeventfd, if the kernel has them */
	const char *run; /* the folder of range_lock(); copied; NULL: do without */
};

/* Creates the guest's ioreq servers and enables them, without a range yet. */
struct broker *broker_new(const struct broker_config *config, GError **error);
/* Deassigns eventfds, unmaps, destroys the servers. */
void broker_free(struct broker *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(broker, broker_free)

struct broker_device_config {
	const char *name; /* for messages; copied */
	uint64_t base;
	uint32_t irq;
	bool grants;
	unsigned wait_ms;
	uint32_t queue_size; /* 0: default */
	uint32_t device_id; /* the toolstack's; 0: not declared */
};

/*
 * Maps the device's range: from now on guest accesses wait for a worker. Takes over backend, also
 * on error. Fails for a range or an interrupt that another device of the guest has, for a range in
 * the guest's RAM or that another process serves, and for too many devices.
 */
bool broker_add(struct broker *b, const struct broker_device_config *config,
	struct backend_process *backend, unsigned *device, GError **error);
/*
 * Maps the range of a device that was refused. Workers, which do not know it, answer accesses as to
 * an empty slot; an access without an answer would crash the guest.
 */
bool broker_add_empty(struct broker *b, uint64_t base, unsigned *device, GError **error);
/* Undoes everything in the kernel and in Xen, closes back-end and eventfds. */
void broker_remove(struct broker *b, unsigned device);

/* Fill in the commands GUEST and ADD and their fds, which stay the broker's. */
void broker_describe_guest(
	const struct broker *b, struct ipc_command *command, int fds[IPC_MAX_FDS], unsigned *n_fds);
/* Returns false for the range of a refused device, which workers do not get. */
bool broker_describe_device(const struct broker *b, unsigned device, struct ipc_command *command,
	int fds[IPC_MAX_FDS], unsigned *n_fds);

/*
 * Answers a worker's request. fds: in, those of the request, taken over; out, those of the reply,
 * which the caller sends and closes. Returns false for an invalid request: end the worker.
 */
bool broker_answer(struct broker *b, const struct ipc_request *request, struct ipc_reply *reply,
	int fds[IPC_MAX_FDS], unsigned *n_fds);

/* Returns the number of eventfds that are assigned in the kernel. */
unsigned broker_assigned(const struct broker *b);
