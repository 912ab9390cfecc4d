/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Xen's libraries, as far as xen/ uses them, in memory. Each call is counted; the one named by
 * fail fails, with fail_errno; what was opened or mapped and is not closed is in live.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_DOMID 7

struct fake_libxen {
	const char *fail; /* this function's calls fail; NULL: none's */
	int fail_errno;
	unsigned fail_times; /* so many calls, then none; 0: all */
	int live;
	/* What the last calls were told. */
	uint64_t start, end; /* a range */
	uint32_t domid, server, port, state;
	unsigned calls; /* that could have failed */

	/* Event channels. */
	int fd; /* of the handle */
	uint32_t pending[4];
	unsigned n_pending;

	/* Foreign memory: this much RAM from the beginnings of the banks, and a hole in it. */
	uint64_t ram[2], hole, hole_size;
	void *wanted; /* where the page was to be */
	bool elsewhere; /* it is not put there */

	/* xenstore: one node. */
	const char *path;
	char value[64];
	unsigned value_len;
	const char *unwatched; /* the last one */
	const char *events[4]; /* to come; NULL-terminated */
	unsigned event;
	const char *names[3];
	unsigned n_names;
	bool removed_meanwhile; /* between the read and the write of a transaction */
	unsigned conflicts; /* so many transactions end with EAGAIN */
	unsigned transactions, aborted;
};

extern struct fake_libxen fake;

void fake_libxen_start(void);
