/* SPDX-License-Identifier: Apache-2.0 */
/* See stream.h. */
#include "net/stream.h"

#include <endian.h>
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/iov.h"

/* Pieces of one call: a length and a few of each frame. */
#define MAX_IOV 512

void net_stream_in_init(struct net_stream_in *in, size_t size, uint32_t max)
{
	*in = (struct net_stream_in){ .max = max };
	in->size = MAX(size, NET_STREAM_HEAD + (size_t)max);
	in->buf = g_malloc(in->size);
}

void net_stream_in_free(struct net_stream_in *in)
{
	g_clear_pointer(&in->buf, g_free);
}

void net_stream_in_reset(struct net_stream_in *in)
{
	in->start = in->end = 0;
}

/* Makes room for the rest of the frame that has come in part, and for more. */
static void make_room(struct net_stream_in *in)
{
	size_t left = in->end - in->start;

	if (!left) {
		in->start = in->end = 0;
	} else if (in->start && in->size - in->end < NET_STREAM_HEAD + (size_t)in->max) {
		memmove(in->buf, in->buf + in->start, left);
		in->start = 0;
		in->end = left;
	}
}

ssize_t net_stream_read(struct net_stream_in *in, int fd)
{
	ssize_t n;

	make_room(in);
	if (in->end == in->size)
		return -ENOBUFS;
	do
		n = recv(fd, in->buf + in->end, in->size - in->end, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	in->end += (size_t)n;
	return n;
}

ssize_t net_stream_next(struct net_stream_in *in, const uint8_t **frame)
{
	size_t left = in->end - in->start;
	uint32_t len;

	if (left < NET_STREAM_HEAD)
		return 0;
	memcpy(&len, in->buf + in->start, sizeof(len));
	len = be32toh(len);
	if (!len || len > in->max)
		return -EPROTO;
	if (left - NET_STREAM_HEAD < len)
		return 0;
	*frame = in->buf + in->start + NET_STREAM_HEAD;
	in->start += NET_STREAM_HEAD + len;
	return (ssize_t)len;
}

void net_stream_untake(struct net_stream_in *in, size_t len)
{
	in->start -= NET_STREAM_HEAD + len;
}

void net_stream_out_init(struct net_stream_out *out, uint32_t max)
{
	*out = (struct net_stream_out){ .size = NET_STREAM_HEAD + (size_t)max };
	out->rest = g_malloc(out->size);
}

void net_stream_out_free(struct net_stream_out *out)
{
	g_clear_pointer(&out->rest, g_free);
}

void net_stream_out_reset(struct net_stream_out *out)
{
	out->start = out->end = 0;
}

ssize_t net_stream_send(int fd, const struct iovec *iov, unsigned n)
{
	const struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = n };
	ssize_t sent;

	do
		sent = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

int net_stream_flush(struct net_stream_out *out, int fd)
{
	while (out->start < out->end) {
		struct iovec iov = { out->rest + out->start, out->end - out->start };
		ssize_t sent = net_stream_send(fd, &iov, 1);

		if (sent < 0)
			return (int)sent;
		out->start += (size_t)sent;
	}
	out->start = out->end = 0;
	return 0;
}

/* Keeps a frame but for the first `sent` bytes, its length among them. */
static void keep(struct net_stream_out *out, const struct net_frame *f, size_t sent)
{
	struct iov_cursor c = iov_cursor(f->iov, f->n, f->len);
	uint32_t head = htobe32(f->len);

	memcpy(out->rest, &head, sizeof(head));
	if (sent > NET_STREAM_HEAD) {
		iov_skip(&c, sent - NET_STREAM_HEAD);
		out->end = NET_STREAM_HEAD + iov_pull(&c, out->rest + NET_STREAM_HEAD, out->size);
		out->start = NET_STREAM_HEAD;
	} else {
		out->end = NET_STREAM_HEAD + iov_pull(&c, out->rest + NET_STREAM_HEAD, f->len);
		out->start = sent;
	}
}

/* Returns how many frames were sent, the last of them perhaps in part: then the rest is kept. */
static unsigned account(
	struct net_stream_out *out, const struct net_frame *f, unsigned n, size_t sent)
{
	for (unsigned i = 0; i < n; i++) {
		size_t whole = NET_STREAM_HEAD + (size_t)f[i].len;

		if (!sent)
			return i;
		if (sent < whole) {
			keep(out, &f[i], sent);
			return i + 1;
		}
		sent -= whole;
	}
	return n;
}

int net_stream_write(struct net_stream_out *out, int fd, const struct net_frame *f, unsigned n)
{
	uint32_t head[NET_STREAM_BATCH];
	struct iovec iov[MAX_IOV];
	unsigned n_iov = 0, count = 0;
	ssize_t sent;
	int err = net_stream_flush(out, fd);

	if (err)
		return err;
	n = MIN(n, NET_STREAM_BATCH);
	if (n && f[0].n >= MAX_IOV) {
		keep(out, f, 0);
		err = net_stream_flush(out, fd);
		return err && err != -EAGAIN ? err : 1;
	}
	for (; count < n && n_iov + 1 + f[count].n <= MAX_IOV; count++) {
		head[count] = htobe32(f[count].len);
		iov[n_iov++] = (struct iovec){ &head[count], NET_STREAM_HEAD };
		memcpy(iov + n_iov, f[count].iov, f[count].n * sizeof(*iov));
		n_iov += f[count].n;
	}
	sent = count ? net_stream_send(fd, iov, n_iov) : 0;
	return sent < 0 ? (int)sent : (int)account(out, f, count, (size_t)sent);
}
