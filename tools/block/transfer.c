/* SPDX-License-Identifier: Apache-2.0 */
/* See transfer.h. */
#include "tools/block/transfer.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "base/util.h"
#include "tools/block/blk_device.h"
#include "tools/block/blk_driver.h"
#include "tools/block/cancel.h"
#include "tools/connect.h"
#include "tools/virtioctl.h"

/* Where the table puts values. */
static struct {
	uint64_t offset, length, request_size;
	struct blkio_options io;
	unsigned timeout_s;
	bool verbose;
} parsed;

#define NO_LENGTH UINT64_MAX

static const struct option_entry transfer_options[] = {
	{ "offset", .bytes = &parsed.offset, .initial = "0",
		.help = "Where on the device to begin: whole blocks" },
	{ "length", .bytes = &parsed.length,
		.help = "How much (read: to the device's end; write: to the source's)" },
	{ "queue", .number = &parsed.io.queue, .max = VIRTIO_MAX_QUEUES - 1, .initial = "0",
		.help = "Which virtqueue" },
	{ "queue-size", .number = &parsed.io.queue_size, .min = 1, .max = 32768,
		.power_of_two = true, .initial = "128", .help = "Its size, a power of two" },
	{ "packed", "HOW", .word = &parsed.io.packed, .words = choice_words, .initial = "auto",
		.help = "Its format: auto (packed if offered), on or off" },
	{ "depth", .number = &parsed.io.depth, .min = 1, .max = 32768, .initial = "32",
		.help = "Requests at a time" },
	{ "request-size", .bytes = &parsed.request_size, .min = 512, .max = 16u << 20,
		.initial = "128K", .help = "Bytes of a request" },
	{ "timeout", "SECONDS", .number = &parsed.timeout_s, .min = 1, .max = 86400,
		.initial = "30", .help = "Give up when nothing completes for so long" },
	{ "strict", .flag = &parsed.io.strict,
		.help = "A used length that is too large is an error" },
	{ "verbose", .letter = 'v', .flag = &parsed.verbose,
		.help = "Print the speed, also when not on a terminal" },
	{ NULL },
};

/* Parses the command line. t->args is what t->socket and t->file point to. */
static bool parse(char **argv, struct transfer *t, struct connect_options *connect,
	const char *summary, GError **error)
{
	const struct option_syntax syntax = {
		.summary = summary,
		.arguments = "SOCKET [FILE|-]",
		.min_arguments = 1,
		.max_arguments = 2,
		.tables = { transfer_options },
	};

	parsed.length = NO_LENGTH;
	parsed.io.cancel_fd = -1;
	t->args = connect_parse(argv, syntax, connect, error);
	if (!t->args)
		return false;
	parsed.io.request_size = (uint32_t)parsed.request_size;
	parsed.io.timeout_ms = parsed.timeout_s * 1000;
	t->socket = t->args[1];
	t->file = t->args[2];
	t->verbose = parsed.verbose;
	t->offset = parsed.offset;
	t->has_length = parsed.length != NO_LENGTH;
	t->length = t->has_length ? parsed.length : 0;
	return true;
}

static bool check_device(
	const struct vu_front *f, const struct transfer *t, unsigned queue, GError **error)
{
	uint32_t queues = vu_front_properties(f)->probe.max_queues;

	if (!blk_device_check(f, t->socket, "--", error))
		return false;
	if (queue < queues)
		return true;
	g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
		"--queue: there is no %u, the back-end has 0 to %u", queue, queues - 1);
	return false;
}

/*
 * Names the back-end. The driver's errors do not know whose they are; the front-end library's
 * do.
 */
static void name_backend(const struct transfer *t, GError **error)
{
	if (error && *error && (*error)->domain == CTL_ERROR)
		g_prefix_error(error, "%s: ", t->socket);
}

static bool serve(
	struct transfer *t, struct vu_front *f, const struct blkio_options *o, GError **error)
{
	g_autoptr(blkio) io = NULL;
	bool ok;

	if (!check_device(f, t, o->queue, error))
		return false;
	io = blkio_new(f, o, error);
	if (!io) {
		name_backend(t, error);
		return false;
	}
	t->io = io;
	ok = blk_device_check_extent(&io->device, t->offset, t->length, error) &&
		t->ops->run(t, error);
	if (!o->strict)
		blk_warn_excess(t->socket, &io->queue);
	t->io = NULL;
	return ok;
}

static int connect_and_serve(struct transfer *t, const struct connect_options *connect)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(vu_front) f = NULL;
	int status = CTL_OK;

	cancel_on_signals();
	parsed.io.cancel_fd = cancel_fd();
	f = connect_socket(t->socket, connect, &status);
	if (f && !serve(t, f, &parsed.io, &error))
		status = ctl_report(error);
	if (t->fd_is_ours)
		fd_close(&t->fd);
	return status;
}

static bool open_file(void *opaque, int fd, GError **error)
{
	struct transfer *t = opaque;

	return t->ops->open(t, error);
}

int transfer_main(char **argv, struct transfer *t, const struct transfer_ops *ops)
{
	struct connect_options connect = CONNECT_OPTIONS_INIT;
	g_autoptr(GError) error = NULL;
	int status;

	t->fd = -1;
	t->ops = ops;
	if (!parse(argv, t, &connect, ops->summary, &error))
		return ctl_report(error);
	connect.open_files = open_file;
	connect.opaque = t;
	status = connect_and_serve(t, &connect);
	g_strfreev(t->args);
	return status;
}

bool transfer_wait(struct transfer *t, struct blkio_request *r, GError **error)
{
	bool ok = true;

	while (ok && r->busy)
		ok = blkio_wait(t->io, error) != NULL;
	ok = ok && blkio_check(r, error);
	if (!ok)
		name_backend(t, error);
	return ok;
}

uint64_t transfer_room(const struct transfer *t)
{
	uint64_t capacity = t->io->device.capacity;

	return capacity > t->offset ? capacity - t->offset : 0;
}

uint32_t transfer_whole_blocks(const struct transfer *t, uint64_t position, uint32_t len)
{
	const struct blk_device *d = &t->io->device;

	return (uint32_t)MIN(align_up(len, d->block_size), d->capacity - position);
}

/* Waits until a pipe is ready, or for a signal; a regular file always is ready. */
static bool wait_for_file(struct transfer *t, short events, GError **error)
{
	struct pollfd fds[] = {
		{ .fd = t->fd, .events = events },
		{ .fd = cancel_fd(), .events = POLLIN },
	};

	while (!cancel_signal() && poll(fds, G_N_ELEMENTS(fds), -1) < 0 && errno == EINTR)
		;
	if (!cancel_signal())
		return true;
	g_set_error(error, CTL_ERROR, CTL_ERROR_CANCELLED, "interrupted after %" PRIu64 " bytes",
		t->done);
	return false;
}

bool transfer_input(struct transfer *t, void *to, uint32_t size, uint32_t *got, GError **error)
{
	*got = 0;
	while (*got < size) {
		ssize_t n;

		if (!wait_for_file(t, POLLIN, error))
			return false;
		n = read(t->fd, (char *)to + *got, size - *got);
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR && errno != EAGAIN) {
			g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "%s: %s", t->file,
				g_strerror(errno));
			return false;
		}
		*got += n > 0 ? (uint32_t)n : 0;
	}
	return true;
}

bool transfer_output(struct transfer *t, const void *from, uint32_t size, GError **error)
{
	uint32_t put = 0;

	while (put < size) {
		ssize_t n;

		if (!wait_for_file(t, POLLOUT, error))
			return false;
		/* Not write(): a signal just before it would be seen when all is written. */
		n = output_write(&t->output, (const char *)from + put, size - put);
		if (n < 0 && n != -EAGAIN) {
			g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "%s: %s", t->file,
				g_strerror((int)-n));
			return false;
		}
		put += n > 0 ? (uint32_t)n : 0;
	}
	return true;
}
