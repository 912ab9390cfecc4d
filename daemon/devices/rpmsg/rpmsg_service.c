/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a service: messages are written as bytes, and bytes are sent as messages. */
#include <string.h>

#include "rpmsg.h"

#define MAX_IOV 16
#define MAX_PAYLOAD (RPMSG_MAX_MESSAGE - sizeof(struct rpmsg_header))

bool rpmsg_service_is_connected(const struct rpmsg_service *s)
{
	return s->echo || s->end.connected;
}

const char *rpmsg_service_kind(const struct rpmsg_service *s)
{
	return s->echo ? "echo" : console_end_kind(&s->end);
}

static void on_ready(struct console_end *e)
{
	rpmsg_run(container_of(e, struct rpmsg_service, end)->r);
}

bool rpmsg_service_open(struct rpmsg_service *s, const char *backend, GError **error)
{
	s->echo = !strcmp(backend, "echo");
	if (s->echo)
		return true;
	s->end.name = s->name;
	s->end.ready = on_ready;
	if (!console_end_open(&s->end, s->r->d, backend, error))
		return false;
	s->connections = s->end.connections;
	return true;
}

void rpmsg_service_close(struct rpmsg_service *s)
{
	console_end_close(&s->end);
}

/* Writes a message. Returns whether all of it is written. */
static bool write_some(struct rpmsg_service *s, struct vq_chain *c)
{
	struct iovec iov[MAX_IOV];
	unsigned n;
	size_t done;

	while (iov_left(&c->out)) {
		console_end_look(&s->end);
		iov_peek(&c->out, SIZE_MAX, iov, MAX_IOV, &n);
		done = console_end_write(&s->end, iov, n);
		if (!done)
			return false;
		iov_skip(&c->out, done);
	}
	return true;
}

void rpmsg_service_take(struct rpmsg_service *s, struct vq_chain *c, size_t len)
{
	struct iov_cursor rest;

	iov_split_tail(&c->out, iov_left(&c->out) - len, &rest);
	if (vq_is_retry(c) && s->sent) {
		iov_skip(&c->out, s->sent);
		s->sent = 0;
	}
	if (g_queue_is_empty(&s->waiting) && write_some(s, c))
		vq_push(c);
	else
		g_queue_push_tail(&s->waiting, c);
}

void rpmsg_service_write(struct rpmsg_service *s)
{
	while (!g_queue_is_empty(&s->waiting) && write_some(s, g_queue_peek_head(&s->waiting)))
		vq_push(g_queue_pop_head(&s->waiting));
}

bool rpmsg_service_read(struct rpmsg_service *s, struct vq *rx)
{
	struct iov_cursor head;
	struct iovec iov[MAX_IOV];
	struct vq_chain *c;
	unsigned n;
	size_t got;

	if (s->echo || !s->has_peer || !s->end.readable)
		return false;
	c = rpmsg_buffer(rx, 1, &head);
	if (!c)
		return false;
	iov_peek(&c->in, MAX_PAYLOAD, iov, MAX_IOV, &n);
	got = console_end_read(&s->end, iov, n);
	if (got) {
		iov_skip(&c->in, got);
		rpmsg_send(c, &head, s->address, s->peer);
	} else {
		vq_unpop(c);
	}
	return got;
}

void rpmsg_service_keep(struct rpmsg_service *s)
{
	const struct vq_chain *first = g_queue_peek_head(&s->waiting);

	s->sent = first ? iov_done(&first->out) - sizeof(struct rpmsg_header) : 0;
	while (!g_queue_is_empty(&s->waiting))
		vq_keep(g_queue_pop_head(&s->waiting));
}
