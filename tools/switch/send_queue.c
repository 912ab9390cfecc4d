/* SPDX-License-Identifier: Apache-2.0 */
/* See send_queue.h. */
#include "tools/switch/send_queue.h"

#include <glib.h>
#include <string.h>

void send_queue_init(struct send_queue *q, unsigned sources)
{
	*q = (struct send_queue){
		.bytes = g_malloc(SEND_QUEUE_SIZE),
		.frames = g_new(struct send_queue_frame, SEND_QUEUE_FRAMES),
		.held = g_new0(uint32_t, sources),
	};
}

void send_queue_free(struct send_queue *q)
{
	g_clear_pointer(&q->bytes, g_free);
	g_clear_pointer(&q->frames, g_free);
	g_clear_pointer(&q->held, g_free);
}

void send_queue_reset(struct send_queue *q, unsigned sources)
{
	q->start = q->used = q->first = q->n = q->cost = 0;
	memset(q->held, 0, sources * sizeof(*q->held));
}

static void append(struct send_queue *q, unsigned from, struct iov_cursor *c, uint32_t len)
{
	uint32_t at = (q->start + q->used) % SEND_QUEUE_SIZE, head = MIN(len, SEND_QUEUE_SIZE - at);
	struct send_queue_frame *f = &q->frames[(q->first + q->n++) % SEND_QUEUE_FRAMES];

	iov_pull(c, q->bytes + at, head);
	iov_pull(c, q->bytes, len - head);
	q->used += len;
	*f = (struct send_queue_frame){ len, len + SEND_QUEUE_FRAME, from };
	q->cost += f->cost;
	q->held[from] += f->cost;
}

bool send_queue_put(struct send_queue *q, unsigned from, struct iov_cursor *c, uint32_t len)
{
	uint32_t room = SEND_QUEUE_SIZE - MIN(q->cost, SEND_QUEUE_SIZE);

	if (q->held[from] + len + SEND_QUEUE_FRAME > room)
		return false;
	append(q, from, c, len);
	return true;
}

void send_queue_keep(struct send_queue *q, unsigned from, struct iov_cursor *c, uint32_t len)
{
	append(q, from, c, len);
}

unsigned send_queue_peek(const struct send_queue *q, struct iovec iov[2])
{
	uint32_t head = MIN(q->used, SEND_QUEUE_SIZE - q->start);

	if (!q->used)
		return 0;
	iov[0] = (struct iovec){ q->bytes + q->start, head };
	iov[1] = (struct iovec){ q->bytes, q->used - head };
	return head < q->used ? 2 : 1;
}

void send_queue_take(struct send_queue *q, uint32_t len)
{
	q->start = (q->start + len) % SEND_QUEUE_SIZE;
	q->used -= len;
	while (len) {
		struct send_queue_frame *f = &q->frames[q->first];
		uint32_t n = MIN(len, f->len);

		len -= n;
		f->len -= n;
		if (f->len)
			return;
		q->cost -= f->cost;
		q->held[f->from] -= f->cost;
		q->first = (q->first + 1) % SEND_QUEUE_FRAMES;
		q->n--;
	}
}
