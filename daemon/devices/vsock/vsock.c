/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-vsock (virtio 1.3 §5.10): stream and seqpacket connections between a guest and Unix
 * sockets of the host. Connections are this process's: a driver that goes on after another one has
 * died is told that they are gone, by its event queue, or where a front-end keeps that for itself,
 * packet by packet.
 */
#include "daemon/devices/vsock/vsock.h"

#include <linux/virtio_ids.h>
#include <sys/resource.h>

#include "base/number.h"
#include "base/option.h"

#define MAX_CID 0xfffffffeu
#define MAX_CONNECTIONS 32768

static struct {
	unsigned cid, max_connections;
	char *path, *group;
	bool native;
	uint32_t native_port[VSOCK_MAX_NATIVE_PORTS];
	unsigned n_native_ports;
	uint64_t forward[VSOCK_MAX_FORWARD];
	unsigned n_forward;
} options;

/* What is needed once it is open: by number, and the sockets of the host. */
static const char *socket_stems[4];
static struct virtio_device_needs needs = { .socket_stems = socket_stems };
static char *stem;

void vsock_set_timer(struct vsock_conn *c, int64_t us)
{
	virtio_timer(c->v->d, NULL, &c->timer, us < 0 ? -1 : g_get_monotonic_time() + us);
}

void vsock_expired(struct virtio_device *d, struct vq *q, struct virtio_timer *t)
{
	struct vsock_conn *c = container_of(t, struct vsock_conn, timer);
	struct vsock *v = c->v;

	/* To connect, and to ask for credit, is tried again; what else is awaited has not come. */
	if (c->state == VSOCK_DIALLING) {
		vsock_dial(c);
	} else if (c->state == VSOCK_OPEN) {
		c->asked_credit = false;
		vsock_conn_ready(c);
	} else {
		vsock_conn_reset(c);
	}
	vsock_rx_run(v);
}

/* Tells the driver that all connections are gone. */
static void send_event(struct vsock *v, struct vq *q)
{
	const struct virtio_vsock_event event = { htole32(VSOCK_EVENT_TRANSPORT_RESET) };
	g_autoptr(vq_chain) c = v->must_reset ? vq_pop(q) : NULL;

	if (!c)
		return;
	if (iov_left(&c->in) < sizeof(event)) {
		vq_break(q, "an event's buffer has %zu bytes", iov_left(&c->in));
		return;
	}
	iov_push(&c->in, &event, sizeof(event));
	v->must_reset = false;
}

static void vsock_kick(struct virtio_device *d, struct vq *q)
{
	struct vsock *v = d->data;

	if (vq_index(q) == VSOCK_EVENT)
		send_event(v, q);
	if (vq_index(q) == VSOCK_TX)
		vsock_tx_run(v, q);
	vsock_rx_run(v);
}

static void forget_all(struct vsock *v)
{
	vsock_conns_free_all(v);
	v->n_resets = 0;
	v->stage_at = v->stage_end = 0;
}

static void vsock_reset(struct virtio_device *d)
{
	struct vsock *v = d->data;

	forget_all(v);
	v->must_reset = false;
}

/* Ends all connections: the guest has ended, or goes on with another front-end and is told. */
static void vsock_left(struct virtio_device *d)
{
	struct vsock *v = d->data;

	forget_all(v);
	v->begun = false;
}

static void vsock_queue_start(struct virtio_device *d, struct vq *q)
{
	struct vsock *v = d->data;

	v->features = d->driver_features;
	if (!v->begun && vq_is_resumed(q))
		v->must_reset = true;
	v->begun = true;
}

/* Lets this process open as many files as there can be connections. */
static void raise_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

/* Fills in the beginnings of the paths that are connected to later. */
static void name_sockets(struct vsock *v)
{
	const char **to = socket_stems;

	if (options.path) {
		v->path = g_strdup(options.path);
		*to++ = stem = g_strconcat(v->path, "_", NULL);
	}
	if (options.group) {
		*to++ = v->group = g_strconcat(options.group, "_", NULL);
		*to++ = v->group_records = g_strconcat(v->group, "seqpacket_", NULL);
	}
}

static bool vsock_open(struct virtio_device *d, GError **error)
{
	struct vsock *v = d->data = g_new0(struct vsock, 1);
	const uint64_t cid = htole64(options.cid);

	v->d = d;
	v->maker.fd = -1;
	for (unsigned i = 0; i < VSOCK_LISTENERS; i++)
		v->listener[i].fd = -1;
	v->guest_cid = options.cid;
	v->n_forward = options.n_forward;
	memcpy(v->forward, options.forward, sizeof(v->forward));
	v->native = options.native;
	v->n_native_ports = options.n_native_ports;
	memcpy(v->native_port, options.native_port, sizeof(v->native_port));
	if (!options.path && !v->native)
		return option_bad(error, "--uds-path=PATH is missing: no sockets to connect to");
	name_sockets(v);
	v->stage = g_malloc(VSOCK_STAGE);
	memcpy(d->config, &cid, sizeof(cid));
	needs.files = options.max_connections + VSOCK_LISTENERS;
	needs.calls = v->native ? vsock_native_calls : NULL;
	raise_limit();
	vsock_dial_open(v);
	return vsock_conns_open(v, options.max_connections, error) && vsock_listen_open(v, error);
}

static void vsock_close(struct virtio_device *d)
{
	struct vsock *v = g_steal_pointer(&d->data);

	vsock_conns_close(v);
	vsock_listen_close(v);
	vsock_dial_close(v);
	g_free(v->stage);
	g_free(v->path);
	g_free(v->group);
	g_free(v->group_records);
	g_free(v);
	memset(socket_stems, 0, sizeof(socket_stems));
	g_clear_pointer(&stem, g_free);
	g_clear_pointer(&options.path, g_free);
	g_clear_pointer(&options.group, g_free);
	options.n_forward = options.n_native_ports = 0;
}

static bool parse_forward(const char *text, GError **error)
{
	uint64_t cid;

	if (!number_parse(text, 0, MAX_CID, &cid) || options.n_forward == VSOCK_MAX_FORWARD)
		return option_bad(
			error, "a number up to %u, at most %d times", MAX_CID, VSOCK_MAX_FORWARD);
	options.forward[options.n_forward++] = cid;
	return true;
}

static bool parse_native_port(const char *text, GError **error)
{
	uint64_t port;

	if (!number_parse(text, 0, UINT32_MAX - 1, &port) ||
		options.n_native_ports == VSOCK_MAX_NATIVE_PORTS)
		return option_bad(error, "a number up to %u, at most %d times", UINT32_MAX - 1,
			VSOCK_MAX_NATIVE_PORTS);
	options.native_port[options.n_native_ports++] = (uint32_t)port;
	return true;
}

static const struct option_entry vsock_options[] = {
	{ "guest-cid", .number = &options.cid, .min = 3, .max = MAX_CID, .initial = "3",
		.help = "The guest's address" },
	{ "uds-path", "PATH", .path = &options.path,
		.help = "A socket for the host's connections; the guest's go to PATH_PORT" },
	{ "forward-cid", "CID", .parse = parse_forward,
		.help = "Serve the guest's connections to this address, too, as the host's" },
	{ "group", "PATH", .path = &options.group,
		.help = "Connect the guest to those whose programs have the same group: sockets "
			"PATH_CID and PATH_seqpacket_CID" },
	{ "native", .flag = &options.native,
		.help = "Connect the guest's streams to sockets of the host's kernel (AF_VSOCK): "
			"its "
			"own, and those of --forward-cid" },
	{ "native-port", "PORT", .parse = parse_native_port,
		.help = "Forward such streams of the host's processes to this port to the guest" },
	{ "max-connections", .number = &options.max_connections, .min = 1, .max = MAX_CONNECTIONS,
		.initial = "4096", .help = "How many there can be at a time" },
	{ NULL },
};

static const struct virtio_device_wire vsock_wire = { .left = vsock_left };

const struct virtio_device_ops virtio_device_ops = {
	.name = "vsock",
	.type = "vsock",
	.summary = "virtio sockets of a guest, connected to Unix sockets of the host",
	.probe = {
		.device_id = VIRTIO_ID_VSOCK,
		.features = 1ull << VSOCK_F_STREAM | 1ull << VIRTIO_VSOCK_F_SEQPACKET |
			1ull << VSOCK_F_NO_IMPLIED_STREAM,
		.config_size = sizeof(struct virtio_vsock_config),
		.min_queues = VSOCK_EVENT, /* a front-end may keep the event queue */
		.max_queues = VSOCK_QUEUES,
	},
	.threads = VIRTIO_DEVICE_ONE,
	.options = vsock_options,
	.methods = vsock_methods,
	.needs = &needs,
	.wire = &vsock_wire,
	.open = vsock_open,
	.close = vsock_close,
	.reset = vsock_reset,
	.queue_start = vsock_queue_start,
	.kick = vsock_kick,
};
