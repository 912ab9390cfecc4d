/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the front-ends that measure share: a back-end with two split vrings, and failure, which ends
 * the program.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "driver/driver_ring.h"

#define LOAD_SECOND UINT64_C(1000000000)

struct load_front {
	struct vu_front *f;
	struct driver_mem *mem;
	struct driver_ring *ring[2];
	int kick[2], call[2];
	uint64_t kicks;
	pid_t pid; /* of the back-end */
};

/* Connects to a back-end, with those features that it has, and starts rings of this size. */
void load_front_connect(struct load_front *l, const char *socket, uint64_t features, unsigned size,
	uint64_t memory);
/* Publishes what was added to a ring, and kicks if that is wanted. */
void load_front_publish(struct load_front *l, unsigned ring);

/* Ends the program unless all is well. */
void load_must(bool ok, const GError *error);
/* Returns the CPU seconds that a process has taken. */
double load_cpu_of(pid_t pid);
