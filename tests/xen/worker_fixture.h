/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker in a process of its own, between a supervisor, a guest and its back-ends, which are all
 * in the test. Failures fail the calling test.
 */
#pragma once

#include "tests/lib/test.h"

#include "base/xen_abi.h"
#include "fake_host.h"
#include "tests/lib/fake_backend.h"
#include "vmm/vmm_dev.h"
#include "xen/ipc.h"

#define DOMID 5
#define VCPUS 2
#define PORT 100
#define BASE UINT64_C(0x2000000)
#define WINDOW 0x200
#define RAM UINT64_C(0x40000000)
#define RAM_SIZE 0x8000000
#define GRANTS XEN_GRANT_BIT
#define DEVICES 2

/* What a broker holds of a device. */
struct kept_device {
	struct fake_backend *peer;
	const char *path;
	int state, socket, channel, area;
	int eventfd[FAKE_QUEUES][2];
	bool kernel; /* the kernel takes eventfds */
	unsigned assigned[2]; /* by enum ipc_eventfd: a bit for each queue */
	uint32_t device_id; /* the rule's */
};

struct worker_test {
	struct test test;
	int host; /* fake_host's memory */
	struct kept_device device[DEVICES];
	int events[2]; /* the test's end, the worker's */
	int journal, privcmd;
	int log; /* the lines of all its workers */
	pid_t pid;
	bool faulty; /* it may end, and lose commands; its devices may need a reset */
	int commands, requests; /* the test's ends */
	int stop;
	pthread_t supervisor;
	pthread_mutex_t lock; /* of device[], but for peer */
};

int worker_setup(void **state);
int worker_teardown(void **state);
/* For main(): the exit status if this process is a worker, else -1. */
int worker_if_asked(int argc, char **argv);

/* --- the supervisor --- */

/* Starts it, and sends GUEST. */
void worker_start(struct worker_test *w);
/* Returns the wait status of one that has ended, or will by itself. */
int worker_wait_end(struct worker_test *w);
void worker_kill(struct worker_test *w);
void worker_quit(struct worker_test *w);
void worker_command(
	struct worker_test *w, const struct ipc_command *c, const int *fds, unsigned n_fds);
void worker_add(
	struct worker_test *w, unsigned i, bool grants, unsigned wait_ms, uint32_t device_id);
/* Waits for its next event. */
struct ipc_event worker_event(struct worker_test *w);
/* Returns whether a line of a worker (among the first 16 KiB) contains these words. */
bool worker_logged(struct worker_test *w, const char *words);
unsigned worker_assigned(struct worker_test *w, unsigned device, enum ipc_eventfd which);

/* --- the back-end --- */

/* A region that it was sent; how many; how often it was sent a table. */
struct mem_region_desc worker_region(struct worker_test *w, unsigned device, unsigned i);
unsigned worker_regions(struct worker_test *w, unsigned device);
unsigned worker_tables(struct worker_test *w, unsigned device);

/* --- the guest and Xen; vCPUs from VCPUS on are those of the second server --- */

void guest_post_type(struct worker_test *w, unsigned vcpu, uint8_t type, uint64_t addr,
	uint32_t size, bool write, uint64_t data);
void guest_post(struct worker_test *w, unsigned vcpu, uint64_t addr, uint32_t size, bool write,
	uint64_t data);
/* Waits for the answer, as Xen does. */
uint64_t guest_wait(struct worker_test *w, unsigned vcpu);
uint32_t guest_read(struct worker_test *w, unsigned device, uint64_t offset);
void guest_write(struct worker_test *w, unsigned device, uint64_t offset, uint32_t value);
/* Sets the device up with one queue, whose ring is there. features: those from bit 32 on. */
void guest_drive(struct worker_test *w, unsigned device, uint64_t ring, uint32_t features);
/* How often the device's interrupt was raised. */
unsigned guest_irqs(unsigned device);
