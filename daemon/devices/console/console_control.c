/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control queue (virtio 1.2 §5.3.6.2). What is to be told about a port is a set of bits, not a
 * list: a guest that gives no buffers makes nothing grow, and is told the present state later.
 */
#include <linux/virtio_console.h>
#include <string.h>

#include "console.h"

/*
 * As the specification has it. Linux read the rows first for years; Debian's kernels of 2026 (6.1,
 * 7.3) read the columns first. What a driver reads cannot be told from its features.
 */
struct console_resize {
	uint16_t cols, rows;
};

static const struct {
	enum console_news news;
	uint16_t event, value;
} messages[] = {
	/* In the order in which they are sent. */
	{ CONSOLE_NEWS_ADD, VIRTIO_CONSOLE_PORT_ADD, 1 },
	{ CONSOLE_NEWS_CONSOLE, VIRTIO_CONSOLE_CONSOLE_PORT, 1 },
	{ CONSOLE_NEWS_SIZE, VIRTIO_CONSOLE_RESIZE, 0 },
	{ CONSOLE_NEWS_NAME, VIRTIO_CONSOLE_PORT_NAME, 1 },
	{ CONSOLE_NEWS_CLOSED, VIRTIO_CONSOLE_PORT_OPEN, 0 },
	{ CONSOLE_NEWS_OPENED, VIRTIO_CONSOLE_PORT_OPEN, 1 },
};

/* Appends what belongs to the event. */
static void push_payload(const struct console_port *p, uint16_t event, struct iov_cursor *in)
{
	const struct console_resize size = { htole16(p->cols), htole16(p->rows) };

	if (event == VIRTIO_CONSOLE_RESIZE)
		iov_push(in, &size, sizeof(size));
	else if (event == VIRTIO_CONSOLE_PORT_NAME)
		iov_push(in, p->name, strlen(p->name));
}

/* Returns false if there is no buffer. */
static bool send(struct vq *q, const struct console_port *p, unsigned number, unsigned message)
{
	const struct virtio_console_control header = {
		.id = htole32(number),
		.event = htole16(messages[message].event),
		.value = htole16(messages[message].value),
	};
	g_autoptr(vq_chain) c = vq_pop(q);

	if (!c)
		return false;
	if (iov_left(&c->in) < sizeof(header) + sizeof(struct console_resize)) {
		vq_break(q, "a control buffer is of %zu bytes (at least 12)", iov_left(&c->in));
		return false;
	}
	iov_push(&c->in, &header, sizeof(header));
	push_payload(p, messages[message].event, &c->in);
	return true;
}

static bool send_news(struct console_device *c, struct vq *q, struct console_port *p)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(messages); i++) {
		unsigned news = messages[i].news;

		if (!(p->to_send & news) || (news != CONSOLE_NEWS_ADD && !p->guest_ready))
			continue;
		if (!send(q, p, p - c->port, i))
			return false;
		p->to_send &= ~news;
	}
	return true;
}

void console_control_send(struct console_device *c, struct virtio_device *d)
{
	struct vq *q = c->multiport ? virtio_device_queue(d, CONSOLE_CONTROL_RX) : NULL;

	for (unsigned i = 0; q && i < c->n_ports; i++) {
		if (!send_news(c, q, &c->port[i]))
			return;
	}
}

void console_tell(struct console_device *c, struct console_port *p, unsigned news)
{
	p->to_send |= news;
	console_control_send(c, p->d);
}

void console_tell_connection(struct console_device *c, struct console_port *p)
{
	/* Its end may have had another client in between. */
	console_tell(c, p, CONSOLE_NEWS_CLOSED | (p->end.connected ? CONSOLE_NEWS_OPENED : 0));
}

/* Returns what a guest that has just learnt of the port is told. */
static unsigned introduction(const struct console_port *p)
{
	return (p->is_console ? CONSOLE_NEWS_CONSOLE | CONSOLE_NEWS_SIZE : 0) |
		(p->name ? CONSOLE_NEWS_NAME : 0) | (p->end.connected ? CONSOLE_NEWS_OPENED : 0);
}

static void take_open(struct console_port *p, unsigned number, bool open)
{
	struct json *event = virtio_event_begin(p->d, "guest-open");

	if (event) {
		json_uint(event, "port", number);
		json_bool(event, "open", open);
		virtio_event_end(p->d, event);
	}
	p->guest_open = open || p->is_console;
	console_port_run(p);
}

static void obey(struct console_device *c, unsigned id, uint16_t event, uint16_t value)
{
	struct console_port *p = id < c->n_ports ? &c->port[id] : NULL;

	if (event == VIRTIO_CONSOLE_DEVICE_READY) {
		c->in_step = true;
		for (unsigned i = 0; value && i < c->n_ports; i++)
			c->port[i].to_send |= CONSOLE_NEWS_ADD;
	} else if (!p) {
		log_limited(&c->limit, LOG_LEVEL_WARNING, "control queue",
			"the guest names port %u (there are %u)", id, c->n_ports);
	} else if (event == VIRTIO_CONSOLE_PORT_READY && value) {
		p->guest_ready = true;
		p->to_send |= introduction(p);
	} else if (event == VIRTIO_CONSOLE_PORT_READY) {
		log_limited(&c->limit, LOG_LEVEL_WARNING, p->label, "the guest does not take it");
	} else if (event == VIRTIO_CONSOLE_PORT_OPEN) {
		take_open(p, id, value);
	}
}

static bool receive_one(struct console_device *c, struct vq *q)
{
	g_autoptr(vq_chain) chain = vq_pop(q);
	struct virtio_console_control m;

	if (!chain)
		return false;
	if (iov_pull(&chain->out, &m, sizeof(m)) < sizeof(m)) {
		vq_break(q, "a control message is shorter than %zu bytes", sizeof(m));
		return false;
	}
	obey(c, le32toh(m.id), le16toh(m.event), le16toh(m.value));
	return true;
}

void console_control_receive(struct console_device *c, struct virtio_device *d, struct vq *q)
{
	while (receive_one(c, q))
		;
	console_control_send(c, d);
}

void console_control_catch_up(struct console_device *c, struct virtio_device *d)
{
	c->in_step = true;
	for (unsigned i = 0; i < c->n_ports; i++) {
		struct console_port *p = &c->port[i];

		/* It may not be, and then the guest drops what it gets. */
		p->guest_ready = p->guest_open = true;
		p->to_send |= CONSOLE_NEWS_ADD | CONSOLE_NEWS_CLOSED | introduction(p);
	}
	console_control_send(c, d);
}
