/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An io_uring for a device: batches operations on files of the host. A part of the contract
 * (device.h); a device that uses it has uring_dep among the dependencies in its meson.build.
 *
 * io_uring is a way around seccomp. A ring is therefore made by open(), before the program gives up
 * making any, for given files and kinds of operations, and can do nothing else. It then belongs to
 * the thread that enables it: that of the queue, from queue_start() on.
 *
 * An operation is prepared, begun by virtio_uring_submit() at the latest, and ends in
 * virtio_uring_reap() with the tag that it was given. The device waits for virtio_uring_fd():
 *
 *	do {
 *		n = virtio_uring_reap(...);
 *		...
 *		virtio_uring_awake(u);
 *	} while (virtio_uring_is_ready(u));
 */
#pragma once

#include <glib.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/syscall_rule.h"

/* The most pieces of one read or write. */
#define VIRTIO_URING_MAX_IOV 128u

struct virtio_uring;

/* What using rings takes, in the table of a device's needs; making one takes more. */
#define VIRTIO_URING_SYSCALLS    \
	SYSCALL(io_uring_enter), \
		SYSCALL_IF(io_uring_register, 1, UINT32_MAX, IORING_REGISTER_ENABLE_RINGS)

enum virtio_uring_op {
	VIRTIO_URING_END, /* of a list */
	VIRTIO_URING_READ,
	VIRTIO_URING_WRITE,
	VIRTIO_URING_SYNC,
	VIRTIO_URING_ALLOCATE,
	VIRTIO_URING_RECVMSG,
	VIRTIO_URING_SENDMSG,
};

struct virtio_uring_setup {
	const int *files; /* operations name them by their index; may be closed afterwards */
	unsigned n_files;
	const enum virtio_uring_op *ops; /* what is allowed */
	unsigned max; /* operations at a time; the device sees to it */
};

/* An operation that has ended: its tag, and 0, a length or -errno. */
struct virtio_uring_event {
	void *tag;
	int result;
};

/* Returns NULL, with an error, where the kernel or the program's sandbox does not allow it. */
struct virtio_uring *virtio_uring_new(const struct virtio_uring_setup *setup, GError **error);
/* NULL is allowed. */
void virtio_uring_free(struct virtio_uring *u);

/*
 * Makes the ring the calling thread's, once, before anything that follows; the fd alone may be had
 * earlier. Returns 0 or -errno.
 */
int virtio_uring_enable(struct virtio_uring *u);
/* Returns an fd that is readable when events may be there, until virtio_uring_awake() is called. */
int virtio_uring_fd(const struct virtio_uring *u);
void virtio_uring_awake(struct virtio_uring *u);
/* Returns true if events may be there that came before virtio_uring_awake() and were not seen. */
bool virtio_uring_is_ready(const struct virtio_uring *u);

/* Prepares a read or a write. n is at most VIRTIO_URING_MAX_IOV; iov itself need not last. */
void virtio_uring_transfer(struct virtio_uring *u, bool write, unsigned file,
	const struct iovec *iov, unsigned n, uint64_t offset, void *tag);
/* Prepares an fdatasync(). */
void virtio_uring_sync(struct virtio_uring *u, unsigned file, void *tag);
/* Prepares a fallocate(). */
void virtio_uring_allocate(
	struct virtio_uring *u, unsigned file, int mode, uint64_t offset, uint64_t len, void *tag);
/* Prepare a recvmsg() or a sendmsg() with these flags. msg lasts until the operation has ended. */
void virtio_uring_recvmsg(
	struct virtio_uring *u, unsigned file, struct msghdr *msg, unsigned flags, void *tag);
void virtio_uring_sendmsg(
	struct virtio_uring *u, unsigned file, const struct msghdr *msg, unsigned flags, void *tag);
/*
 * Begins what is prepared, if there is anything. What the kernel refuses to take ends with -EAGAIN:
 * do it in another way.
 */
void virtio_uring_submit(struct virtio_uring *u);
/*
 * Moves the next events, at most max, to event; returns how many. fetch: by a system call, if the
 * kernel holds any back for it.
 */
unsigned virtio_uring_reap(
	struct virtio_uring *u, bool fetch, struct virtio_uring_event *event, unsigned max);
