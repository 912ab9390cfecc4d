/* SPDX-License-Identifier: Apache-2.0 */
/* The switch: streams of a few members, cut anywhere, and their frames; settings; queues. */
#include "tests/fuzz/fuzz.h"

#include <endian.h>
#include <string.h>

#include "base/iov.h"
#include "net/stream.h"
#include "tools/switch/bridge.h"
#include "tools/switch/send_queue.h"
#include "tools/switch/settings.h"

#define MEMBERS 4
#define READ_SIZE 4096

static struct bridge bridge;
static struct bridge_member members[MEMBERS];
static struct net_stream_in streams[MEMBERS];
static struct send_queue queue;
static uint8_t stream[NET_STREAM_HEAD + NET_MAX_FRAME];

/* Checks what a member gets, and queues it, so that all of it is read. */
static void on_send(
	struct bridge_member *to, const struct bridge_member *from, const struct bridge_frame *f)
{
	size_t len = f->iov[0].iov_len + (f->n > 1 ? f->iov[1].iov_len : 0);
	struct iov_cursor c = iov_cursor(f->iov, f->n, len);
	uint32_t head;

	g_assert_true(to != from && !(to->isolated && from->isolated));
	g_assert_cmpuint(len, ==, NET_STREAM_HEAD + f->len);
	memcpy(&head, f->iov[0].iov_base, sizeof(head));
	g_assert_cmpuint(be32toh(head), ==, f->len);
	g_assert_true(f->len >= NET_MIN_FRAME && f->len <= NET_MAX_FRAME);
	if (!send_queue_put(&queue, from->number, &c, len))
		send_queue_take(&queue, queue.used);
}

/* Feeds a part of a stream: len bytes of it are in the buffer. */
static void feed(struct net_stream_in *in, struct bridge_member *from, uint32_t now)
{
	const uint8_t *frame;
	ssize_t len;

	while ((len = net_stream_next(in, &frame)) > 0) {
		if (!bridge_has_room(&bridge))
			bridge_release(&bridge);
		bridge_input(&bridge, from, in->buf + (frame - in->buf), (uint32_t)len, now);
	}
	if (len < 0)
		net_stream_in_reset(in);
	bridge_release(&bridge);
}

static void receive(struct fuzz_input *in, uint32_t now)
{
	unsigned from = fuzz_below(in, MEMBERS);
	struct net_stream_in *s = &streams[from];
	size_t len = fuzz_below(in, 512);

	if (s->size - s->end < len)
		net_stream_in_reset(s);
	fuzz_copy(in, s->buf + s->end, len);
	s->end += len;
	feed(s, &members[from], now);
}

/* Has a member send a frame that is one, with a tag or without. */
static void send_frame(struct fuzz_input *in, uint32_t now)
{
	unsigned from = fuzz_below(in, MEMBERS);
	uint32_t len = NET_MIN_FRAME + fuzz_below(in, 65536), head = htobe32(len);
	uint8_t *frame = stream + NET_STREAM_HEAD;

	memcpy(stream, &head, sizeof(head));
	memset(frame, 0, 2 * NET_MAC_SIZE + 10);
	frame[5] = fuzz_below(in, 6);
	frame[11] = fuzz_below(in, 6);
	fuzz_copy(in, frame + 12, 2);
	fuzz_copy(in, frame + 14, MIN(6, len - 14));
	bridge_input(&bridge, &members[from], frame, len, now);
	bridge_release(&bridge);
}

static void leave_and_come(struct fuzz_input *in)
{
	struct bridge_member *m = &members[fuzz_below(in, MEMBERS)];

	bridge_remove(&bridge, m);
	m->native = fuzz_below(in, 4);
	m->isolated = fuzz_below(in, 2);
	memset(&m->tagged, 0, sizeof(m->tagged));
	m->tagged.bits[0] = fuzz_u8(in) & ~1u;
	g_assert_true(bridge_add(&bridge, m));
}

static void parse(struct fuzz_input *in)
{
	g_autofree char *text = fuzz_string(in);
	g_autoptr(GError) error = NULL;
	struct port_settings *s = port_settings_parse(text, fuzz_below(in, 2), &error);

	g_assert_true(!s == !!error);
	if (s)
		s->fd = -1; /* whose it is is not known */
	port_settings_free(s);
}

static void start(void)
{
	bridge_init(&bridge, on_send, MEMBERS, 2 * MAC_TABLE_WAYS, 2, 1);
	send_queue_init(&queue, BRIDGE_MAX_MEMBERS);
	for (unsigned i = 0; i < MEMBERS; i++) {
		members[i] = (struct bridge_member){ .native = 1 };
		bridge_add(&bridge, &members[i]);
		net_stream_in_init(&streams[i], READ_SIZE, READ_SIZE / 2);
	}
}

static void run(struct fuzz_input *in)
{
	uint32_t now = 0;

	start();
	while (fuzz_more(in)) {
		switch (fuzz_below(in, 6)) {
		case 0:
		case 1:
			receive(in, now);
			break;
		case 2:
			send_frame(in, now);
			break;
		case 3:
			leave_and_come(in);
			break;
		case 4:
			parse(in);
			break;
		case 5:
			now += fuzz_u8(in);
			send_queue_take(&queue, queue.used / 2);
			break;
		}
	}
	for (unsigned i = 0; i < MEMBERS; i++)
		net_stream_in_free(&streams[i]);
	send_queue_free(&queue);
	bridge_clear(&bridge);
}

FUZZ_TARGET(switching, .run = run);
