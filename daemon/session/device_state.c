/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's state, on its way to or from another back-end (vhost-user.rst, "Migrating back-end
 * state"), through a pipe that SET_DEVICE_STATE_FD hands over:
 *
 *	save	the device's verb collects all of it; it is written, and the pipe is closed
 *	load	the pipe is read to its end, and checked; the device's verb takes it
 *
 * The main loop goes on meanwhile, and CHECK_DEVICE_STATE is answered when the result is known.
 *
 * In the pipe the device's bytes follow a header, by which a stream that was cut short, damaged or
 * meant for another device is refused before the device sees it.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/fd_kind.h"
#include "base/nowait.h"
#include "base/util.h"
#include "daemon/session/backend_impl.h"

#define STATE_MAGIC "virtiod\n"
#define STATE_VERSION 1
#define STATE_MAX (64u << 20)
#define CHUNK 0x10000

/* Little-endian. */
struct state_header {
	char magic[8];
	uint32_t version;
	uint32_t device_id;
	uint64_t length; /* of what follows */
	uint64_t checksum; /* of that */
};

/* Returns FNV-1a: against damage, not against malice. */
static uint64_t checksum(const uint8_t *bytes, size_t n)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static struct state_header make_header(const struct backend *b, const uint8_t *bytes, size_t n)
{
	return (struct state_header){
		.magic = STATE_MAGIC,
		.version = GUINT32_TO_LE(STATE_VERSION),
		.device_id = GUINT32_TO_LE(b->device.ops->probe.device_id),
		.length = GUINT64_TO_LE(n),
		.checksum = GUINT64_TO_LE(checksum(bytes, n)),
	};
}

static bool check_header(const struct backend *b, GError **error)
{
	const GByteArray *stream = b->transfer.bytes;
	struct state_header is, due;
	size_t n;

	if (stream->len < sizeof(is))
		return refuse(error, EINVAL, "%u bytes are too few", stream->len);
	n = stream->len - sizeof(is);
	memcpy(&is, stream->data, sizeof(is));
	due = make_header(b, stream->data + sizeof(is), n);
	if (memcmp(is.magic, due.magic, sizeof(is.magic)) != 0)
		return refuse(error, EINVAL, "not the state of a virtiod device");
	if (is.version != due.version)
		return refuse(error, EINVAL, "version %" PRIu32 ", not %u",
			GUINT32_FROM_LE(is.version), STATE_VERSION);
	if (is.device_id != due.device_id)
		return refuse(error, EINVAL, "of a device with id %" PRIu32 ", not %u",
			GUINT32_FROM_LE(is.device_id), b->device.ops->probe.device_id);
	if (is.length != due.length)
		return refuse(
			error, EINVAL, "%zu bytes of %" PRIu64, n, GUINT64_FROM_LE(is.length));
	return is.checksum == due.checksum || refuse(error, EINVAL, "damaged on its way");
}

/* Stops what goes on. */
static void stop(struct state_transfer *t)
{
	g_clear_pointer(&t->watch, loop_watch_free);
	g_clear_pointer(&t->left, loop_watch_free);
	g_clear_pointer(&t->bytes, g_byte_array_unref);
	fd_close(&t->fd);
	t->busy = false;
}

/* Ends a transfer. t->error: NULL, or why it failed. */
static void end(struct backend *b)
{
	struct state_transfer *t = &b->transfer;
	bool awaited = t->left || b->state == BACKEND_CLOSING;

	if (t->error)
		log_limited(&b->refusals, LOG_LEVEL_WARNING, "front-end",
			"device state is not %s: %s", t->load ? "loaded" : "saved",
			t->error->message);
	stop(t);
	if (awaited)
		backend_resume(b);
}

static void fail(struct backend *b, int err, const char *what)
{
	refuse(&b->transfer.error, err, "%s: %s", what, g_strerror(err));
	end(b);
}

/* Save. */

static void on_writable(void *opaque, uint32_t revents)
{
	struct backend *b = opaque;
	struct state_transfer *t = &b->transfer;
	ssize_t n = nowait_write(t->fd, t->bytes->data + t->done, t->bytes->len - t->done);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			fail(b, errno, "cannot write");
		return;
	}
	t->done += n;
	if (t->done == t->bytes->len)
		end(b);
}

static void write_out(struct backend *b)
{
	struct state_transfer *t = &b->transfer;
	struct state_header header;

	if (t->bytes->len > STATE_MAX) {
		fail(b, EFBIG, "cannot write");
		return;
	}
	header = make_header(b, t->bytes->data, t->bytes->len);
	g_byte_array_prepend(t->bytes, (const guint8 *)&header, sizeof(header));
	t->done = 0;
	t->watch = loop_watch_fd(t->fd, EPOLLOUT, on_writable, b);
}

/* The device's part. */

static void run_verb(struct virtio_device *d, void *opaque)
{
	struct backend *b = opaque;
	struct state_transfer *t = &b->transfer;
	const struct virtio_device_wire *wire = d->ops->wire;
	const size_t header = sizeof(struct state_header);
	bool ok;

	if (t->load)
		ok = wire->load(d, t->bytes->data + header, t->bytes->len - header, &t->error);
	else
		ok = wire->save(d, t->bytes, &t->error);
	if (!ok && !t->error)
		refuse(&t->error, EIO, "the device refuses");
}

static void verb_done(void *opaque)
{
	struct backend *b = opaque;
	struct state_transfer *t = &b->transfer;

	if (t->load || t->error || b->state != BACKEND_SERVING)
		end(b);
	else
		write_out(b);
}

static void begin_verb(struct backend *b)
{
	pool_run(b->pool, &b->transfer.verb);
	if (!b->transfer.verb.pending)
		verb_done(b);
}

/* Load. */

static void take_stream(struct backend *b)
{
	struct state_transfer *t = &b->transfer;

	g_clear_pointer(&t->watch, loop_watch_free);
	if (pool_is_active(b->pool))
		fail(b, EBUSY, "vrings were started");
	else if (!check_header(b, &t->error))
		end(b);
	else
		begin_verb(b);
}

static void on_readable(void *opaque, uint32_t revents)
{
	struct backend *b = opaque;
	struct state_transfer *t = &b->transfer;
	uint8_t chunk[CHUNK];
	ssize_t n = nowait_read(t->fd, chunk, sizeof(chunk));

	if (n == 0)
		take_stream(b);
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		fail(b, errno, "cannot read");
	else if (n > 0 && t->bytes->len + (size_t)n > STATE_MAX + sizeof(struct state_header))
		fail(b, EFBIG, "cannot read");
	else if (n > 0)
		g_byte_array_append(t->bytes, chunk, n);
}

/* Messages. */

/*
 * Accepts a pipe or a socket, which can be waited for, and made not to block; not for ever
 * (nowait.h).
 */
static int check_fd(const struct backend *b, int fd)
{
	if (fd_kind(fd) != FD_PIPE && !may_keep_socket(b, fd, NULL))
		return EINVAL;
	return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 ? errno : 0;
}

static int begin(struct backend *b, struct backend_request *rq)
{
	const struct vu_device_state *is = &rq->in.payload.device_state;
	struct state_transfer *t = &b->transfer;
	int err = check_fd(b, rq->in.fds[0]);

	if (is->phase != VU_DEVICE_STATE_STOPPED || is->direction > VU_DEVICE_STATE_LOAD || err)
		return err ? err : EINVAL;
	if (pool_is_active(b->pool) || t->verb.pending)
		return EBUSY;
	/* A transfer that was not checked has been given up. */
	transfer_drop(b);
	t->awaits_check = t->busy = true;
	t->load = is->direction == VU_DEVICE_STATE_LOAD;
	t->fd = vu_msg_take_fd(&rq->in, 0);
	t->bytes = g_byte_array_new();
	if (t->load)
		t->watch = loop_watch_fd(t->fd, EPOLLIN, on_readable, b);
	else
		begin_verb(b);
	return 0;
}

bool on_set_device_state_fd(struct backend *b, struct backend_request *rq, GError **error)
{
	int err = begin(b, rq);

	if (err)
		log_limited(&b->refusals, LOG_LEVEL_WARNING, "front-end",
			"refused: SET_DEVICE_STATE_FD: %s", g_strerror(err));
	vu_msg_set_u64(&rq->out, VU_DEVICE_STATE_NO_FD | (err & VU_DEVICE_STATE_ERROR_MASK));
	return true;
}

static void on_left(void *opaque, uint32_t revents)
{
	backend_disconnect(opaque);
}

bool transfer_has_ended(struct backend *b)
{
	struct state_transfer *t = &b->transfer;

	/* Nothing is read from a front-end that waits, and it may leave. */
	if (t->busy && !t->left)
		t->left = loop_watch_fd(b->fd, 0, on_left, b);
	return !t->busy;
}

bool on_check_device_state(struct backend *b, struct backend_request *rq, GError **error)
{
	struct state_transfer *t = &b->transfer;
	uint64_t result = t->awaits_check ? 0 : EINVAL;

	if (t->error)
		result = t->error->domain == BACKEND_ERROR ? t->error->code : EIO;
	vu_msg_set_u64(&rq->out, result);
	g_clear_error(&t->error);
	t->awaits_check = false;
	return true;
}

void transfer_init(struct backend *b)
{
	b->transfer = (struct state_transfer){
		.fd = -1,
		.verb = { .run = run_verb, .done = verb_done, .opaque = b },
	};
}

void transfer_drop(struct backend *b)
{
	struct state_transfer *t = &b->transfer;

	/* What a verb uses is for its end to free. */
	g_clear_pointer(&t->left, loop_watch_free);
	if (t->verb.pending)
		return;
	stop(t);
	g_clear_error(&t->error);
	t->awaits_check = false;
}
