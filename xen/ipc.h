/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What supervisor and worker say to each other, over two socketpairs (SOCK_SEQPACKET, fixed-size
 * records, fds beside them):
 *
 *	orders		supervisor -> worker	GUEST once, then ADD and REMOVE, COUNTERS, QUIT
 *			worker -> supervisor	READY, REMOVED
 *	requests	worker -> supervisor	one at a time, each answered at once
 *
 * The worker handles what guests send, so the supervisor believes nothing it says: a record that
 * makes no sense ends the worker.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "vhost-user/front/vu_front.h"
#include "vmm/vmm_dev.h"
#include "xen/hypervisor/foreign_memory.h"

/* Xen's limit for guests with one ioreq page; GUEST_MAX_VCPUS. */
#define IPC_MAX_VCPUS 128
/* DEVICE_NODE_IRQ_LAST - DEVICE_NODE_IRQ_FIRST + 1, and what "attach" may add. */
#define IPC_MAX_DEVICES 32
#define IPC_MAX_FDS 4
#define IPC_NAME 128

enum ipc_order_type {
	/*
	 * fds: event channels (port per vCPU bound), restricted privcmd (for back-ends), the
	 * journals of the vCPUs (struct ioreq_journal for each server).
	 */
	IPC_GUEST = 1,
	IPC_ADD, /* fds: the device's state; for grants, its gntdev, too */
	IPC_REMOVE, /* stop its rings and let go of it, then say REMOVED */
	IPC_COUNTERS, /* log them */
	IPC_QUIT, /* REMOVE all, and end */
	IPC_READY, /* GUEST is dealt with: rights are dropped, the page is mapped */
	IPC_REMOVED,
};

/*
 * A guest's ioreq servers. Through the second goes only what the kernel may answer by itself,
 * writes to QueueNotify: of every write to a server that has an ioeventfd the kernel takes a look,
 * READY -> INPROCESS -> READY, and if Xen sees that, it crashes the guest ("Weird HVM ioreq state
 * transition 2 -> 1"), or we take the request at the same moment. It is only there if the kernel
 * is to have eventfds.
 */
enum { IPC_REGISTERS, IPC_KICKS, IPC_MAX_SERVERS };

struct ipc_server {
	uint32_t id;
	uint32_t port[IPC_MAX_VCPUS]; /* ours */
};

struct ipc_guest {
	char name[IPC_NAME]; /* the domain's, for messages */
	uint32_t domid;
	uint32_t vcpus;
	uint32_t servers; /* 1, or IPC_MAX_SERVERS */
	struct ipc_server server[IPC_MAX_SERVERS];
	uint32_t banks; /* 0: all devices use grants */
	struct foreign_memory_bank bank[FOREIGN_MEMORY_MAX_BANKS];
	uint32_t uid, gid; /* to become */
	char root[IPC_NAME]; /* to chroot to: an empty folder; "": none */
};

struct ipc_device {
	uint32_t device; /* its number for all later records, < IPC_MAX_DEVICES */
	char name[IPC_NAME]; /* for messages: "domain/devid" */
	uint64_t base, window;
	uint32_t irq;
	uint32_t grants; /* bool */
	uint32_t wait_ms; /* how long accesses wait for the first back-end; 0: for ever */
	uint32_t queue_size; /* 0: default */
};

struct ipc_order {
	uint32_t type;
	union {
		struct ipc_guest guest;
		struct ipc_device add;
		uint32_t device; /* REMOVE, REMOVED */
	};
};

enum ipc_request_type {
	/*
	 * Connect the device's back-end. fds: socket, our end of the channel, and if it is not a
	 * kept connection the back-end's end. fresh: a kept one is of no use (any more).
	 */
	IPC_DIAL = 1,
	IPC_EVENTFD, /* of queue and which: the same one at each call */
	IPC_KEEP, /* a file: in the place of what was kept; without one: that, or ENOENT */
	IPC_ASSIGN, /* let the kernel serve that eventfd, or, with on = 0, no more */
};

struct ipc_request {
	uint32_t type;
	uint32_t device;
	uint32_t queue, which; /* enum vmm_eventfd */
	uint32_t on;
	uint32_t fresh;
};

struct ipc_reply {
	int32_t err; /* 0, or an errno: EAGAIN (DIAL: not now), EOPNOTSUPP (ASSIGN: cannot) … */
	uint32_t kept; /* DIAL */
	/* DIAL: what the rule says of the back-end; of struct vu_front_options. */
	uint32_t probe, packed, device_id, queues;
	int32_t config_size;
	char text[256]; /* the error's, of DIAL */
};

/* Non-blocking: false with errno; EAGAIN only if the other side does not read. */
bool ipc_send(int fd, const void *record, size_t size, const int *fds, unsigned n_fds);
/*
 * One whole record of exactly size bytes, and its fds (up to IPC_MAX_FDS, the caller's; all others
 * closed). 1: yes; 0: the other side is gone; -1 with errno: EAGAIN, or EPROTO for another size.
 */
int ipc_receive(int fd, void *record, size_t size, int fds[IPC_MAX_FDS], unsigned *n_fds);

/* The worker's end of the requests. Any thread; waits for the answer. */
struct ipc_client;
struct ipc_client *ipc_client_new(int fd); /* takes it over */
void ipc_client_free(struct ipc_client *c);
/* False: the supervisor is gone. fds: the caller's. */
bool ipc_call(struct ipc_client *c, const struct ipc_request *request, struct ipc_reply *reply,
	int fds[IPC_MAX_FDS], unsigned *n_fds);
/* Likewise, and sends a file, which stays the caller's; -1: none. */
bool ipc_call_with(struct ipc_client *c, const struct ipc_request *request, int file,
	struct ipc_reply *reply, int fds[IPC_MAX_FDS], unsigned *n_fds);
