/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-rng (virtio 1.2 §5.4): random bytes from getrandom(), or from a file, a character device
 * or a FIFO of the host.
 *
 * A request must get at least one byte (§5.4.6.2; Linux waits forever after an empty answer). One
 * that cannot be served now is put back into the queue, where it does not delay the queue's stop,
 * and the queue is served again when
 *	- the FIFO has bytes,
 *	- a new period of the rate limit begins,
 *	- some time has passed, for sources that cannot be watched, or that fail.
 */
#include "daemon/device.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/major.h>
#include <linux/virtio_ids.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/option.h"

/* A request may be answered in part, so that a huge one does not occupy the thread. */
#define MAX_REQUEST 65536
#define MAX_PERIOD_MS 65536
#define RETRY_EMPTY_MS 20
#define RETRY_FAILED_MS 1000
/* Of MEM_MAJOR (devices.txt of Linux). */
#define MINOR_RANDOM 8
#define MINOR_URANDOM 9

struct rng {
	struct virtio_device *d;
	struct virtio_watch source; /* fd -1: getrandom() */
	struct virtio_timer retry;
	bool is_fifo;
	bool failing; /* since the last byte: has been logged */
	struct log_limit limit;
	/* Rate limit: quota bytes are left of the period that began then. */
	uint64_t quota;
	int64_t period_start; /* monotonic µs */
};

static struct {
	char *filename;
	uint64_t max_bytes;
	unsigned period_ms;
} options = { .max_bytes = INT64_MAX };

/* Returns -errno; 0 at the end of the file. */
static ssize_t rng_read(const struct rng *r, void *buf, size_t len)
{
	ssize_t n;

	do
		n = r->source.fd < 0 ? getrandom(buf, len, 0) : read(r->source.fd, buf, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Reads straight into the guest's buffers. Returns 0 if there are any bytes in them, or -errno. */
static int rng_fill(const struct rng *r, struct iov_cursor *in, size_t max)
{
	struct iovec iov;
	ssize_t got = 0;
	unsigned n;

	while (iov_left(in) > 0 && iov_done(in) < max) {
		iov_peek(in, max - iov_done(in), &iov, 1, &n);
		got = rng_read(r, iov.iov_base, iov.iov_len);
		if (got <= 0)
			break;
		iov_skip(in, got);
	}
	if (iov_done(in) > 0)
		return 0;
	return got ? (int)got : -ENODATA;
}

/* Returns the time until there is quota; 0: now. */
static int64_t rng_wait_us(struct rng *r)
{
	int64_t period = (int64_t)options.period_ms * 1000;
	int64_t now = g_get_monotonic_time();

	if (now - r->period_start >= period) {
		r->period_start = now;
		r->quota = options.max_bytes;
	}
	return r->quota ? 0 : r->period_start + period - now;
}

/* Serves the queue again after this time. */
static void rng_retry_after(struct rng *r, struct vq *q, int64_t us)
{
	virtio_timer(r->d, q, &r->retry, g_get_monotonic_time() + us);
}

/* Decides when to try a source again that gave nothing. */
static void rng_wait_for_source(struct rng *r, struct vq *q, int why)
{
	if (why == -EAGAIN && r->is_fifo) {
		virtio_watch(r->d, q, &r->source, EPOLLIN);
	} else if (why == -EAGAIN) {
		rng_retry_after(r, q, RETRY_EMPTY_MS * 1000);
	} else {
		if (!r->failing)
			log_limited(&r->limit, LOG_LEVEL_ERROR, vq_name(q),
				"no random bytes from '%s': %s",
				r->source.fd < 0 ? "getrandom()" : options.filename,
				why == -ENODATA ? "the file has ended" : g_strerror(-why));
		r->failing = true;
		rng_retry_after(r, q, RETRY_FAILED_MS * 1000);
	}
}

/* Serves one request; returns false if nothing more can be done now. */
static bool rng_serve(struct rng *r, struct vq *q)
{
	g_autoptr(vq_chain) c = vq_pop(q);
	int64_t wait;
	int result;

	if (!c)
		return false;
	if (iov_left(&c->in) == 0) {
		vq_break(q, "request has no room for random bytes");
		return false;
	}
	wait = rng_wait_us(r);
	if (wait > 0) {
		vq_unpop(g_steal_pointer(&c));
		rng_retry_after(r, q, wait);
		return false;
	}
	result = rng_fill(r, &c->in, MIN(r->quota, MAX_REQUEST));
	if (result == -EFAULT) {
		vq_break(q, "the buffer for random bytes is not accessible");
		return false;
	}
	if (result < 0) {
		vq_unpop(g_steal_pointer(&c));
		rng_wait_for_source(r, q, result);
		return false;
	}
	r->quota -= iov_done(&c->in);
	r->failing = false;
	return true;
}

static void rng_kick(struct virtio_device *d, struct vq *q)
{
	while (rng_serve(d->data, q))
		;
}

static void rng_readable(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	virtio_watch(d, q, w, 0);
	rng_kick(d, q);
}

static void rng_retry(struct virtio_device *d, struct vq *q, struct virtio_timer *t)
{
	rng_kick(d, q);
}

/* Returns why a file of this kind is no source of random bytes; NULL: it may be one. */
static const char *rng_problem(const struct stat *st)
{
	unsigned number = minor(st->st_rdev);

	if (S_ISREG(st->st_mode) && st->st_size == 0)
		return "the file is empty";
	if (!S_ISREG(st->st_mode) && !S_ISCHR(st->st_mode) && !S_ISFIFO(st->st_mode))
		return "neither a file nor a character device nor a FIFO";
	/* null, zero, full, mem and the like */
	if (S_ISCHR(st->st_mode) && major(st->st_rdev) == MEM_MAJOR && number != MINOR_RANDOM &&
		number != MINOR_URANDOM)
		return "what it gives is not random (/dev/hwrng is; without --filename the bytes "
		       "are the kernel's)";
	return NULL;
}

static bool rng_open_source(struct rng *r, const char *name, GError **error)
{
	const char *problem;
	struct stat st;

	problem = stat(name, &st) < 0 ? g_strerror(errno) : rng_problem(&st);
	if (!problem) {
		/*
		 * A FIFO is opened for writing, too: otherwise it ends, and says so without a
		 * pause, whenever no other writer has it open.
		 */
		r->is_fifo = S_ISFIFO(st.st_mode);
		r->source.fd = open(
			name, (r->is_fifo ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		if (r->source.fd < 0)
			problem = g_strerror(errno);
	}
	if (problem)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
			"cannot take random bytes from '%s': %s", name, problem);
	return !problem;
}

static bool rng_open(struct virtio_device *d, GError **error)
{
	struct rng *r = d->data = g_new0(struct rng, 1);

	r->d = d;
	r->source = (struct virtio_watch){ .fd = -1, .ready = rng_readable };
	r->retry.expired = rng_retry;
	r->quota = options.max_bytes;
	r->period_start = g_get_monotonic_time();
	d->num_queues = 1;
	return !options.filename || rng_open_source(r, options.filename, error);
}

static void rng_close(struct virtio_device *d)
{
	struct rng *r = g_steal_pointer(&d->data);

	fd_close(&r->source.fd);
	g_free(r);
	g_clear_pointer(&options.filename, g_free);
}

static const struct option_entry rng_options[] = {
	{ "filename", "FILE", .path = &options.filename,
		.help = "Source of random bytes: a device, a FIFO or a file "
			"(default: getrandom())" },
	{ "max-bytes", "N", .number64 = &options.max_bytes, .min = 1, .max = INT64_MAX,
		.units = true,
		.help = "Give the guest at most N bytes in each period (default: no limit)" },
	{ "period", "MS", .number = &options.period_ms, .min = 1, .max = MAX_PERIOD_MS,
		.initial = "60000", .help = "Length of a period in milliseconds" },
	{ NULL },
};

const struct virtio_device_ops virtio_device_ops = {
	.name = "rng",
	.type = "rng",
	.summary = "virtio entropy device",
	.probe = { .device_id = VIRTIO_ID_RNG, .min_queues = 1, .max_queues = 1 },
	.threads = VIRTIO_DEVICE_ONE,
	.options = rng_options,
	.open = rng_open,
	.close = rng_close,
	.kick = rng_kick,
};
