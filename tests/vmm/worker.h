/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest whose device lives in a process of its own, which may be killed at any time. Here is what
 * stays: guest memory, the vCPUs' requests, the eventfds, the connection, the device's state.
 */
#pragma once

#include <sys/types.h>

#include "guest.h"

#define WORKER_VCPUS 2
#define FEATURES (VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_F_RING_RESET) | 4)

enum worker_request_state {
	REQUEST_NONE,
	REQUEST_READY,
	REQUEST_IN_PROCESS,
	REQUEST_ANSWERED,
};

struct worker_request {
	uint32_t state, size, write;
	uint64_t off, value;
};

/* Shared with the process. */
struct worker_shared {
	struct worker_request request[WORKER_VCPUS];
	uint32_t rises;
	uint32_t kernel; /* takes irqfds and ioeventfds */
	uint64_t vmm[]; /* vmm_dev_config.state */
};

/* The process's fds, in the order of its command line. */
struct worker_fds {
	int service, request, answer, irq, alive, memory, shared;
	int kick[FAKE_QUEUES], call[FAKE_QUEUES];
};
#define WORKER_FDS (sizeof(struct worker_fds) / sizeof(int))

/* What the process asks of the connection or the kept file, and the answer; with fds. */
struct worker_order {
	uint32_t keep; /* the file; otherwise the connection */
	uint32_t fresh, kept;
	int32_t err;
};

struct worker {
	struct guest *g;
	struct worker_shared *shared;
	int memfd; /* that */
	int request, answer, irq, alive; /* eventfds */
	int kick[FAKE_QUEUES], call[FAKE_QUEUES];

	/* The connection, which is not the process's alone. */
	pthread_mutex_t lock;
	int fd, channel;
	int area; /* nor is this file; -1 */
	/* How often it was dialled, and handed over: worker_count(). */
	unsigned fresh, kept;

	const char *fatal; /* where it dies next */
	unsigned answers; /* to accesses that were waited for */
	pid_t pid; /* 0: none */
	int service; /* a socket: the process asks for the connection */
	pthread_t thread;
};

/*
 * As guest_setup(), and the worker; it is w in *state. To the back-end, every kick is one request,
 * unless a test says otherwise.
 */
int worker_setup(void **state);
int worker_teardown(void **state);

/* The process: main() of a test calls this first; it returns if this is not it. */
void worker_main(int argc, char **argv);
/* Returns when it is about to make the device. */
void worker_start(struct worker *w);
unsigned worker_count(struct worker *w, const unsigned *count);
void worker_kill(struct worker *w);
/*
 * It dies, once, over the request that the trace calls so, and has a successor. The second: it has.
 */
void worker_die_at(struct worker *w, const char *request);
void worker_assert_died(struct worker *w);
size_t worker_shared_size(void);

/* A vCPU's access: begun; is it complete?; waited for; all in one. */
void worker_begin(
	struct worker *w, unsigned vcpu, uint64_t off, unsigned size, bool write, uint64_t value);
bool worker_is_done(struct worker *w, unsigned vcpu);
uint64_t worker_wait(struct worker *w, unsigned vcpu);
uint64_t worker_rd(struct worker *w, uint64_t off, unsigned size);
void worker_wr(struct worker *w, uint64_t off, unsigned size, uint64_t value);
/* Called in all waits; NULL: none. Returns after how many ms to call it again; -1: never. */
extern int (*worker_pump)(struct worker *w);
/* Waits until fd is readable, and reads it. */
void worker_wait_fd(struct worker *w, int fd);

/* The driver's side of what guest.h has, here. */
void worker_queue(struct worker *w, unsigned queue, uint32_t size);
void worker_driver_ok(struct worker *w, uint64_t features);
/* The process and the driver start. Returns when both rings were kicked; the trace is empty. */
void worker_boot(struct worker *w);
/* Neither the back-end nor the driver sees anything of the deaths. */
void worker_assert_one_connection(struct worker *w);
void worker_assert_registers(struct worker *w);
/* Waits until the back-end's trace has this. */
void worker_wait_trace(struct worker *w, const char *word);
