/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-escape: a back-end that has been taken over. On SIGHUP it tries all that it can. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/option.h"
#include "base/sock.h"
#include "base/util.h"
#include "daemon/device.h"
#include "daemon/uring.h"
#include "tests/sandbox/attempts_impl.h"

/* What the test writes behind a request's buffer, where no request points to. */
#define UNNAMED "not named by requests"

static unsigned victim;
static bool carelessly;
static const char *stems[2]; /* the environment's STEM, to which a number is added */
static struct virtio_uring *ring; /* of one file, to read from; NULL: not permitted here */

static bool escape_open(struct virtio_device *d, GError **error)
{
	static const enum virtio_uring_op ops[] = { VIRTIO_URING_READ, VIRTIO_URING_END };
	int file = memfd_create("file", MFD_CLOEXEC);
	const struct virtio_uring_setup setup = {
		.files = &file, .n_files = 1, .ops = ops, .max = 1
	};

	stems[0] = getenv("STEM");
	ring = virtio_uring_new(&setup, NULL);
	close(file);
	return true;
}

static void escape_close(struct virtio_device *d)
{
	virtio_uring_free(ring);
}

static void escape_kick(struct virtio_device *d, struct vq *q)
{
	struct vq_chain *c;

	while ((c = vq_pop(q))) {
		const struct iovec *buffer = c->out.iov;

		if (c->out.n_iov &&
			!memcmp((const char *)buffer->iov_base + buffer->iov_len, UNNAMED,
				sizeof(UNNAMED)))
			attempts_note("guest_memory", 0);
		vq_push(c);
	}
}

static void note_end(const char *name)
{
	struct virtio_uring_event event;

	virtio_uring_submit(ring);
	while (!virtio_uring_reap(ring, true, &event, 1))
		continue;
	attempts_note(name, -event.result);
}

/* Tries the file and the operation of the ring, and others. */
static void try_ring(void)
{
	static char byte;
	static const struct iovec iov = { &byte, 1 };

	if (!ring || virtio_uring_enable(ring) < 0)
		return;
	virtio_uring_transfer(ring, false, 0, &iov, 1, 0, ring);
	note_end("ring_read");
	virtio_uring_transfer(ring, true, 0, &iov, 1, 0, ring);
	note_end("ring_write");
	virtio_uring_transfer(ring, false, 1, &iov, 1, 0, ring);
	note_end("ring_other_file");
}

static void try_socket(const char *name, const char *path)
{
	g_autoptr(GError) error = NULL;
	autofd fd = sock_connect_now(path, &error);

	attempts_say(name, fd < 0 ? error->message : "works");
}

/* Has the connector connect to what the device has listed, and to something else. */
static void try_sockets(void)
{
	g_autofree char *numbered = stems[0] ? g_strconcat(stems[0], "7", NULL) : NULL;

	if (!numbered)
		return;
	try_socket("numbered_socket", numbered);
	try_socket("other_socket", "/dev/null");
}

static void escape_reload(struct virtio_device *d)
{
	if (carelessly)
		execl("/bin/true", "true", NULL);
	try_ring();
	try_sockets();
	attempts_run((int)victim);
	attempts_ioctls();
	attempts_calls();
}

static const struct option_entry escape_options[] = {
	{ "victim", "PID", .number = &victim, .help = "Another process" },
	{ "carelessly", .flag = &carelessly, .help = "Do not catch signals" },
	{ NULL },
};

static const struct syscall_rule calls[] = { VIRTIO_URING_SYSCALLS, SYSCALL_END };
static const struct virtio_device_needs needs = { .calls = calls, .socket_stems = stems };

const struct virtio_device_ops virtio_device_ops = {
	.name = "escape",
	.type = "input",
	.summary = "a back-end that has been taken over",
	.probe = { .device_id = 18, .min_queues = 1, .max_queues = 1 },
	.options = escape_options,
	.needs = &needs,
	.open = escape_open,
	.close = escape_close,
	.reload = escape_reload,
	.kick = escape_kick,
};
