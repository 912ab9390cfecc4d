/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's data, shared by its files. */
#pragma once

#include "base/log.h"
#include "xen/hypervisor/devmodel.h"
#include "xen/hypervisor/evtchn.h"
#include "xen/supervisor/broker.h"

struct broker_eventfd {
	int fd; /* -1: not requested yet */
	bool assigned;
};

struct broker_queue {
	struct broker_eventfd eventfd[2]; /* by enum ipc_eventfd */
};

struct broker_device {
	bool used;
	char *name;
	uint64_t base;
	uint32_t irq, queue_size, device_id;
	bool grants;
	bool kicks_mapped; /* QueueNotify goes to the second server */
	unsigned wait_ms;
	struct backend_process *backend; /* NULL: a refused device */
	int state; /* memfd */
	int gntdev; /* -1: foreign memory */
	int range; /* locks it; -1: not locked */
	/* The connection, and the front-end's end of the back-end channel; -1: none. */
	int socket, channel;
	int area; /* the in-flight area, as sent by a worker; -1: none */
	struct broker_queue *queue; /* up to the highest requested */
	unsigned n_queues;
	struct log_limit limit; /* of lines about its back-end */
};

struct broker_server {
	bool made;
	uint16_t id;
	struct foreign_memory *foreign; /* with the page */
	void *page;
	uint32_t port[IPC_MAX_VCPUS];
};

struct broker {
	unsigned domid;
	char *name, *who; /* who: for messages */
	char *run; /* folder; NULL: ranges are not locked */
	bool eventfds; /* wanted, and not known to be missing in the kernel */
	struct devmodel *devmodel;
	struct evtchn *evtchn;
	int privcmd, journal;
	unsigned vcpus;
	struct broker_server server[IPC_MAX_SERVERS]; /* see ipc.h */
	unsigned banks;
	struct foreign_memory_bank bank[FOREIGN_MEMORY_MAX_BANKS];
	struct broker_device device[IPC_MAX_DEVICES];
};

/* Deassigns all eventfds of the device and closes them. */
void broker_drop_eventfds(struct broker *b, struct broker_device *d);
/* Closes the connection; the next DIAL makes a new one. */
void broker_drop_connection(struct broker_device *d);
