/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of a disk (--iops-total and others): a request that they do not allow yet is put aside,
 * reads apart from the others, in the order in which they came. All queues share them, and with
 * --limit-group all disks that name the same file, whatever process serves them: it is mapped.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "base/bucket.h"

struct blk;
struct blk_queue;
struct blk_req;

/* What is limited: each of these by a bucket. */
enum blk_limited {
	BLK_IOPS_TOTAL,
	BLK_IOPS_READ,
	BLK_IOPS_WRITE, /* writes, discards, write-zeroes */
	BLK_BPS_TOTAL,
	BLK_BPS_READ,
	BLK_BPS_WRITE, /* writes */
	BLK_LIMITED
};

/* What disks share. All atomic, and of a group as hostile as its worst member. */
struct blk_limit_state {
	uint64_t magic;
	uint64_t burst_us; /* a full bucket holds what so many microseconds bring */
	struct bucket bucket[BLK_LIMITED];
};

struct blk_limits {
	bool any; /* there may be some */
	struct blk_limit_state own, *state; /* that of the group, or &own */
};

/* Their options, for the table, and where these put the values: all in seconds or per second. */
struct blk_limit_options {
	uint64_t rate[BLK_LIMITED];
	double burst_s;
	char *group;
};
extern struct blk_limit_options blk_limit_options;
#define BLK_LIMIT_OPTION(option, unit, limited, what)                                    \
	{                                                                                \
		option, unit, .number64 = &blk_limit_options.rate[limited],              \
			      .max = BUCKET_MAX_RATE, .units = limited >= BLK_BPS_TOTAL, \
			      .help = "The most " what " a second; 0: no limit"          \
	}
#define BLK_LIMIT_OPTIONS                                                                         \
	BLK_LIMIT_OPTION("iops-total", "N", BLK_IOPS_TOTAL, "requests"),                          \
		BLK_LIMIT_OPTION("iops-read", "N", BLK_IOPS_READ, "reads"),                       \
		BLK_LIMIT_OPTION("iops-write", "N", BLK_IOPS_WRITE, "writes and discards"),       \
		BLK_LIMIT_OPTION("bps-total", "BYTES", BLK_BPS_TOTAL, "bytes"),                   \
		BLK_LIMIT_OPTION("bps-read", "BYTES", BLK_BPS_READ, "bytes read"),                \
		BLK_LIMIT_OPTION("bps-write", "BYTES", BLK_BPS_WRITE, "bytes written"),           \
		{ "limit-burst", "SECONDS", .real = &blk_limit_options.burst_s, .initial = "0.1", \
			.help = "What may come at once after a pause: of so many seconds" },      \
	{                                                                                         \
		"limit-group", "FILE",                                                            \
			.path = &blk_limit_options.group,                                         \
			.help = "Share the limits with all disks that name this file"             \
	}

/* Joins the group, sets the limits that the options give. */
bool blk_limit_open(struct blk *b, GError **error);
void blk_limit_close(struct blk *b);
/*
 * Method "set-limits": what is not given stays. While no queue runs; blk_hold_wake() follows. The
 * parameters are as the options, but for the burst in milliseconds.
 */
struct virtio_arg;
struct json;
void blk_limit_set(struct blk *b, const struct virtio_arg *args);
/* Appends all limits to an open object, by the names of the parameters. */
void blk_limit_show(const struct blk *b, struct json *to);
#define BLK_LIMIT_PARAM(name, most)                      \
	{                                                \
		name, VIRTIO_PARAM_NUMBER, 0, most, true \
	}
#define BLK_LIMIT_PARAMS                                        \
	BLK_LIMIT_PARAM("iops-total", BUCKET_MAX_RATE),         \
		BLK_LIMIT_PARAM("iops-read", BUCKET_MAX_RATE),  \
		BLK_LIMIT_PARAM("iops-write", BUCKET_MAX_RATE), \
		BLK_LIMIT_PARAM("bps-total", BUCKET_MAX_RATE),  \
		BLK_LIMIT_PARAM("bps-read", BUCKET_MAX_RATE),   \
		BLK_LIMIT_PARAM("bps-write", BUCKET_MAX_RATE),  \
		BLK_LIMIT_PARAM("limit-burst-ms", BUCKET_MAX_BURST_S * 1000)

/*
 * Returns true if the limits allow a request that reads, or else changes, so many bytes; it counts
 * then. False: it was put aside.
 */
bool blk_limit_pass(struct blk_queue *bq, struct blk_req *r);
/* Returns a request that was put aside and is allowed now, counted; NULL: there is none. */
struct blk_req *blk_limit_next(struct blk_queue *bq);
/* Begins none of it: takes back what was counted for it. */
void blk_limit_undo(struct blk_queue *bq, struct blk_req *r);
/* Likewise, of one that blk_limit_next() returned, which will be the next one again. */
void blk_limit_put_back(struct blk_queue *bq, struct blk_req *r);
