/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remote processor messaging, which the virtio specification leaves out: as Linux has it
 * (drivers/rpmsg/virtio_rpmsg_bus.c). Both queues have one thread. A message that cannot be passed
 * on yet keeps its place in the guest's ring.
 */
#include "rpmsg.h"

#include <linux/virtio_ids.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"

static struct {
	char **services; /* of --service, each as it was given; NULL: none */
} options;

static struct rpmsg_service *find(struct rpmsg_device *r, uint32_t address)
{
	for (unsigned i = 0; i < r->n_services; i++) {
		if (r->service[i].address == address)
			return &r->service[i];
	}
	return NULL;
}

/* From the guest. */

/* Returns false, with the message still in the queue, if there is no buffer for its answer. */
static bool echo(struct rpmsg_service *s, struct vq_chain *c, size_t len)
{
	struct vq *rx = virtio_device_queue(s->r->d, RPMSG_RX);
	struct iov_cursor head;
	struct vq_chain *answer = rpmsg_buffer(rx, len, &head);
	struct iovec iov;
	unsigned n;

	if (!answer) {
		vq_unpop(c);
		return false;
	}
	for (size_t left = len; left; left -= iov.iov_len) {
		iov_peek(&c->out, left, &iov, 1, &n);
		iov_push(&answer->in, iov.iov_base, iov.iov_len);
		iov_skip(&c->out, iov.iov_len);
	}
	rpmsg_send(answer, &head, s->address, s->peer);
	vq_push(c);
	return true;
}

static bool take(struct rpmsg_device *r, struct vq_chain *c, const struct rpmsg_header *h)
{
	uint32_t destination = le32toh(h->destination);
	struct rpmsg_service *s = find(r, destination);
	uint16_t len = le16toh(h->len);

	if (s) {
		s->has_peer = true;
		s->peer = le32toh(h->source);
	}
	if (s && s->echo)
		return echo(s, c, len);
	if (s) {
		rpmsg_service_take(s, c, len);
		return true;
	}
	if (destination == RPMSG_NS_ADDRESS)
		rpmsg_take_announcement(r, c, len);
	else
		log_limited(&r->limit, LOG_LEVEL_WARNING, NULL,
			"a message to address %u, where there is no service: dropped", destination);
	vq_push(c);
	return true;
}

/* Returns false if nothing more can be taken now. */
static bool receive(struct rpmsg_device *r, struct vq *tx)
{
	g_autoptr(vq_chain) c = vq_pop(tx);
	struct rpmsg_header h;

	if (!c)
		return false;
	if (iov_pull(&c->out, &h, sizeof(h)) < sizeof(h)) {
		vq_break(tx, "a message is shorter than its header of %zu bytes", sizeof(h));
		return false;
	}
	if (le16toh(h.len) > iov_left(&c->out)) {
		vq_break(tx, "a message of %u bytes is in a buffer for %zu", le16toh(h.len),
			iov_left(&c->out));
		return false;
	}
	return take(r, g_steal_pointer(&c), &h);
}

/* To the guest. */

/* Notes what the guest is to be told of an end that was connected, or lost. */
static void look(struct rpmsg_service *s)
{
	struct json *event;

	if (s->connections == s->end.connections)
		return;
	s->connections = s->end.connections;
	s->news = (s->told ? RPMSG_NEWS_DESTROY : 0) | (s->end.connected ? RPMSG_NEWS_CREATE : 0);
	event = virtio_event_begin(s->r->d, "host-open");
	if (!event)
		return;
	json_string(event, "service", s->name);
	json_uint(event, "address", s->address);
	json_bool(event, "open", s->end.connected);
	virtio_event_end(s->r->d, event);
}

static void announce(struct rpmsg_device *r, struct vq *rx)
{
	for (unsigned i = 0; i < r->n_services; i++) {
		look(&r->service[i]);
		if (rx && !rpmsg_announce(&r->service[i], rx))
			return;
	}
}

/* Sends what the services have, one message each in turn. */
static void send(struct rpmsg_device *r, struct vq *rx)
{
	for (unsigned idle = 0; rx && idle < r->n_services; idle++) {
		struct rpmsg_service *s = &r->service[r->next++ % r->n_services];

		if (rpmsg_service_read(s, rx))
			idle = -1;
	}
}

void rpmsg_run(struct rpmsg_device *r)
{
	struct vq *rx = virtio_device_queue(r->d, RPMSG_RX);
	struct vq *tx = virtio_device_queue(r->d, RPMSG_TX);

	announce(r, rx);
	for (unsigned i = 0; tx && i < r->n_services; i++)
		rpmsg_service_write(&r->service[i]);
	while (tx && receive(r, tx))
		;
	send(r, rx);
	announce(r, rx); /* an end may have been lost */
}

static void rpmsg_kick(struct virtio_device *d, struct vq *q)
{
	rpmsg_run(d->data);
}

/* Has all services announced. told: the guest may know some. */
static void introduce(struct rpmsg_device *r, bool told)
{
	for (unsigned i = 0; i < r->n_services; i++) {
		struct rpmsg_service *s = &r->service[i];

		s->told = told;
		s->news = told ? RPMSG_NEWS_DESTROY : 0;
		if (rpmsg_service_is_connected(s))
			s->news = RPMSG_NEWS_CREATE;
	}
}

static void rpmsg_queue_start(struct virtio_device *d, struct vq *q)
{
	struct rpmsg_device *r = d->data;

	if (vq_index(q) != RPMSG_RX || r->in_step)
		return;
	/* What another process has announced is not known: the present state is told again. */
	introduce(r, vq_is_resumed(q));
	r->in_step = true;
}

static void rpmsg_queue_stop(struct virtio_device *d, struct vq *q)
{
	struct rpmsg_device *r = d->data;

	for (unsigned i = 0; vq_index(q) == RPMSG_TX && i < r->n_services; i++)
		rpmsg_service_keep(&r->service[i]);
}

static void rpmsg_reset(struct virtio_device *d)
{
	struct rpmsg_device *r = d->data;

	for (unsigned i = 0; i < r->n_services; i++) {
		r->service[i].has_peer = false;
		r->service[i].sent = 0;
	}
	introduce(r, false);
}

/* Opening. */

/* Parses "NAME[@ADDRESS],backend=KIND", which is changed. */
static bool parse_service(struct rpmsg_service *s, char *text, char **backend, GError **error)
{
	char *comma = strchr(text, ','), *at;
	uint64_t address = s->address;

	*backend = NULL;
	if (comma && g_str_has_prefix(comma, ",backend="))
		*backend = comma + strlen(",backend=");
	if (!*backend)
		return option_bad(
			error, "invalid --service: '%s' (NAME[@ADDRESS],backend=KIND)", text);
	*comma = 0;
	at = strrchr(text, '@');
	if (at)
		*at++ = 0;
	if (!*text || strlen(text) >= sizeof(s->name))
		return option_bad(error, "invalid name of a service: '%s' (1 to %zu bytes)", text,
			sizeof(s->name) - 1);
	if (at && (!number_parse(at, 0, UINT32_MAX, &address) || address == RPMSG_NS_ADDRESS))
		return option_bad(error,
			"invalid address of a service: '%s' (a number of 32 bits, not %u)", at,
			RPMSG_NS_ADDRESS);
	g_strlcpy(s->name, text, sizeof(s->name));
	s->address = address;
	return true;
}

static bool open_service(struct rpmsg_device *r, char *text, GError **error)
{
	struct rpmsg_service *s = &r->service[r->n_services];
	char *backend;

	if (r->n_services == RPMSG_MAX_SERVICES)
		return option_bad(error, "more than %u of --service", RPMSG_MAX_SERVICES);
	*s = (struct rpmsg_service){ .r = r, .address = RPMSG_FIRST_ADDRESS + r->n_services };
	g_queue_init(&s->waiting);
	if (!parse_service(s, text, &backend, error))
		return false;
	if (find(r, s->address))
		return option_bad(error, "--service: two have address %u", s->address);
	r->n_services++;
	return rpmsg_service_open(s, backend, error);
}

static bool rpmsg_open(struct virtio_device *d, GError **error)
{
	struct rpmsg_device *r = d->data = g_new0(struct rpmsg_device, 1);
	char initial[] = "rpmsg-raw,backend=echo";
	char *const defaults[] = { initial, NULL };

	r->d = d;
	for (char *const *text = options.services ? options.services : defaults; *text; text++) {
		if (!open_service(r, *text, error))
			return false;
	}
	return true;
}

static void rpmsg_close(struct virtio_device *d)
{
	struct rpmsg_device *r = g_steal_pointer(&d->data);

	for (unsigned i = 0; i < r->n_services; i++)
		rpmsg_service_close(&r->service[i]);
	g_free(r);
	g_clear_pointer(&options.services, g_strfreev);
}

/* The control socket. */

static bool call_services(
	struct virtio_device *d, const struct virtio_arg *args, struct json *result, GError **error)
{
	const struct rpmsg_device *r = d->data;

	json_open_array(result, "services");
	for (unsigned i = 0; i < r->n_services; i++) {
		const struct rpmsg_service *s = &r->service[i];

		json_open_object(result, NULL);
		json_string(result, "service", s->name);
		json_uint(result, "address", s->address);
		json_string(result, "backend", rpmsg_service_kind(s));
		json_string(result, "path", s->end.path);
		json_bool(result, "host_open", rpmsg_service_is_connected(s));
		json_bool(result, "has_peer", s->has_peer);
		json_uint(result, "peer", s->peer);
		json_uint(result, "waiting", g_queue_get_length((GQueue *)&s->waiting));
		json_close_object(result);
	}
	json_close_array(result);
	return true;
}

static const struct virtio_method rpmsg_methods[] = {
	{ "services", "Show the services and what they are connected to", { { NULL } },
		call_services },
	{ NULL },
};

static const struct option_entry rpmsg_options[] = {
	{ "service", "NAME[@ADDRESS],backend=KIND", .paths = &options.services,
		.help = "A service: echo, stdio, pty, null, unix:PATH or file:PATH; may be given "
			"up "
			"to 64 times (default: rpmsg-raw,backend=echo)" },
	{ NULL },
};

static const struct virtio_device_needs rpmsg_needs = {
	.calls = console_end_calls, .files = RPMSG_MAX_SERVICES, /* clients */
};

const struct virtio_device_ops virtio_device_ops = {
	.name = "rpmsg",
	.type = "rpmsg",
	.summary = "virtio remote processor messaging",
	.probe = { .device_id = VIRTIO_ID_RPMSG,
		.features = 1ull << RPMSG_F_NS,
		.min_queues = 2,
		.max_queues = 2 },
	.threads = VIRTIO_DEVICE_ONE,
	.any_order = true,
	.options = rpmsg_options,
	.methods = rpmsg_methods,
	.needs = &rpmsg_needs,
	.open = rpmsg_open,
	.close = rpmsg_close,
	.reset = rpmsg_reset,
	.queue_start = rpmsg_queue_start,
	.queue_stop = rpmsg_queue_stop,
	.kick = rpmsg_kick,
};
