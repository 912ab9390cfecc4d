/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Xen, its kernel interfaces and back-ends, in place of xen/devmodel.c, evtchn.c, foreign.c,
 * privcmd.c and backend_process.c: they count what is there.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define FAKE_VCPUS 2
#define FAKE_KICKS 1 /* the id of the kicks' server; the registers' is 0 */
#define FAKE_PORT 100 /* ours for the guest's port 1, and so on */

extern struct fake_xen {
	/* What there is now. */
	unsigned handles, servers, ranges, ports;
	unsigned irqfds, ioeventfds, backends;
	uint64_t base[32]; /* of the ranges */
	unsigned kick_servers, kick_ranges;
	bool misused; /* an order that Xen or the kernel would not like */
	/* What there was. */
	unsigned assigns, connects;
	/* What shall be. */
	int assign_errno; /* of irqfd and ioeventfd; 0: they work */
	bool backwards; /* servers have falling ids */
	bool unreachable; /* no back-end answers */
	uint32_t rule_device_id;
	int fail_in; /* the n-th call from now on that can fail does; 0: none */
	/* The back-ends' ends of all connections so far. */
	int peer[64];
	unsigned n_peers;
} fake_xen;

void fake_xen_reset(void);
/* Nothing is there. */
bool fake_xen_is_empty(void);
