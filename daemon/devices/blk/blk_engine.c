/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Selects the engine and opens the queues.
 *
 * The file decides. In tmpfs plain reads and writes never wait. On other file systems RWF_NOWAIT
 * transfers what is in the page cache, if they support it; everything else takes as long as the
 * disk and goes through io_uring.
 */
#include "daemon/devices/blk/blk_engine.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#include "base/util.h"

static const struct blk_engine *const engines[] = {
	[BLK_SYNC] = &blk_engine_sync,
	[BLK_URING] = &blk_engine_uring,
	[BLK_MMAP] = &blk_engine_mmap,
};

static bool is_memory(uint32_t fs_type)
{
	return fs_type == TMPFS_MAGIC || fs_type == RAMFS_MAGIC || fs_type == HUGETLBFS_MAGIC;
}

static const struct blk_engine *choose(const struct blk *b)
{
	struct statfs fs;

	if (b->file.direct || b->file.is_device)
		return &blk_engine_uring;
	if (fstatfs(b->file.fd, &fs) == 0 && is_memory(fs.f_type))
		return &blk_engine_sync;
	return &blk_engine_nowait;
}

static void close_queue(struct blk_queue *bq)
{
	if (bq->engine && bq->engine->queue_close)
		bq->engine->queue_close(bq);
	blk_bounce_close(&bq->bounce);
	fd_close(&bq->fd);
	g_free(bq->requests);
	g_aligned_free(bq);
}

static void close_queues(struct blk *b)
{
	for (unsigned i = 0; i < b->num_queues; i++)
		g_clear_pointer(&b->queue[i], close_queue);
}

static bool open_queue(struct blk *b, unsigned i, GError **error)
{
	/* Queues of different threads share no cache line. */
	struct blk_queue *bq = b->queue[i] = g_aligned_alloc0(1, sizeof(*bq), 128);

	bq->blk = b;
	bq->requests = g_new(struct blk_req, BLK_MAX_REQUESTS);
	bq->fd = blk_file_open_queue(&b->file, error);
	if (bq->fd < 0)
		return false;
	if (b->engine->queue_open && !b->engine->queue_open(bq, error))
		return false;
	bq->engine = b->engine;
	return true;
}

static bool open_queues(struct blk *b, GError **error)
{
	bool ok = true;

	for (unsigned i = 0; i < b->num_queues && ok; i++)
		ok = open_queue(b, i, error);
	if (!ok)
		close_queues(b);
	return ok;
}

bool blk_engine_open(struct blk *b, enum blk_engine_option option, GError **error)
{
	bool chosen = option == BLK_AUTO;
	g_autoptr(GError) failed = NULL;

	b->engine = chosen ? choose(b) : engines[option];
	if (b->file.direct && b->engine == &blk_engine_mmap) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			"--engine=mmap and --direct exclude each other");
		return false;
	}
	if (b->engine->resize && !b->engine->resize(b, error))
		return false;
	if (!open_queues(b, &failed)) {
		if (!chosen || !b->engine->reap) {
			g_propagate_error(error, g_steal_pointer(&failed));
			return false;
		}
		log_info(b->file.path, "%s: requests are done one by one", failed->message);
		b->engine = &blk_engine_sync;
		if (!open_queues(b, error))
			return false;
	}
	log_debug(b->file.path, "is served by the engine '%s'", b->engine->name);
	return true;
}

void blk_engine_close(struct blk *b)
{
	close_queues(b);
	if (b->engine && b->engine->close)
		b->engine->close(b);
	b->engine = NULL;
}
