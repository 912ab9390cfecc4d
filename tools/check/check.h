/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtioctl check: plays a front-end against a back-end, case by case. A case is a row of a table:
 *
 *	survey.c	what the back-end offers, asked once
 *	case_*.c	the cases, a file for each subject
 *	run.c		one case after the other: may it run? does the back-end live on?
 *	wire.c		messages, well-formed and not, and the record of them
 *	session.c	the steps of a session: features, memory, vrings
 *	data.c		requests that every device of a known type completes
 *	report_*.c	the results as TAP, JSON and JUnit
 *
 * A case fails only for what the specification that it cites demands. It is written straight down:
 * after the first failure of a case all its later steps do nothing and return 0.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "driver/driver_mem.h"
#include "driver/driver_ring.h"
#include "vhost-user/wire/vu_msg.h"

struct check;

/* What a case needs beyond feature bits. */
enum check_need {
	CHECK_DATA = 1 << 0, /* a device whose requests are known: data.c */
	CHECK_WRITE = 1 << 1, /* --write: the device's contents may change */
	CHECK_CONFIG = 1 << 2, /* a configuration space of known size */
	CHECK_HOSTILE = 1 << 3, /* --hostile: it sends what no front-end should send */
};

struct check_case {
	const char *name;
	const char *section; /* of the specification that demands it */
	void (*run)(struct check *k);
	uint64_t features, protocol; /* bits that the back-end must offer */
	uint32_t device; /* the virtio device ID that the case is about; 0: any */
	unsigned needs; /* enum check_need */
	unsigned queues; /* virtqueues that it must have; 0: any */
	/* Parameters of run: */
	uint32_t request; /* the message it is about; needs what its shape needs */
	uint64_t arg;
	const void *data;
};

/* The cases of one subject; the last row has no name. */
extern const struct check_case *const check_subjects[]; /* NULL-terminated */

#define VRING_FEATURES(bits) .features = (bits), .needs = CHECK_DATA

/* A request that every device of a type completes without lasting effect. */
struct check_device {
	uint32_t id;
	unsigned queue; /* where requests go */
	unsigned queues; /* virtqueues that are set up for it */
	uint16_t out_len; /* bytes that the device reads; 0: no such buffer */
	uint16_t in_len[2]; /* bytes of buffers that it writes; 0: none */
	void (*fill)(uint8_t *out);
	/* NULL, or what is wrong with a completed request; len is the used length. */
	const char *(*verify)(const uint8_t *in, uint32_t len);
};

/* NULL: requests of this type are not known. */
const struct check_device *check_device(uint32_t id);

struct check_options {
	const char *socket;
	const char *start; /* shell command that starts the back-end if none listens; NULL */
	char *const *patterns; /* --case; NULL: all */
	bool hostile, write;
	bool frontend; /* the socket is where a front-end connects */
	uint64_t floor_us; /* the shortest time-out */
	const char *repeat; /* the command line but for the case and the socket */
	const char *quoted_socket;
};

/* What the back-end offers. */
struct check_peer {
	uint64_t features, protocol;
	unsigned queues;
	uint32_t device; /* 0: not known */
	int64_t config_size; /* -1: not known */
	const struct check_device *data;
	uint64_t reply_us; /* what a simple request takes */
};

#define CHECK_MAX_QUEUES 4 /* that one case sets up */

/* A vring and the driver's side of it. */
struct check_queue {
	unsigned index;
	struct driver_ring *ring;
	int kick, call, err; /* eventfds; -1 */
	uint64_t buffers; /* guest address of a slot for each descriptor */
	unsigned size;
	unsigned added, done; /* requests */
	bool *out; /* by slot */
	bool polls; /* calls are not expected */
};

struct check {
	const struct check_options *options;
	struct check_peer peer;
	const struct check_case *c;
	/* The verdict: the first of these counts. */
	char *failure, *skip;
	bool dead; /* nothing listens any more */
	bool after; /* the case is over: does the back-end live on? */
	GString *record; /* of messages, as text */
	GPid child; /* of --start; 0 */
	char *child_end; /* how it ended, if not by exit status 0 */
	/* The connection. */
	int sock;
	uint64_t acked; /* protocol features of this connection */
	uint64_t features; /* of SET_FEATURES */
	struct vu_msg msg; /* the last one received */
	struct vu_reader reader;
	/* Shared with the back-end. */
	struct driver_mem *mem;
	struct check_queue queue[CHECK_MAX_QUEUES];
	unsigned n_queues;
	int channel; /* our end of the back-end channel; -1 */
};

/* The verdict. */
void check_fail(struct check *k, const char *format, ...) G_GNUC_PRINTF(2, 3);
void check_skip(struct check *k, const char *format, ...) G_GNUC_PRINTF(2, 3);
static inline bool check_over(const struct check *k)
{
	return k->failure || k->skip;
}
/* Fails, unless actual is what it should be; what names the value. */
void check_equal(struct check *k, const char *what, uint64_t actual, uint64_t expected);
void check_that(struct check *k, bool holds, const char *what);

/* run.c */
enum check_result {
	CHECK_PASSED,
	CHECK_FAILED,
	CHECK_SKIPPED,
};
/* Runs one case, and sees whether the back-end lives on. */
enum check_result check_run_case(struct check *k, const struct check_case *c);
/* Returns whether the case was asked for. */
bool check_is_selected(const struct check_options *o, const struct check_case *c);
/* Returns the protocol features that the case and its message need. */
uint64_t check_case_protocol(const struct check_case *c);
/* Asks what the back-end offers; false: there is none, or it does not answer. */
bool check_survey(struct check *k);

/* process.c: a back-end that is started when none listens. */

/* Starts it unless it runs; false: there is no --start, or it cannot be started. */
bool check_process_start(struct check *k);
/* Returns whether it has ended; notes how. */
bool check_process_ended(struct check *k, uint64_t wait_us);
void check_process_stop(struct check *k);
