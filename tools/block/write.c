/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtioctl write: a file or pipe to the device. A last part that fills no whole block is put into
 * the block that is there: only the source's bytes change.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/virtio_blk.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/block/transfer.h"
#include "tools/virtioctl.h"

static bool open_input(struct transfer *t, GError **error)
{
	if (!t->file || !strcmp(t->file, "-")) {
		t->file = "standard input";
		t->fd = STDIN_FILENO;
		return true;
	}
	t->fd = open(t->file, O_RDONLY | O_CLOEXEC);
	if (t->fd < 0) {
		g_set_error(
			error, CTL_ERROR, CTL_ERROR_FAILED, "%s: %s", t->file, g_strerror(errno));
		return false;
	}
	t->fd_is_ours = true;
	return true;
}

/* Returns what is ahead in a file or disk; false for a pipe or a source without end. */
static bool source_size(int fd, uint64_t *size)
{
	struct stat st;
	off_t now, end;

	if (fstat(fd, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
		return false;
	now = lseek(fd, 0, SEEK_CUR);
	end = lseek(fd, 0, SEEK_END);
	if (now < 0 || end < 0 || lseek(fd, now, SEEK_SET) < 0)
		return false;
	*size = end > now ? (uint64_t)(end - now) : 0;
	return true;
}

static bool check_source(struct transfer *t, GError **error)
{
	uint64_t size, room = transfer_room(t);

	if (t->io->device.read_only) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "%s is read-only", t->socket);
		return false;
	}
	if (!source_size(t->fd, &size))
		return true;
	if (t->has_length && t->length > size) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"%s: %" PRIu64 " bytes are fewer than --length %" PRIu64, t->file, size,
			t->length);
		return false;
	}
	if (!t->has_length && size > room) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"%s: %" PRIu64 " bytes do not fit in the %" PRIu64
			" from the offset to the device's end",
			t->file, size, room);
		return false;
	}
	if (!t->has_length)
		t->length = size;
	return true;
}

static bool submit(struct transfer *t, struct blkio_request *r, uint32_t type, GError **error)
{
	r->type = type;
	if (!blkio_queue_add(&t->io->queue, r, error))
		return false;
	blkio_queue_publish(&t->io->queue);
	return true;
}

/* Fills the request's last block only up to len: the rest is read from the device. */
static bool merge_tail(struct transfer *t, struct blkio_request *r, uint32_t len, GError **error)
{
	g_autofree void *saved = g_memdup2(r->data, len);

	if (!submit(t, r, VIRTIO_BLK_T_IN, error) || !transfer_wait(t, r, error))
		return false;
	memcpy(r->data, saved, len);
	return true;
}

static bool write_part(struct transfer *t, struct blkio_request *r, uint32_t len, GError **error)
{
	if (len > transfer_room(t) - t->done) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"%s: more than the %" PRIu64 " bytes from the offset to the device's end",
			t->file, transfer_room(t));
		return false;
	}
	r->offset = t->offset + t->done;
	r->len = transfer_whole_blocks(t, r->offset, len);
	if (r->len != len && !merge_tail(t, r, len, error))
		return false;
	return submit(t, r, VIRTIO_BLK_T_OUT, error);
}

static bool finish(struct transfer *t, GError **error)
{
	struct blkio_queue *q = &t->io->queue;
	struct blkio_request *r = &q->requests[0];

	for (unsigned i = 0; i < q->layout.depth; i++) {
		if (!transfer_wait(t, &q->requests[i], error))
			return false;
	}
	if (!t->io->device.flush || t->done == 0)
		return true;
	r->offset = 0; /* virtio 1.2 §5.2.6.1: the sector of a flush is 0 */
	r->len = 0;
	return submit(t, r, VIRTIO_BLK_T_FLUSH, error) && transfer_wait(t, r, error);
}

static bool write_all(struct transfer *t, bool bounded, GError **error)
{
	struct blkio_queue *q = &t->io->queue;
	uint32_t size = q->layout.request_size;

	for (uint64_t next = 0; !bounded || t->done < t->length; next++) {
		struct blkio_request *r = &q->requests[next % q->layout.depth];
		uint64_t left = bounded ? t->length - t->done : size;
		uint32_t want = (uint32_t)MIN(size, left), got;

		/* One that never was out is all zeroes, and so is fine. */
		if (!transfer_wait(t, r, error) || !transfer_input(t, r->data, want, &got, error))
			return false;
		if (got > 0 && !write_part(t, r, got, error))
			return false;
		t->done += got;
		progress_update(&t->progress, t->done);
		if (got < want)
			break;
	}
	if (!finish(t, error))
		return false;
	if (bounded && t->done < t->length) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"%s ended after %" PRIu64 " of %" PRIu64 " bytes", t->file, t->done,
			t->length);
		return false;
	}
	return true;
}

static bool run(struct transfer *t, GError **error)
{
	bool bounded, ok;

	if (!check_source(t, error))
		return false;
	bounded = t->has_length || t->length > 0;
	progress_start(&t->progress, t->length);
	ok = write_all(t, bounded, error);
	progress_end(&t->progress, t->done, t->verb, t->verbose);
	return ok;
}

static const struct transfer_ops ops = {
	.summary = "Copies FILE or standard input to a block device and flushes it. A last part of "
		   "a block leaves the rest of that block as it is.",
	.open = open_input,
	.run = run,
};

int write_run(int argc, char **argv)
{
	struct transfer t = { .verb = "wrote" };

	return transfer_main(argv, &t, &ops);
}
