/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which device of the machine an address belongs to. Filled before the vCPUs run, read-only from
 * then on: look-ups take no lock. Two address spaces: memory, and the ports of x86.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum bus_space { BUS_MMIO, BUS_PORT };

/*
 * One access of a vCPU; returns true when it is complete. False: later, from any thread, by
 * bus_access_complete(token, value); the vCPU thread waits. offset is from the range's start.
 */
typedef bool (*bus_access_fn)(
	void *opaque, uint64_t offset, unsigned size, bool write, uint64_t *value, void *token);

typedef struct bus bus; /* for g_autoptr */

struct bus *bus_new(void);
void bus_free(struct bus *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(bus, bus_free)
/* Ranges do not overlap: layout.h says where they are. */
void bus_add(struct bus *b, enum bus_space space, uint64_t base, uint64_t size,
	bus_access_fn access, void *opaque);

/* A vCPU's place to wait at; one each. */
struct bus_wait;
struct bus_wait *bus_wait_new(void);
void bus_wait_free(struct bus_wait *w);
/*
 * The access of one vCPU, from its thread: waits until it is complete. An address of nobody reads
 * as all ones and swallows writes. False: the machine is going down (bus_wait_cancel()); the
 * access may complete behind our back, so w must live until its devices are gone.
 */
bool bus_access(struct bus *b, struct bus_wait *w, enum bus_space space, uint64_t addr,
	unsigned size, bool write, uint64_t *value);
/* Completes the access that token stands for. Any thread. */
void bus_access_complete(void *token, uint64_t value);
/* Ends a wait, now or as soon as it begins. Any thread. */
void bus_wait_cancel(struct bus_wait *w);
/* For another vCPU, once the cancelled one is gone; false: an access of that one is still out. */
bool bus_wait_reuse(struct bus_wait *w);
