/* SPDX-License-Identifier: Apache-2.0 */
/* virtioctl read: the device's bytes, in order, to a file or pipe. */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/util.h"
#include "tools/block/transfer.h"
#include "tools/virtioctl.h"

/* Opens the file; one that is there stays as it is until the device can be read. */
static bool choose_output(struct transfer *t, GError **error)
{
	if (!t->file && isatty(STDOUT_FILENO)) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_USAGE,
			"standard output is a terminal: name a file, or '-' to mean it");
		return false;
	}
	if (!t->file || !strcmp(t->file, "-")) {
		t->file = "standard output";
		t->fd = STDOUT_FILENO;
		return true;
	}
	t->fd = open(t->file, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (t->fd < 0) {
		g_set_error(
			error, CTL_ERROR, CTL_ERROR_FAILED, "%s: %s", t->file, g_strerror(errno));
		return false;
	}
	t->fd_is_ours = true;
	return true;
}

static bool open_file(struct transfer *t, GError **error)
{
	if (!choose_output(t, error))
		return false;
	output_open(&t->output, t->fd);
	return true;
}

/* Empties it, if it is a file that open() with O_TRUNC would empty. */
static bool empty_output(struct transfer *t, GError **error)
{
	struct stat st;

	if (!t->fd_is_ours || fstat(t->fd, &st) < 0 || !S_ISREG(st.st_mode) ||
		ftruncate(t->fd, 0) == 0)
		return true;
	return error_set(error, CTL_ERROR, CTL_ERROR_FAILED, "%s: %s", t->file, g_strerror(errno));
}

/* Closes it: some file systems report a full disk only then. */
static bool close_file(struct transfer *t, GError **error)
{
	int fd = t->fd_is_ours ? fd_steal(&t->fd) : -1;

	if (fd < 0 || close(fd) == 0)
		return true;
	/* An earlier error is the cause. */
	if (error && !*error)
		g_set_error(
			error, CTL_ERROR, CTL_ERROR_FAILED, "%s: %s", t->file, g_strerror(errno));
	return false;
}

/* Asks for more, as long as requests are free: those from *next to oldest + depth. */
static bool ask(
	struct transfer *t, uint64_t *asked, uint64_t *next, uint64_t oldest, GError **error)
{
	struct blkio_queue *q = &t->io->queue;

	while (*asked < t->length && *next - oldest < q->layout.depth) {
		struct blkio_request *r = &q->requests[*next % q->layout.depth];
		uint32_t len = (uint32_t)MIN(q->layout.request_size, t->length - *asked);

		r->type = VIRTIO_BLK_T_IN;
		r->offset = t->offset + *asked;
		r->len = transfer_whole_blocks(t, r->offset, len);
		if (!blkio_queue_add(q, r, error))
			return false;
		*asked += len;
		++*next;
	}
	blkio_queue_publish(q);
	return true;
}

static bool read_all(struct transfer *t, GError **error)
{
	struct blkio_queue *q = &t->io->queue;
	uint64_t asked = 0, next = 0;

	for (uint64_t oldest = 0; t->done < t->length; oldest++) {
		struct blkio_request *r = &q->requests[oldest % q->layout.depth];
		uint32_t len;

		if (!ask(t, &asked, &next, oldest, error) || !transfer_wait(t, r, error))
			return false;
		len = (uint32_t)MIN(r->len, t->length - t->done);
		if (!transfer_output(t, r->data, len, error))
			return false;
		t->done += len;
		progress_update(&t->progress, t->done);
	}
	return true;
}

static bool run(struct transfer *t, GError **error)
{
	bool ok;

	if (!t->has_length)
		t->length = transfer_room(t);
	if (!empty_output(t, error))
		return false;
	progress_start(&t->progress, t->length);
	ok = read_all(t, error);
	progress_end(&t->progress, t->done, t->verb, t->verbose);
	output_close(&t->output);
	return close_file(t, error) && ok;
}

static const struct transfer_ops ops = {
	.summary = "Copies the contents of a block device to FILE or standard output.",
	.open = open_file,
	.run = run,
};

int read_run(int argc, char **argv)
{
	struct transfer t = { .verb = "read" };

	return transfer_main(argv, &t, &ops);
}
