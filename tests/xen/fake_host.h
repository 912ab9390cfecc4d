/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's side of Xen, in place of xen/evtchn.c, privcmd.c and foreign.c: the ioreq
 * page is shared memory, event channels are a socket with port numbers on it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "xen/hypervisor/ioreq_page.h"

#define FAKE_IRQS 64

struct fake_host {
	struct ioreq_slot page[2][128] __attribute__((aligned(4096))); /* by server */
	uint32_t irqs[FAKE_IRQS]; /* how often each was raised */
	uint32_t unmasked; /* how often a port was */
	uint32_t restricted; /* how many handles */
	bool no_memory; /* a worker can receive nothing (atomic) */
	uint32_t unreceived; /* how often it tried then (atomic) */
};

/* Shared with workers in other processes: in a file. */
extern struct fake_host *fake_host;
bool fake_host_map(int fd);
