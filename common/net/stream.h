/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames on a stream socket as QEMU's "-netdev stream" and passt exchange them: each after its
 * length, a big-endian 32-bit number. Neither direction makes a system call per frame, waits, or
 * allocates memory after its init().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "net/ethernet.h"

#define NET_STREAM_HEAD 4

/* Frames from the peer. */
struct net_stream_in {
	uint8_t *buf;
	size_t size, start, end; /* what was read and not taken: [start, end) */
	uint32_t max; /* the longest frame that is accepted */
};

/* size: bytes to read at a time; at least room for the longest frame, of max bytes, is made. */
void net_stream_in_init(struct net_stream_in *in, size_t size, uint32_t max);
void net_stream_in_free(struct net_stream_in *in);
/* Forgets what was read: for the next peer. */
void net_stream_in_reset(struct net_stream_in *in);
/*
 * Reads once, all that there is room for. Frames that were returned before become invalid. Returns
 * the bytes read, 0 at the end of the stream, or -errno: -EAGAIN, nothing there; -ENOBUFS, all room
 * is taken by frames that are to be taken first.
 */
ssize_t net_stream_read(struct net_stream_in *in, int fd);
/* Returns whether that took all that was there: to read once more before the next event is vain. */
static inline bool net_stream_is_drained(const struct net_stream_in *in)
{
	return in->end < in->size;
}

/*
 * Takes the next whole frame out of what was read. Returns its length, 0 if there is none yet, or
 * -EPROTO: the peer announces one of 0 or more than max bytes, and nothing that follows can be
 * understood.
 */
ssize_t net_stream_next(struct net_stream_in *in, const uint8_t **frame);
/* Puts back the frame that was taken last. */
void net_stream_untake(struct net_stream_in *in, size_t len);

/* Frames for the peer. */
struct net_frame {
	const struct iovec *iov; /* in n pieces */
	unsigned n;
	uint32_t len; /* the sum of their lengths */
};

/* At most so many frames are given at a time. */
#define NET_STREAM_BATCH 64

struct net_stream_out {
	uint8_t *rest; /* of a frame that was sent in part: [start, end) */
	size_t size, start, end;
};

/* max: the longest frame that will be sent. */
void net_stream_out_init(struct net_stream_out *out, uint32_t max);
void net_stream_out_free(struct net_stream_out *out);
void net_stream_out_reset(struct net_stream_out *out);
/*
 * Sends n frames, by one call. Returns how many were taken: of the last of these a part may be kept
 * here, to be sent before the next one or by net_stream_flush(). Fewer than n: there is no room for
 * more until the socket is writable, or they are of very many pieces (call it again for the rest).
 * Or returns -errno: -EAGAIN, none was taken.
 */
int net_stream_write(struct net_stream_out *out, int fd, const struct net_frame *f, unsigned n);
/* Sends what is kept here. Returns 0: nothing is any more; or -errno: -EAGAIN, no room. */
int net_stream_flush(struct net_stream_out *out, int fd);
/*
 * Sends pieces of a stream as they are, for who has frames with their lengths, by one call. Returns
 * the bytes sent, or -errno: -EAGAIN, no room.
 */
ssize_t net_stream_send(int fd, const struct iovec *iov, unsigned n);
