/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dispatches accesses of vCPUs to devices by address. Filled before the vCPUs run, then read-only,
 * so look-ups take no lock. Two address spaces: memory, and the I/O ports of x86.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum bus_space { BUS_MMIO, BUS_PORT };

/*
 * Performs one access of a vCPU, at this offset in the range; returns true when it is complete.
 * False: the device completes it later, from any thread, by bus_access_complete(token, value); the
 * vCPU thread waits until then.
 */
typedef bool (*bus_access_fn)(
	void *opaque, uint64_t offset, unsigned size, bool write, uint64_t *value, void *token);

typedef struct bus bus; /* for g_autoptr */

struct bus *bus_new(void);
void bus_free(struct bus *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(bus, bus_free)
/* Adds a range; ranges do not overlap. */
void bus_add(struct bus *b, enum bus_space space, uint64_t base, uint64_t size,
	bus_access_fn access, void *opaque);

/* What a vCPU waits on; one for each vCPU. */
struct bus_wait;
struct bus_wait *bus_wait_new(void);
void bus_wait_free(struct bus_wait *w);
/*
 * Performs an access of one vCPU, on its thread, and waits until it is complete. An address without
 * a device reads as all ones and ignores writes. Returns false after bus_wait_cancel(): the device
 * may still complete the access, so w must outlive the devices.
 */
bool bus_access(struct bus *b, struct bus_wait *w, enum bus_space space, uint64_t addr,
	unsigned size, bool write, uint64_t *value);
/* Completes the access of this token. Any thread. */
void bus_access_complete(void *token, uint64_t value);
/* Ends the current wait, or the next one. Any thread. */
void bus_wait_cancel(struct bus_wait *w);
/* Makes a cancelled bus_wait usable again; false while an access on it is not complete. */
bool bus_wait_reuse(struct bus_wait *w);
