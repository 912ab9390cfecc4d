/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How devices other than disks are measured: a request that each of a type completes at once, and
 * that means the same however often it is made. One row a type.
 */
#pragma once

#include <stdint.h>

struct bench_trip {
	uint32_t id;
	const char *what; /* "a line of text" */
	unsigned queue; /* where requests go */
	unsigned queues; /* virtqueues that are set up for it */
	uint64_t features; /* the device's own that a driver must accept */
	uint16_t out_len; /* bytes that the device reads; 0: no such buffer */
	uint16_t in_len[2]; /* bytes of buffers that it writes, which follow each other; 0: none */
	void (*fill)(uint8_t *out);
	/* NULL, or what is wrong with a completed request; len is the used length. */
	const char *(*verify)(const uint8_t *in, uint32_t len);
	/* --echo: where as many bytes come back, in buffers of this size; 0: they do not. */
	unsigned answer_queue;
	uint16_t answer_len;
};

/* NULL: requests of this type are not known. */
const struct bench_trip *bench_trip(uint32_t id);
