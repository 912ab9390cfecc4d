/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPC between the supervisor and a worker: fixed-size records with file descriptors beside them,
 * over two socketpairs (SOCK_SEQPACKET).
 *
 *	commands	supervisor -> worker	GUEST once, then ADD and REMOVE, COUNTERS, QUIT
 *	  events	worker -> supervisor	READY, REMOVED, GIVEN_UP (on the same socketpair)
 *	requests	worker -> supervisor	one at a time, each answered at once
 *
 * The worker handles guest input, so the supervisor does not trust it: an invalid record ends the
 * worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "xen/hypervisor/foreign_memory.h"

/* Xen's limit for guests with one ioreq page (GUEST_MAX_VCPUS). */
#define IPC_MAX_VCPUS 128
/* Devices of one guest: one for each interrupt in libxl's range, and those of "attach". */
#define IPC_MAX_DEVICES 32
#define IPC_MAX_FDS 4
#define IPC_NAME 128
#define IPC_MAX_MESSAGE 64
#define IPC_AGAIN_MS 10 /* until a record that could not be received is tried again */
/* Bytes of a device's state memfd: at least vmm_dev_state_size(), which the worker checks. */
#define IPC_STATE_SIZE 0x20000

enum ipc_command_type {
	/*
	 * fds: event channels (one port per vCPU and server bound), restricted privcmd (for
	 * back-ends), the journals (struct ipc_journal for each server).
	 */
	IPC_GUEST = 1,
	IPC_ADD, /* fds: the device's state; for grants, its gntdev, too */
	IPC_REMOVE, /* stop the device's rings, close its files, then send REMOVED */
	IPC_COUNTERS, /* log the counters */
	IPC_QUIT, /* REMOVE all devices, then exit */
};

/*
 * A guest's ioreq servers. The second one gets only what the kernel may answer by itself: writes to
 * QueueNotify. The kernel examines every write to a server that has an ioeventfd (READY ->
 * INPROCESS -> READY). If Xen sees that, it crashes the guest ("Weird HVM ioreq state transition
 * 2 -> 1"), and a worker could take the request at the same moment. The second server exists only
 * if the kernel is to use eventfds.
 */
enum { IPC_REGISTERS, IPC_KICKS, IPC_MAX_SERVERS };

/*
 * Shared by a guest's successive workers: which slots of the server's ioreq page a worker has taken
 * (ioreq.c). Zeroed for a new guest.
 */
struct ipc_journal {
	/* By vCPU: a worker has made the slot INPROCESS, or is about to. */
	uint32_t taken[IPC_MAX_VCPUS];
};

struct ipc_server {
	uint32_t id;
	uint32_t port[IPC_MAX_VCPUS]; /* local ports */
};

struct ipc_guest {
	char name[IPC_NAME]; /* of the domain, for messages */
	uint32_t domid;
	uint32_t vcpus;
	uint32_t servers; /* 1, or IPC_MAX_SERVERS */
	struct ipc_server server[IPC_MAX_SERVERS];
	uint32_t banks; /* 0: all devices use grants */
	struct foreign_memory_bank bank[FOREIGN_MEMORY_MAX_BANKS];
	uint32_t uid, gid; /* to change to; 0: stay root */
	uint32_t sandbox; /* enum sandbox_mode */
	char root[IPC_NAME]; /* an empty directory to chroot to; "": none */
};

struct ipc_device {
	uint32_t device; /* its number in all later records, < IPC_MAX_DEVICES */
	char name[IPC_NAME]; /* for messages: "domain/devid" */
	uint64_t base, window;
	uint32_t irq;
	uint32_t grants; /* bool */
	uint32_t wait_ms; /* how long accesses wait for the first back-end; 0: for ever */
	uint32_t queue_size; /* 0: default */
};

struct ipc_command {
	uint32_t type;
	union {
		struct ipc_guest guest;
		struct ipc_device add;
		uint32_t device; /* REMOVE */
	};
};

enum ipc_event_type {
	IPC_READY = 1, /* GUEST is done: privileges are dropped, the ioreq pages are mapped */
	IPC_REMOVED,
	IPC_GIVEN_UP, /* no back-end came in time: the guest finds an empty slot */
};

struct ipc_event {
	uint32_t type;
	uint32_t device; /* REMOVED, GIVEN_UP */
};

enum ipc_request_type {
	/*
	 * Connect the device's back-end. fds of the reply: the socket, our end of the back-end
	 * channel and, unless the connection is a kept one, the back-end's end. fresh: do not hand
	 * out a kept connection.
	 */
	IPC_DIAL = 1,
	IPC_EVENTFD, /* of queue and which: the same one at each call */
	IPC_KEEP, /* with a file: replaces the kept one; without: returns the kept one, or ENOENT */
	IPC_ASSIGN, /* on: let the kernel serve that eventfd; 0: no longer */
	/*
	 * Read size bytes of the back-end's, which are there, from its socket. The reply has them,
	 * and their file, if that is memory: a worker does not close every file of a back-end, as
	 * what waits in its place (base/fd_kind.h) would keep its own descriptors open.
	 */
	IPC_TAKE,
};

enum ipc_eventfd { IPC_KICK, IPC_CALL };

struct ipc_request {
	uint32_t type;
	uint32_t device;
	uint32_t queue, which; /* enum ipc_eventfd */
	uint32_t on;
	uint32_t fresh;
	uint32_t size; /* TAKE: up to IPC_MAX_MESSAGE */
};

struct ipc_reply {
	int32_t err; /* 0, or an errno: EAGAIN (DIAL: not now), EOPNOTSUPP (ASSIGN: cannot) ... */
	uint32_t kept; /* DIAL */
	/* DIAL: what the rule declares of the back-end; as in struct vu_front_options. */
	uint32_t probe, packed, device_id, queues;
	int32_t config_size;
	char text[256]; /* DIAL: the error message */
	uint8_t message[IPC_MAX_MESSAGE]; /* TAKE */
};

/* Sends without blocking. False with errno; EAGAIN: the other side does not read. */
bool ipc_send(int fd, const void *record, size_t size, const int *fds, unsigned n_fds);
/*
 * Receives one record of exactly size bytes and its fds (up to IPC_MAX_FDS, which the caller owns;
 * more are closed). Returns 1; 0 at the end of the connection; -1 with errno: EAGAIN, or EPROTO for
 * a record of another size.
 */
int ipc_receive(int fd, void *record, size_t size, int fds[IPC_MAX_FDS], unsigned *n_fds);

/* The worker's side of the requests. Any thread; calls wait for the reply. */
struct ipc_client;
/* Takes over fd. */
struct ipc_client *ipc_client_new(int fd);
void ipc_client_free(struct ipc_client *c);
/* Returns false if the supervisor has gone. The caller owns fds. */
bool ipc_call(struct ipc_client *c, const struct ipc_request *request, struct ipc_reply *reply,
	int fds[IPC_MAX_FDS], unsigned *n_fds);
/* As ipc_call(), and sends a file, which the caller keeps; -1: none. */
bool ipc_call_with(struct ipc_client *c, const struct ipc_request *request, int file,
	struct ipc_reply *reply, int fds[IPC_MAX_FDS], unsigned *n_fds);
