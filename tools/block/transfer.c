/* SPDX-License-Identifier: Apache-2.0 */
/* See transfer.h. */
#include "tools/block/transfer.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "base/util.h"
#include "tools/block/blk_device.h"
#include "tools/block/cancel.h"
#include "tools/connect.h"
#include "tools/text.h"
#include "tools/virtioctl.h"

#define DEFAULT_QUEUE_SIZE 128
#define DEFAULT_DEPTH 32
#define DEFAULT_REQUEST_SIZE (128u << 10)
#define MAX_REQUEST_SIZE (16u << 20)
#define DEFAULT_TIMEOUT_S 30

typedef struct arguments arguments; /* for g_auto */

struct arguments {
	struct connect_options connect;
	char *offset, *length, *request_size, *packed;
	int queue, queue_size, depth, timeout;
	gboolean verbose;
};

static void arguments_clear(struct arguments *a)
{
	connect_options_clear(&a->connect);
	g_free(a->offset);
	g_free(a->length);
	g_free(a->request_size);
	g_free(a->packed);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(arguments, arguments_clear)

static bool in_range(const char *what, int value, int min, int max, GError **error)
{
	if (value >= min && value <= max)
		return true;
	g_set_error(error, CTL_ERROR, CTL_ERROR_USAGE, "%s: %d is not between %d and %d", what,
		value, min, max);
	return false;
}

static bool packed_argument(const char *value, enum choice *packed, GError **error)
{
	static const char *const names[] = {
		[CHOICE_AUTO] = "auto",
		[CHOICE_ON] = "on",
		[CHOICE_OFF] = "off",
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		if (!value || g_str_equal(value, names[i])) {
			*packed = i;
			return true;
		}
	}
	g_set_error(
		error, CTL_ERROR, CTL_ERROR_USAGE, "--packed: %s is not auto, on or off", value);
	return false;
}

static bool blkio_arguments(const struct arguments *a, struct blkio_options *o, GError **error)
{
	uint64_t request_size = DEFAULT_REQUEST_SIZE;

	if (!in_range("--queue", a->queue, 0, VIRTIO_MAX_QUEUES - 1, error) ||
		!in_range("--queue-size", a->queue_size, 1, 32768, error) ||
		!in_range("--depth", a->depth, 1, 32768, error) ||
		!in_range("--timeout", a->timeout, 1, 86400, error))
		return false;
	if (a->queue_size & (a->queue_size - 1)) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_USAGE,
			"--queue-size: %d is not a power of two", a->queue_size);
		return false;
	}
	if (a->request_size &&
		!text_parse_size(a->request_size, "--request-size", &request_size, error))
		return false;
	if (request_size < 512 || request_size > MAX_REQUEST_SIZE) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_USAGE,
			"--request-size: %s is not between 512 and 16M", a->request_size);
		return false;
	}
	*o = (struct blkio_options){
		.queue = (unsigned)a->queue,
		.queue_size = (unsigned)a->queue_size,
		.depth = (unsigned)a->depth,
		.request_size = (uint32_t)request_size,
		.timeout_ms = (unsigned)a->timeout * 1000,
		.cancel_fd = -1,
	};
	return packed_argument(a->packed, &o->packed, error);
}

static bool parse(int argc, char **argv, struct transfer *t, struct arguments *a,
	const char *summary, struct blkio_options *o, GError **error)
{
	const GOptionEntry entries[] = {
		{ "offset", 0, 0, G_OPTION_ARG_STRING, &a->offset,
			"Where on the device to begin (whole blocks; K, M, G: 0)", "BYTES" },
		{ "length", 0, 0, G_OPTION_ARG_STRING, &a->length,
			"How much (read: to the device's end; write: to the source's)", "BYTES" },
		{ "queue", 0, 0, G_OPTION_ARG_INT, &a->queue, "Which virtqueue (0)", "N" },
		{ "queue-size", 0, 0, G_OPTION_ARG_INT, &a->queue_size,
			"Its size, a power of two (128)", "N" },
		{ "packed", 0, 0, G_OPTION_ARG_STRING, &a->packed,
			"Its format: auto (packed if offered), on or off", "HOW" },
		{ "depth", 0, 0, G_OPTION_ARG_INT, &a->depth, "Requests at a time (32)", "N" },
		{ "request-size", 0, 0, G_OPTION_ARG_STRING, &a->request_size,
			"Bytes of a request (128K)", "BYTES" },
		{ "timeout", 0, 0, G_OPTION_ARG_INT, &a->timeout,
			"Give up when nothing completes for so long (30)", "SECONDS" },
		{ "verbose", 'v', 0, G_OPTION_ARG_NONE, &a->verbose,
			"Say how fast it was, also when not on a terminal", NULL },
		{ NULL },
	};

	if (!connect_parse(
		    &argc, &argv, entries, &a->connect, "SOCKET [FILE|-]", summary, 1, 2, error) ||
		!blkio_arguments(a, o, error))
		return false;
	t->socket = argv[1];
	t->file = argc > 2 ? argv[2] : NULL;
	t->verbose = a->verbose;
	t->has_length = a->length;
	if (a->offset && !text_parse_size(a->offset, "--offset", &t->offset, error))
		return false;
	return !a->length || text_parse_size(a->length, "--length", &t->length, error);
}

static bool check_device(
	const struct vu_front *f, const struct transfer *t, unsigned queue, GError **error)
{
	uint32_t queues = vu_front_facts(f)->probe.max_queues;

	if (!blk_device_check(f, t->socket, error))
		return false;
	if (queue < queues)
		return true;
	g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
		"--queue: there is no %u, the back-end has 0 to %u", queue, queues - 1);
	return false;
}

static bool check_extent(const struct transfer *t, GError **error)
{
	const struct blkio_info *info = blkio_info(t->io);

	if (t->offset % info->block_size) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"--offset: %" PRIu64 " is not a multiple of the block size %u", t->offset,
			info->block_size);
		return false;
	}
	if (t->offset > info->capacity || (t->has_length && t->length > transfer_room(t))) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"--offset %" PRIu64 " and --length %" PRIu64
			" are beyond the device's end at %" PRIu64,
			t->offset, t->length, info->capacity);
		return false;
	}
	return true;
}

/* The driver's errors do not know whose they are; the front-end library's do. */
static void name_backend(const struct transfer *t, GError **error)
{
	if (error && *error && (*error)->domain == CTL_ERROR)
		g_prefix_error(error, "%s: ", t->socket);
}

static bool serve(struct transfer *t, struct vu_front *f, const struct blkio_options *o,
	bool (*run)(struct transfer *t, GError **error), GError **error)
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
	ok = check_extent(t, error) && run(t, error);
	t->io = NULL;
	return ok;
}

int transfer_main(int argc, char **argv, struct transfer *t, const char *summary,
	bool (*run)(struct transfer *t, GError **error))
{
	g_auto(arguments) a = {
		.connect = CONNECT_OPTIONS_INIT,
		.queue_size = DEFAULT_QUEUE_SIZE,
		.depth = DEFAULT_DEPTH,
		.timeout = DEFAULT_TIMEOUT_S,
	};
	g_autoptr(GError) error = NULL;
	g_autoptr(vu_front) f = NULL;
	struct blkio_options o;
	int status = CTL_OK;

	t->fd = -1;
	if (!parse(argc, argv, t, &a, summary, &o, &error))
		return ctl_report(error);
	cancel_on_signals();
	o.cancel_fd = cancel_fd();
	f = connect_socket(t->socket, &a.connect, &status);
	if (!f)
		return status;
	if (!serve(t, f, &o, run, &error))
		status = ctl_report(error);
	if (t->fd_is_ours)
		fd_close(&t->fd);
	return status;
}

bool transfer_wait(struct transfer *t, struct blk_request *r, GError **error)
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
	uint64_t capacity = blkio_info(t->io)->capacity;

	return capacity > t->offset ? capacity - t->offset : 0;
}

uint32_t transfer_whole_blocks(const struct transfer *t, uint64_t position, uint32_t len)
{
	const struct blkio_info *info = blkio_info(t->io);

	return (uint32_t)MIN(align_up(len, info->block_size), info->capacity - position);
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
		n = write(t->fd, (const char *)from + put, size - put);
		if (n < 0 && errno != EINTR && errno != EAGAIN) {
			g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "%s: %s", t->file,
				g_strerror(errno));
			return false;
		}
		put += n > 0 ? (uint32_t)n : 0;
	}
	return true;
}
