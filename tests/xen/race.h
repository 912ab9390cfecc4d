/* SPDX-License-Identifier: Apache-2.0 */
/* The ioreq page between the vCPUs and the kernel on one side, and servers on the other. */
#pragma once

#include "tests/lib/test.h"

#include "xen/hypervisor/ioreq_page.h"
#include "xen/worker/ioreq.h"

#define VCPUS 4
#define BASE UINT64_C(0x2000000)
#define KERNEL_QUEUE 1

/* Shared with servers in other processes. */
struct race_shared {
	struct ioreq_slot page[IPC_MAX_VCPUS] __attribute__((aligned(4096)));
	struct ipc_journal journal;
	uint64_t done[VCPUS]; /* the number of the request that the device saw last */
	uint32_t kernel_took, kernel_left; /* what is the kernel's, answered by it or by us */
};

struct race_test {
	struct test test;
	int memory; /* of s */
	struct race_shared *s;
	int event[VCPUS], notify[VCPUS]; /* the two ends of each port */
	int stop;
	bool kernel; /* it has one queue */
	unsigned requests;
	struct ioreq *q;
	/* Answers to come from the other thread. */
	pthread_mutex_t lock;
	struct {
		void *token;
		uint64_t value;
	} later[VCPUS];
	unsigned n_later;
	int answers; /* eventfd: there are some; -1: no such thread */
	/* The ports; under their locks. */
	struct {
		pthread_mutex_t lock;
		bool masked, pending;
	} port[VCPUS];
};

struct guest_cpu {
	struct race_test *w;
	unsigned vcpu;
	const char *wrong;
};

/* The port gets an event, or loses its mask. */
void race_port_change(struct race_test *w, unsigned vcpu, bool event);
void race_start_guest(struct race_test *w, struct guest_cpu cpu[VCPUS], pthread_t thread[VCPUS]);
/* Waits for its end; fails if anything went wrong on one of the vCPUs. */
void race_join_guest(struct guest_cpu cpu[VCPUS], pthread_t thread[VCPUS]);
