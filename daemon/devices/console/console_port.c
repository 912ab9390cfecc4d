/* SPDX-License-Identifier: Apache-2.0 */
/* See console_port.h. */
#include "console_port.h"

#include <stdio.h>

#define MAX_IOV 64
#define MAX_BYTES (256u << 10) /* in one call */

/* Writes what the host takes. Returns whether the request is at its end. */
static bool write_some(struct console_port *p)
{
	struct iov_cursor *out = &p->sending->out;
	struct iovec iov[MAX_IOV];
	unsigned n;
	size_t done;

	while (iov_left(out)) {
		console_end_look(&p->end);
		if (!p->end.connected && p->is_console) {
			iov_finish(out);
			break;
		}
		iov_peek(out, MAX_BYTES, iov, MAX_IOV, &n);
		done = console_end_write(&p->end, iov, n);
		if (!done && (p->end.connected || !p->is_console))
			return false;
		iov_skip(out, done);
	}
	return true;
}

/* Takes the next request. One that was kept goes on where it was. */
static bool take(struct console_port *p, struct vq *q)
{
	p->sending = vq_pop(q);
	if (!p->sending)
		return false;
	if (vq_is_retry(p->sending))
		iov_skip(&p->sending->out, p->sent);
	p->sent = 0;
	return true;
}

static void run_tx(struct console_port *p)
{
	struct vq *q = virtio_device_queue(p->d, p->tx);

	while (q && (p->sending || take(p, q)) && write_some(p))
		vq_push(g_steal_pointer(&p->sending));
}

/* Fills one buffer. Returns false when there is nothing more to do. */
static bool fill(struct console_port *p, struct vq *q)
{
	g_autoptr(vq_chain) c = vq_pop(q);
	struct iovec iov[MAX_IOV];
	unsigned n;
	size_t got;

	if (!c)
		return false;
	if (!iov_left(&c->in)) {
		vq_break(q, "a receive buffer has no room");
		return false;
	}
	iov_peek(&c->in, MAX_BYTES, iov, MAX_IOV, &n);
	got = console_end_read(&p->end, iov, n);
	if (!got) {
		vq_unpop(g_steal_pointer(&c));
		return false;
	}
	iov_skip(&c->in, got);
	return true;
}

static void run_rx(struct console_port *p)
{
	struct vq *q = virtio_device_queue(p->d, p->rx);

	while (q && p->guest_open && p->end.readable && fill(p, q))
		;
}

void console_port_run(struct console_port *p)
{
	run_tx(p);
	run_rx(p);
	if (p->connections == p->end.connections)
		return;
	/* The guest reads all that came before it learns that the end has closed. */
	if (p->guest_open && console_end_has_rest(&p->end))
		return;
	p->connections = p->end.connections;
	if (p->changed)
		p->changed(p);
}

static void on_ready(struct console_end *e)
{
	console_port_run(container_of(e, struct console_port, end));
}

bool console_port_open(struct console_port *p, struct virtio_device *d, unsigned number,
	const char *backend, GError **error)
{
	snprintf(p->label, sizeof(p->label), "port %u", number);
	p->d = d;
	p->end.name = p->label;
	p->end.ready = on_ready;
	if (!console_end_open(&p->end, d, backend, error))
		return false;
	p->connections = p->end.connections;
	return true;
}

void console_port_close(struct console_port *p)
{
	console_end_close(&p->end);
	g_clear_pointer(&p->name, g_free);
}

void console_port_start(struct console_port *p, struct vq *q)
{
	if (vq_index(q) == p->tx && !vq_is_resumed(q))
		p->sent = 0;
}

void console_port_stop(struct console_port *p, struct vq *q)
{
	if (vq_index(q) != p->tx || !p->sending)
		return;
	/* The request ends when the reader has taken all of it, which may be never. */
	p->sent = iov_done(&p->sending->out);
	vq_keep(g_steal_pointer(&p->sending));
}

void console_port_reset(struct console_port *p)
{
	p->sent = 0;
	p->to_send = 0;
}
