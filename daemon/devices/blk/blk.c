/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk (virtio 1.2 §5.2) on a raw file or a block device of the host: options, configuration
 * space, capacity. The requests are in blk_request.c, the image in blk_file.c.
 */
#include "daemon/device.h"

#include <inttypes.h>
#include <linux/fs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>

#include "base/option.h"
#include "daemon/devices/blk/blk_hold.h"
#include "daemon/devices/blk/blk_limit.h"
#include "daemon/devices/blk/blk_request.h"
#include "daemon/devices/blk/blk_serve.h"
#include "daemon/uring.h"

#define MAX_BLOCK_SIZE 65536
/* Header and status are a segment each, too: fits the usual queue size of 128. */
#define SEG_MAX 126
#define SEG_SIZE_MAX (4u << 20)

static const char *const format_words[] = { "auto", "raw", NULL };
enum { FORMAT_AUTO, FORMAT_RAW };
static const char *const engine_words[] = {
	[BLK_AUTO] = "auto",
	[BLK_SYNC] = "sync",
	[BLK_URING] = "uring",
	[BLK_MMAP] = "mmap",
	NULL,
};

static const char *const werror_words[] = {
	[BLK_REPORT] = "report",
	[BLK_STOP] = "stop",
	[BLK_ENOSPC] = "enospc",
	NULL,
};
static const char *const rerror_words[] = { [BLK_REPORT] = "report", [BLK_STOP] = "stop", NULL };

#define F(bit) (1ull << VIRTIO_BLK_F_##bit)

static struct {
	char *file, *serial;
	bool read_only, direct, force, incoming;
	unsigned num_queues, block_size, format, engine, werror, rerror;
} options;

static struct virtio_blk_config *blk_config(struct virtio_device *d)
{
	return (struct virtio_blk_config *)d->config;
}

/* Counts whole blocks: a driver that uses the block size could not reach a part of one. */
static void blk_update_sectors(struct blk *b)
{
	uint64_t blocks = b->file.size / b->block_size;

	if (!blocks)
		log_warning(NULL,
			"'%s' is smaller than a block of %" PRIu32 " bytes: the disk is empty",
			b->file.path, b->block_size);
	else if (b->file.size % b->block_size)
		log_warning(NULL,
			"the size of '%s' is not a multiple of %" PRIu32 ": the last %" PRIu64
			" bytes are left out",
			b->file.path, b->block_size, b->file.size % b->block_size);
	b->sectors = blocks * (b->block_size / BLK_SECTOR);
}

static void blk_fill_config(struct virtio_device *d)
{
	struct virtio_blk_config *config = blk_config(d);
	const struct blk *b = d->data;
	uint32_t block = b->block_size;
	uint32_t physical = MAX(b->file.physical_block, block);

	config->capacity = htole64(b->sectors);
	config->size_max = htole32(SEG_SIZE_MAX);
	config->seg_max = htole32(SEG_MAX);
	config->blk_size = htole32(block);
	config->physical_block_exp = __builtin_ctz(physical / block);
	config->min_io_size = htole16(MIN(b->file.min_io / block, UINT16_MAX));
	config->opt_io_size = htole32(b->file.opt_io / block);
	config->wce = 1;
	config->num_queues = htole16(d->num_queues);
	config->max_discard_sectors = htole32(BLK_MAX_DISCARD_SECTORS);
	config->max_discard_seg = htole32(BLK_MAX_DISCARD_SEGMENTS);
	config->discard_sector_alignment = htole32(physical / BLK_SECTOR);
	config->max_write_zeroes_sectors = htole32(BLK_MAX_ZERO_SECTORS);
	config->max_write_zeroes_seg = htole32(BLK_MAX_ZERO_SEGMENTS);
	config->write_zeroes_may_unmap = 1;
}

static bool blk_check_options(GError **error)
{
	if (!options.file)
		return option_bad(error, "--blk-file=FILE is missing: no disk to serve");
	if (options.serial && strlen(options.serial) > VIRTIO_BLK_ID_BYTES)
		return option_bad(error, "invalid --serial=%s: at most %d bytes", options.serial,
			VIRTIO_BLK_ID_BYTES);
	return true;
}

static bool blk_open_file(struct blk *b, GError **error)
{
	const struct blk_file_setup setup = {
		.path = options.file,
		.read_only = options.read_only,
		.direct = options.direct,
		.raw = options.format == FORMAT_RAW,
		.force = options.force,
		.incoming = options.incoming,
	};

	return blk_file_open(&b->file, &setup, error) && blk_engine_open(b, options.engine, error);
}

static bool blk_open(struct virtio_device *d, GError **error)
{
	struct blk *b = d->data = g_new0(struct blk, 1);

	b->d = d;
	b->file.fd = b->file.lock = -1;
	if (!blk_check_options(error) || !blk_limit_open(b, error))
		return false;
	b->policy[0] = options.rerror;
	b->policy[1] = options.werror;
	d->num_queues = options.num_queues;
	if (!d->num_queues)
		d->num_queues = MIN(d->workers, BLK_MAX_QUEUES);
	b->num_queues = d->num_queues;
	if (!blk_open_file(b, error))
		return false;
	if (options.serial)
		memcpy(b->serial, options.serial, strlen(options.serial));
	b->block_size = options.block_size ? options.block_size : b->file.logical_block;
	if (b->file.read_only)
		d->features &= ~(F(DISCARD) | F(WRITE_ZEROES));
	else
		d->features &= ~F(RO);
	b->wce = true;
	b->warns_of_format = options.format == FORMAT_AUTO;
	blk_update_sectors(b);
	blk_fill_config(d);
	return true;
}

static void blk_close(struct virtio_device *d)
{
	struct blk *b = g_steal_pointer(&d->data);

	blk_engine_close(b);
	blk_file_close(&b->file);
	blk_limit_close(b);
	g_free(b);
	g_clear_pointer(&options.file, g_free);
	g_clear_pointer(&options.serial, g_free);
}

static bool blk_claim(struct virtio_device *d, GError **error)
{
	struct blk *b = d->data;

	if (b->file.locked)
		return true;
	if (!blk_file_lock(&b->file, error))
		return false;
	blk_file_refresh(&b->file);
	log_info(NULL, "'%s' is locked: the guest runs here", b->file.path);
	return true;
}

static void blk_release(struct virtio_device *d)
{
	struct blk *b = d->data;

	blk_file_unlock(&b->file);
	log_info(NULL, "'%s' is not locked any more: the guest may go on elsewhere", b->file.path);
}

static struct blk_queue *blk_queue_of(struct virtio_device *d, struct vq *q)
{
	return ((struct blk *)d->data)->queue[vq_index(q)];
}

static void blk_set_wce(struct virtio_device *d, bool on)
{
	struct blk *b = d->data;

	__atomic_store_n(&blk_config(d)->wce, on, __ATOMIC_RELAXED);
	__atomic_store_n(&b->wce, on, __ATOMIC_RELAXED);
}

static void blk_queue_start(struct virtio_device *d, struct vq *q)
{
	struct blk_queue *bq = blk_queue_of(d, q);

	/* §5.2.5.2: CONFIG_WCE without FLUSH means writethrough, which wce shows. */
	if ((vq_features(q) & (F(CONFIG_WCE) | F(FLUSH))) == F(CONFIG_WCE))
		blk_set_wce(d, false);
	bq->q = q;
	bq->can_pin = vq_can_pin(q);
	vq_set_data(q, bq);
	blk_serve_start(bq);
	if (bq->engine->queue_start)
		bq->engine->queue_start(bq);
	bq->begun = true;
}

static void blk_queue_stop(struct virtio_device *d, struct vq *q)
{
	blk_serve_stop(vq_data(q));
}

static void blk_kick(struct virtio_device *d, struct vq *q)
{
	blk_serve(vq_data(q));
}

static bool blk_poll(struct virtio_device *d, struct vq *q)
{
	struct blk_queue *bq = vq_data(q);

	if (!bq->engine->reap || !bq->engine->reap(bq))
		return false;
	/* What has ended may have made room, or go on. */
	blk_serve(bq);
	return true;
}

static bool blk_busy(struct virtio_device *d, struct vq *q)
{
	const struct blk_queue *bq = vq_data(q);

	return bq->ops > 0;
}

/* Takes over wce, the only byte that the driver may write. */
static void blk_config_written(struct virtio_device *d, uint32_t offset, uint32_t size)
{
	blk_set_wce(d, blk_config(d)->wce);
}

static void blk_reset(struct virtio_device *d)
{
	blk_set_wce(d, true);
}

static void blk_reload(struct virtio_device *d)
{
	g_autoptr(GError) error = NULL;
	struct blk *b = d->data;
	uint64_t before = b->sectors, capacity;

	blk_hold_wake(b);
	if (!blk_file_update_size(&b->file, &error) ||
		(b->engine->resize && !b->engine->resize(b, &error))) {
		log_error(NULL, "%s", error->message);
		return;
	}
	blk_file_check_name(&b->file);
	blk_update_sectors(b);
	if (b->sectors != before)
		log_info(NULL, "'%s' has %" PRIu64 " sectors now, not %" PRIu64, b->file.path,
			b->sectors, before);
	/* Also if nothing has changed: the guest may have missed it when that was told before. */
	capacity = htole64(b->sectors);
	virtio_config_set(
		d, offsetof(struct virtio_blk_config, capacity), &capacity, sizeof(capacity));
}

static const struct option_entry blk_options[] = {
	{ "blk-file", "FILE", .path = &options.file,
		.help = "Disk image (raw) or block device to serve" },
	{ "format", "auto|raw", .word = &options.format, .words = format_words, .initial = "auto",
		.help = "Serve an image of another format as if it were raw, or refuse it" },
	{ "force", .flag = &options.force,
		.help = "Let the guest write to a block device that is in use on the host" },
	{ "incoming", .flag = &options.incoming,
		.help = "Lock the image when the guest, which is migrated to here, has arrived" },
	{ "engine", "auto|sync|uring|mmap", .word = &options.engine, .words = engine_words,
		.initial = "auto", .help = "How to read and write" },
	{ "direct", .flag = &options.direct, .help = "Bypass the host's page cache (O_DIRECT)" },
	{ "read-only", .flag = &options.read_only, .help = "Do not let the guest write" },
	{ "serial", "TEXT", .string = &options.serial,
		.help = "Serial number for the guest, at most 20 bytes" },
	{ "num-queues", "N", .number = &options.num_queues, .max = BLK_MAX_QUEUES,
		.help = "Number of request queues (default: one for each worker)" },
	{ "block-size", "BYTES", .number = &options.block_size, .min = BLK_SECTOR,
		.max = MAX_BLOCK_SIZE, .power_of_two = true, .units = true, .unset = "0",
		.help = "Logical block size (default: 512, or the block device's)" },
	{ "werror", "report|stop|enospc", .word = &options.werror, .words = werror_words,
		.initial = "enospc",
		.help = "Failed writes fail in the guest, too, or wait until they succeed, or "
			"wait if there is no space" },
	{ "rerror", "report|stop", .word = &options.rerror, .words = rerror_words,
		.initial = "report",
		.help = "Failed reads fail in the guest, too, or wait until they succeed" },
	BLK_LIMIT_OPTIONS,
	{ NULL },
};

static bool blk_call_resume(
	struct virtio_device *d, const struct virtio_arg *args, struct json *result, GError **error)
{
	struct blk *b = d->data;

	json_uint(result, "held", virtio_count_held(d, 0));
	blk_hold_wake(b);
	return true;
}

static bool blk_call_set_limits(
	struct virtio_device *d, const struct virtio_arg *args, struct json *result, GError **error)
{
	struct blk *b = d->data;

	blk_limit_set(b, args);
	blk_limit_show(b, result);
	blk_hold_wake(b);
	return true;
}

static const struct virtio_method blk_methods[] = {
	{ "resume", "try again now what is held because of an error", .call = blk_call_resume },
	{ "set-limits", "change the limits that are given, and show all; 0: no limit",
		{ BLK_LIMIT_PARAMS }, .call = blk_call_set_limits },
	{ NULL },
};

static const struct virtio_config_range blk_config_writable[] = {
	{ offsetof(struct virtio_blk_config, wce), 1 },
	{},
};

static const struct syscall_rule blk_calls[] = {
	VIRTIO_URING_SYSCALLS,
	SYSCALL(pread64),
	SYSCALL(pwrite64),
	SYSCALL(preadv),
	SYSCALL(pwritev),
	SYSCALL(preadv2),
	SYSCALL(pwritev2),
	SYSCALL(fdatasync),
	SYSCALL(fadvise64),
	SYSCALL_IOCTL(BLKGETSIZE64),
	SYSCALL_IOCTL(BLKDISCARD),
	SYSCALL_END,
};

static const struct virtio_device_needs blk_needs = { .calls = blk_calls };

static const char *const blk_capabilities[] = { "read-only", "blk-file", NULL };

const struct virtio_device_ops virtio_device_ops = {
	.name = "blk",
	.type = "block",
	.summary = "virtio block device on a raw disk image or a block device",
	.probe = {
		.device_id = VIRTIO_ID_BLOCK,
		/* The configuration space of the features we know: all before secure erase. */
		.config_size = offsetof(struct virtio_blk_config, max_secure_erase_sectors),
		.min_queues = 1,
		.max_queues = BLK_MAX_QUEUES,
		.features = F(SIZE_MAX) | F(SEG_MAX) | F(RO) | F(BLK_SIZE) | F(FLUSH) |
			F(TOPOLOGY) | F(CONFIG_WCE) | F(MQ) | F(DISCARD) | F(WRITE_ZEROES),
	},
	.threads = VIRTIO_DEVICE_PER_QUEUE,
	.config_writable = blk_config_writable,
	.options = blk_options,
	.methods = blk_methods,
	.request_types = blk_request_types,
	.needs = &blk_needs,
	.capabilities = blk_capabilities,
	.open = blk_open,
	.close = blk_close,
	.reset = blk_reset,
	.reload = blk_reload,
	.claim = blk_claim,
	.release = blk_release,
	.config_written = blk_config_written,
	.queue_start = blk_queue_start,
	.queue_stop = blk_queue_stop,
	.kick = blk_kick,
	.poll = blk_poll,
	.busy = blk_busy,
};
