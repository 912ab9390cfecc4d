/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of virtiod-blk share: the disk, its queues, their requests, and the engines, which
 * do the input and output of requests (blk_request.c). Members that several queues use are constant
 * while queues run, or atomic.
 */
#pragma once

#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/device.h"
#include "daemon/devices/blk/blk_bounce.h"
#include "daemon/devices/blk/blk_file.h"
#include "daemon/devices/blk/blk_limit.h"

#define BLK_SECTOR 512u
#define BLK_MAX_QUEUES 64

/* Limits for one request, as the configuration space shows them. */
#define BLK_MAX_DISCARD_SECTORS (1u << 21)
#define BLK_MAX_DISCARD_SEGMENTS 32
/* Less: zeroes may have to be written, which blocks the thread of the queue. */
#define BLK_MAX_ZERO_SECTORS (1u << 17)
#define BLK_MAX_ZERO_SEGMENTS 1

/* Requests that a queue works on at a time. More stay in the ring. */
#define BLK_MAX_REQUESTS 256u
/* With this many operations in flight no request is begun; a request may be several. */
#define BLK_MAX_OPS 256u

/* Other results than 0 and -errno. */
enum {
	BLK_PENDING = 1, /* blk_done(), blk_sync_done() will tell */
	BLK_FULL = 2, /* nothing was begun, and cannot before something has ended */
	BLK_REFUSED = 3, /* the driver must not ask for it, which was logged */
};

/* A stretch of the file, to be discarded or zeroed. */
struct blk_range {
	uint64_t offset, len;
	bool unmap; /* zeroes: the space may be given back to the host */
};

struct blk_req {
	struct vq_chain *c; /* header and status are cut off: only data is left in the cursors */
	uint8_t *status;
	struct blk_req *next; /* free, or waiting */
	uint32_t type;
	bool held; /* it was put into bq->held, and is counted */
	bool unsynced; /* done, but for a sync */
	uint8_t stage; /* the engine's */
	uint64_t sector;
	uint64_t start, offset; /* in the file: where it begins, and what is left of the data */
	struct blk_range range; /* zeroes: what is left; the engine may update it */

	/* The engine's. */
	void *bounce; /* NULL: none */
	int result; /* 0 or -errno */
	unsigned ops; /* in flight */
};

struct blk_requests {
	struct blk_req *first, **last;
	unsigned n;
};

/* Appends it. */
static inline void blk_requests_add(struct blk_requests *list, struct blk_req *r)
{
	if (!list->first)
		list->last = &list->first;
	r->next = NULL;
	*list->last = r;
	list->last = &r->next;
	list->n++;
}

/* Takes the first one off; NULL: there is none. */
static inline struct blk_req *blk_requests_take(struct blk_requests *list)
{
	struct blk_req *r = list->first;

	if (r) {
		list->first = r->next;
		list->n--;
	}
	return r;
}

/* What happens to a request that the host failed to carry out: the words of --werror, --rerror. */
enum blk_policy {
	BLK_REPORT, /* it fails */
	BLK_STOP, /* it is held until it succeeds */
	BLK_ENOSPC, /* held if there is no space, else it fails */
};

/* Used by one thread while its queue runs. */
struct blk_queue {
	struct blk *blk;
	struct vq *q;
	const struct blk_engine *engine;
	void *engine_data;
	int fd; /* O_DIRECT if blk->file.direct */
	bool can_pin; /* vq_can_pin() */
	bool begun; /* the queue has run before */
	bool stopping; /* no request comes any more until it is started again */
	bool no_nowait[2]; /* RWF_NOWAIT is of no use for reading; writing */
	unsigned ops; /* in the kernel's hands */

	struct blk_req *requests; /* BLK_MAX_REQUESTS */
	struct blk_req *free;
	unsigned used; /* requests not free */
	unsigned made; /* of requests: those above were never used */
	struct blk_requests
		unsynced; /* done, but complete only after a sync that is yet to begin */
	struct blk_requests syncing; /* complete when the sync in flight ends */
	struct blk_requests limited[2]; /* reads, others: for the limits to allow them */
	struct blk_requests held; /* for the cause of an error to go; tried again */
	struct virtio_timer limit_timer, retry_timer;
	struct virtio_wakeup wakeup; /* limits have changed, and held requests are to be tried */
	struct blk_bounce bounce;
	struct log_limit limit;
	struct virtio_watch events; /* the io_uring engines' */
};

struct blk {
	struct virtio_device *d;
	struct blk_file file;
	const struct blk_engine *engine;
	uint64_t sectors; /* capacity */
	uint32_t block_size;
	bool wce; /* atomic */
	bool warns_of_format; /* the next start may refuse what the guest writes */
	int sync_error; /* atomic: the first failed sync's -errno; 0: none failed */
	bool wrote_cached; /* atomic: some of what was written went through the page cache */
	struct blk_limits limits;
	enum blk_policy policy[2]; /* on errors of reads; of writes */
	char serial[VIRTIO_BLK_ID_BYTES]; /* padded with NUL, which may be missing */
	void *map; /* the mmap engine's; NULL: nothing is mapped */
	uint64_t map_size;
	unsigned num_queues;
	struct blk_queue *queue[BLK_MAX_QUEUES];
};

struct blk_engine {
	const char *name;
	/* The file's size is known, or has changed: no queue runs. NULL: does not matter. */
	bool (*resize)(struct blk *b, GError **error);
	void (*close)(struct blk *b);

	/* The control thread, before and after all: NULL: nothing to do. */
	bool (*queue_open)(struct blk_queue *bq, GError **error);
	void (*queue_close)(struct blk_queue *bq);
	/* The owner: the queue begins to run. */
	void (*queue_start)(struct blk_queue *bq);

	/*
	 * 0 or -errno: done, or failed. BLK_PENDING: blk_done(), or blk_sync_done(), comes from
	 * within reap or flush. transfer: all that the request's cursor has left; BLK_FULL is
	 * possible.
	 */
	int (*transfer)(struct blk_queue *bq, struct blk_req *r);
	int (*discard)(
		struct blk_queue *bq, struct blk_req *r, const struct blk_range *range, unsigned n);
	int (*write_zeroes)(struct blk_queue *bq, struct blk_req *r, const struct blk_range *range);
	/* Makes all writes stable that have ended. */
	int (*sync)(struct blk_queue *bq);

	/* NULL in engines that never return BLK_PENDING. */
	/* Gives to the kernel what is pending; true if something ended. */
	bool (*flush)(struct blk_queue *bq);
	/* Fetches what has ended in the kernel; true if there was any. */
	bool (*reap)(struct blk_queue *bq);
};

extern const struct blk_engine blk_engine_sync;
extern const struct blk_engine blk_engine_uring; /* all by io_uring */
extern const struct blk_engine blk_engine_nowait; /* what the page cache has at once, else that */
extern const struct blk_engine blk_engine_mmap;

/* The words of --engine. */
enum blk_engine_option { BLK_AUTO, BLK_SYNC, BLK_URING, BLK_MMAP };
/* Sets b->engine, by what the file is if not told, and opens the queues. False: nothing is open. */
bool blk_engine_open(struct blk *b, enum blk_engine_option option, GError **error);
void blk_engine_close(struct blk *b);

static inline bool blk_is_write(const struct blk_req *r)
{
	return r->type == VIRTIO_BLK_T_OUT;
}

/* Returns the data of a read or write. */
static inline struct iov_cursor *blk_data(struct blk_req *r)
{
	return blk_is_write(r) ? &r->c->out : &r->c->in;
}
