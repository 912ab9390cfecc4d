/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console device (virtio 1.2 §5.3). All queues have one thread; a port that waits for its
 * reader keeps one request, and others go on.
 */
#include "console.h"

#include <errno.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/choice.h"
#include "base/error.h"

#define DEFAULT_COLS 80
#define DEFAULT_ROWS 25
#define MAX_NAME 255
#define MAX_CELLS 65535

static struct {
	char *backend;
	char **ports; /* of --port, each as it was given; NULL: none */
} options;

/* Returns the port of a queue; NULL: it is a control queue. */
static struct console_port *port_of(struct console_device *c, unsigned queue)
{
	if (queue >= CONSOLE_CONTROL_RX && queue <= CONSOLE_CONTROL_TX)
		return NULL;
	return &c->port[queue < CONSOLE_CONTROL_RX ? 0 : queue / 2 - 1];
}

static void console_kick(struct virtio_device *d, struct vq *q)
{
	struct console_device *c = d->data;
	struct console_port *p = port_of(c, vq_index(q));

	if (p)
		console_port_run(p);
	else if (vq_index(q) == CONSOLE_CONTROL_TX)
		console_control_receive(c, d, q);
	else
		console_control_send(c, d);
}

static void console_queue_start(struct virtio_device *d, struct vq *q)
{
	struct console_device *c = d->data;
	struct console_port *p = port_of(c, vq_index(q));

	if (p)
		console_port_start(p, q);
	/* A driver without the control queue knows the first port alone, and never opens it. */
	if (!(d->driver_features & 1ull << VIRTIO_CONSOLE_F_MULTIPORT))
		c->port[0].guest_open = true;
	else if (!c->in_step && vq_is_resumed(q))
		console_control_catch_up(c, d);
}

static void console_queue_stop(struct virtio_device *d, struct vq *q)
{
	struct console_port *p = port_of(d->data, vq_index(q));

	if (p)
		console_port_stop(p, q);
}

static void console_reset(struct virtio_device *d)
{
	struct console_device *c = d->data;

	for (unsigned i = 0; i < c->n_ports; i++) {
		struct console_port *p = &c->port[i];

		console_port_reset(p);
		p->guest_ready = false;
		p->guest_open = p->is_console || !c->multiport;
	}
}

static void on_connection(struct console_port *p)
{
	struct json *event = virtio_event_begin(p->d, "host-open");
	struct console_device *c = p->d->data;

	if (event) {
		json_uint(event, "port", p - c->port);
		json_bool(event, "open", p->end.connected);
		virtio_event_end(p->d, event);
	}
	if (c->multiport)
		console_tell_connection(c, p);
}

/* Size. */

static void set_size(struct console_device *c, struct console_port *p, uint16_t cols, uint16_t rows)
{
	const uint16_t size[] = { htole16(cols), htole16(rows) };

	p->cols = cols;
	p->rows = rows;
	if (p == c->port)
		virtio_config_set(
			p->d, offsetof(struct virtio_console_config, cols), size, sizeof(size));
	if (c->multiport && p->is_console)
		console_tell(c, p, CONSOLE_NEWS_SIZE);
}

static void on_resized(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct signalfd_siginfo info;
	struct console_device *c = d->data;
	uint16_t cols, rows;

	while (read(w->fd, &info, sizeof(info)) == sizeof(info))
		;
	for (unsigned i = 0; i < c->n_ports; i++) {
		struct console_port *p = &c->port[i];

		if (console_end_size(&p->end, &cols, &rows) && (cols != p->cols || rows != p->rows))
			set_size(c, p, cols, rows);
	}
}

/* Blocks SIGWINCH before there are threads, so that it is for the signalfd alone. */
static bool watch_size(struct console_device *c, struct virtio_device *d, GError **error)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	c->resized.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (c->resized.fd < 0)
		return error_errno(error, errno, "cannot make a signalfd");
	virtio_watch(d, NULL, &c->resized, EPOLLIN | EPOLLET);
	return true;
}

/* Serves the emergency write: one character for the first port, driver or no driver. */
static void console_config_written(struct virtio_device *d, uint32_t offset, uint32_t size)
{
	struct console_device *c = d->data;
	uint32_t value;
	struct iovec iov;
	char character;

	memcpy(&value, d->config + offsetof(struct virtio_console_config, emerg_wr), sizeof(value));
	character = le32toh(value);
	iov = (struct iovec){ &character, 1 };
	if (c->port[0].end.connected)
		console_end_write(&c->port[0].end, &iov, 1);
}

/* Opening. */

/* Parses "name=NAME,backend=KIND,console=on". *backend is a piece of text, which is changed. */
static bool parse_port(struct console_port *p, char *text, char **backend, GError **error)
{
	static const char *const off_on[] = { "off", "on", NULL };
	unsigned on = 0;

	*backend = NULL;
	for (char *key = text, *next; key; key = next) {
		next = strchr(key, ',');
		if (next)
			*next++ = 0;
		if (g_str_has_prefix(key, "name=") && key[5] && strlen(key + 5) <= MAX_NAME) {
			g_free(p->name);
			p->name = g_strdup(key + 5);
		} else if (g_str_has_prefix(key, "backend=")) {
			*backend = key + 8;
		} else if (!g_str_has_prefix(key, "console=") ||
			!choice_parse(key + 8, off_on, &on)) {
			return option_bad(error,
				"invalid --port key: '%s' (name=NAME, backend=KIND or console=on)",
				key);
		}
	}
	p->is_console = on;
	return *backend || option_bad(error, "--port without backend=KIND");
}

static bool open_port(
	struct console_device *c, struct virtio_device *d, const char *backend, GError **error)
{
	unsigned number = c->n_ports++;
	struct console_port *p = &c->port[number];

	p->rx = number ? 2 * number + 2 : 0;
	p->tx = p->rx + 1;
	p->guest_open = p->is_console || !c->multiport;
	p->changed = on_connection;
	p->cols = DEFAULT_COLS;
	p->rows = DEFAULT_ROWS;
	if (!console_port_open(p, d, number, backend, error))
		return false;
	console_end_size(&p->end, &p->cols, &p->rows);
	return true;
}

static bool open_ports(struct console_device *c, struct virtio_device *d, GError **error)
{
	char *backend;

	for (char **text = options.ports; text && *text; text++) {
		if (c->n_ports == CONSOLE_MAX_PORTS)
			return option_bad(error, "more than %u of --port", CONSOLE_MAX_PORTS);
		if (!parse_port(&c->port[c->n_ports], *text, &backend, error) ||
			!open_port(c, d, backend, error))
			return false;
	}
	if (c->multiport)
		return true;
	c->port[0].is_console = true;
	return open_port(c, d, options.backend ? options.backend : "pty", error);
}

static bool console_open(struct virtio_device *d, GError **error)
{
	struct console_device *c = d->data = g_new0(struct console_device, 1);
	struct virtio_console_config *config = (struct virtio_console_config *)d->config;

	c->resized = (struct virtio_watch){ .fd = -1, .ready = on_resized };
	c->multiport = options.ports;
	if (!open_ports(c, d, error) || !watch_size(c, d, error))
		return false;
	config->cols = htole16(c->port[0].cols);
	config->rows = htole16(c->port[0].rows);
	config->max_nr_ports = htole32(c->n_ports);
	d->num_queues = c->multiport ? 2 * c->n_ports + 2 : 2;
	if (!c->multiport)
		d->features &= ~(1ull << VIRTIO_CONSOLE_F_MULTIPORT);
	return true;
}

static void console_close(struct virtio_device *d)
{
	struct console_device *c = d->data;

	for (unsigned i = 0; i < CONSOLE_MAX_PORTS; i++)
		console_port_close(&c->port[i]);
	virtio_watch(d, NULL, &c->resized, 0);
	fd_close(&c->resized.fd);
	d->data = NULL;
	g_free(c);
	g_clear_pointer(&options.backend, g_free);
	g_clear_pointer(&options.ports, g_strfreev);
}

/* The control socket. */

static bool call_ports(
	struct virtio_device *d, const struct virtio_arg *args, struct json *result, GError **error)
{
	const struct console_device *c = d->data;

	json_open_array(result, "ports");
	for (unsigned i = 0; i < c->n_ports; i++) {
		const struct console_port *p = &c->port[i];

		json_open_object(result, NULL);
		json_uint(result, "port", i);
		json_string(result, "name", p->name);
		json_string(result, "backend", console_end_kind(&p->end));
		json_string(result, "path", p->end.path);
		json_bool(result, "console", p->is_console);
		json_bool(result, "host_open", p->end.connected);
		json_bool(result, "guest_open", p->guest_open);
		json_uint(result, "cols", p->cols);
		json_uint(result, "rows", p->rows);
		json_close_object(result);
	}
	json_close_array(result);
	return true;
}

static bool call_resize(
	struct virtio_device *d, const struct virtio_arg *args, struct json *result, GError **error)
{
	struct console_device *c = d->data;
	unsigned port = args[2].number;

	if (port >= c->n_ports)
		return error_set(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "port: there are only %u",
			c->n_ports);
	set_size(c, &c->port[port], args[0].number, args[1].number);
	return true;
}

static const struct virtio_method console_methods[] = {
	{ "ports", "Show the ports and what they are connected to", { { NULL } }, call_ports },
	{ "resize", "Tell the guest another size of its terminal",
		{ { "cols", VIRTIO_PARAM_NUMBER, .min = 1, .max = MAX_CELLS },
			{ "rows", VIRTIO_PARAM_NUMBER, .min = 1, .max = MAX_CELLS },
			{ "port", VIRTIO_PARAM_NUMBER, .max = CONSOLE_MAX_PORTS - 1,
				.optional = true } },
		call_resize },
	{ NULL },
};

static const struct option_entry console_options[] = {
	{ "backend", "KIND", .string = &options.backend,
		.help = "What the console is connected to: stdio, pty, null, echo, "
			"unix:PATH or file:PATH (default: pty)" },
	{ "port", "KEY=VALUE,...", .paths = &options.ports, .excludes = { "backend" },
		.help = "A port: backend=KIND, name=NAME, console=on; may be given up to 31 "
			"times" },
	{ NULL },
};

static const struct virtio_config_range console_writable[] = {
	{ offsetof(struct virtio_console_config, emerg_wr), sizeof(uint32_t) },
	{ 0 },
};

static const struct virtio_device_needs console_needs = {
	.calls = console_end_calls, .files = CONSOLE_MAX_PORTS, /* clients */
};

const struct virtio_device_ops virtio_device_ops = {
	.name = "console",
	.type = "console",
	.summary = "virtio console and serial ports",
	.probe = {
		.device_id = VIRTIO_ID_CONSOLE,
		.features = 1ull << VIRTIO_CONSOLE_F_SIZE | 1ull << VIRTIO_CONSOLE_F_MULTIPORT |
			1ull << VIRTIO_CONSOLE_F_EMERG_WRITE,
		.config_size = sizeof(struct virtio_console_config),
		.min_queues = 2,
		.max_queues = 2 * CONSOLE_MAX_PORTS + 2,
	},
	.threads = VIRTIO_DEVICE_ONE,
	.config_writable = console_writable,
	.options = console_options,
	.methods = console_methods,
	.needs = &console_needs,
	.open = console_open,
	.close = console_close,
	.reset = console_reset,
	.config_written = console_config_written,
	.queue_start = console_queue_start,
	.queue_stop = console_queue_stop,
	.kick = console_kick,
};
