/* SPDX-License-Identifier: Apache-2.0 */
/* Taps: a call a frame is inherent. Frames are kept as those of streams are, after their length. */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "net/tap.h"
#include "tools/switch/port.h"

/* Frames that are read in one turn. */
#define READ_FRAMES 64

ssize_t port_tap_read(struct port *p)
{
	struct net_stream_in *in = &p->in;
	uint8_t header[NET_TAP_HEADER];
	ssize_t n = 0;

	net_stream_in_reset(in);
	while (n < READ_FRAMES && in->size - in->end >= NET_STREAM_HEAD + NET_MAX_FRAME) {
		uint8_t *frame = in->buf + in->end + NET_STREAM_HEAD;
		const struct iovec iov[] = { { header, p->has_header ? sizeof(header) : 0 },
			{ frame, NET_MAX_FRAME } };
		ssize_t got = readv(p->fd, iov, 2);
		uint32_t head;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= (ssize_t)iov[0].iov_len)
			return n ? n : got < 0 ? -errno : -EAGAIN;
		got -= (ssize_t)iov[0].iov_len;
		head = htobe32((uint32_t)got);
		memcpy(frame - NET_STREAM_HEAD, &head, sizeof(head));
		in->end += NET_STREAM_HEAD + (size_t)got;
		n++;
	}
	return n;
}

int port_tap_write(struct port *p, const struct bridge_frame *f)
{
	static uint8_t header[NET_TAP_HEADER]; /* no offload is asked for */
	struct iovec iov[] = { { header, p->has_header ? sizeof(header) : 0 }, f->iov[0],
		f->iov[1] };
	ssize_t n;

	iov[1].iov_base = (uint8_t *)iov[1].iov_base + NET_STREAM_HEAD;
	iov[1].iov_len -= NET_STREAM_HEAD;
	do
		n = writev(p->fd, iov, 1 + (int)f->n);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}
