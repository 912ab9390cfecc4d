/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether requests come so densely that a worker which has served all of them should rather nap
 * than look for the next one: a batch of them is there afterwards, for a small part of the CPU
 * time, and the driver need not kick. For devices whose requests nobody waits for (a network's
 * frames). Plain arithmetic on nanoseconds, with no clock of its own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct pace {
	uint64_t since, popped; /* the last look, and what had been popped by then */
	uint32_t nap;
};

/*
 * The worker has nothing to do: returns how long to nap, or 0. popped: requests so far; room:
 * descriptors of the smallest vring, of which those that come during a nap take a part only, even
 * if it is much longer than asked for, as it may be where CPUs are virtual.
 */
uint32_t pace_nap(struct pace *p, uint64_t now, uint64_t popped, unsigned room);
