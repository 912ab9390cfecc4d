/* SPDX-License-Identifier: Apache-2.0 */
/* See control.h. All methods are answered at once. */
#include "tools/switch/control.h"

#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "control/methods.h"
#include "tools/switch/report.h"

static bool run_status(void *opaque, const struct virtio_arg *args, struct json *j, GError **error)
{
	json_string(j, "version", VIRTIOD_VERSION);
	json_uint(j, "pid", getpid());
	json_string(j, "log_level", log_level_name());
	return true;
}

static bool run_ports(void *opaque, const struct virtio_arg *args, struct json *j, GError **error)
{
	const struct switch_control *c = opaque;

	report_ports(c->sw, j);
	return true;
}

static bool run_macs(void *opaque, const struct virtio_arg *args, struct json *j, GError **error)
{
	const struct switch_control *c = opaque;

	report_macs(c->sw, args[0].given ? args[0].text : NULL, j);
	return true;
}

static bool run_stats(void *opaque, const struct virtio_arg *args, struct json *j, GError **error)
{
	const struct switch_control *c = opaque;

	report_stats(c->sw, j);
	return true;
}

static const struct control_method methods[] = {
	{ "status", "Show the program", run_status },
	{ "ports", "Show the ports, and what they received and sent", run_ports },
	{ "macs", "Show the addresses that are known", run_macs,
		{ { "port", VIRTIO_PARAM_TEXT, .optional = true } } },
	{ "stats", "Show totals", run_stats },
	{ NULL },
};

static void serve_line(struct control_client *client, const char *line, size_t len)
{
	control_serve(client, line, len, methods,
		container_of(client->server, struct switch_control, server));
}

static void on_quit(struct control_server *s)
{
	g_main_loop_quit(container_of(s, struct switch_control, server)->loop);
}

void switch_control_start(struct switch_control *c, struct switcher *sw, GMainLoop *loop, int fd)
{
	static const struct control_ops ops = { .serve = serve_line, .quit = on_quit };

	c->sw = sw;
	c->loop = loop;
	control_server_start(&c->server, &ops, fd);
}
