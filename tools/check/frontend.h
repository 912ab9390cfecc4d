/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtioctl check --frontend: plays a back-end, and holds what a front-end sends against rules. A
 * rule is a row of a table (rules.c); it is asked about every message. Vrings are not processed.
 */
#pragma once

#include "tools/check/report.h"
#include "tools/connect.h"

#define FRONTEND_QUEUES 8 /* that are offered */

/* What the front-end has told so far. */
struct frontend {
	uint64_t offered, offered_protocol; /* by us */
	uint64_t features, protocol; /* accepted */
	bool has_features, asked_features, asked_protocol, has_owner;
	struct mem_region_desc region[VU_MAX_REGIONS];
	unsigned n_regions;
	struct frontend_ring {
		uint32_t num;
		struct vu_vring_addr addr;
		bool has_num, has_base, has_addr, runs; /* runs: from SET_VRING_KICK on */
	} ring[FRONTEND_QUEUES];
	uint64_t status;
};

struct frontend_rule {
	struct check_case c; /* name and section */
	/* Does the rule say something about the message? */
	bool (*applies)(const struct frontend *f, const struct vu_msg *msg);
	/* What breaks it; NULL: nothing. f is as it was before the message. */
	const char *(*breaks)(const struct frontend *f, const struct vu_msg *msg);
};

/* The rule that the stream itself breaks. */
#define FRONTEND_FRAMING 0
extern const struct frontend_rule frontend_rules[];
extern const unsigned frontend_n_rules;

/* Listens at the socket until a front-end has come and gone; returns the exit status. */
int frontend_run(const struct check_options *o, const struct connect_options *connect,
	const struct check_format *format);
