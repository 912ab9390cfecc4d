/* SPDX-License-Identifier: Apache-2.0 */
/* See control.h. All methods are answered at once. */
#include "kvm-stub/machine/control.h"

#include <unistd.h>

#include "base/util.h"
#include "control/methods.h"
#include "kvm-stub/layout.h"

static bool run_status(void *opaque, const struct virtio_arg *args, struct json *j, GError **error)
{
	json_string(j, "version", VIRTIOD_VERSION);
	json_uint(j, "pid", getpid());
	json_string(j, "log_level", log_level_name());
	return true;
}

static bool run_devices(void *opaque, const struct virtio_arg *args, struct json *j, GError **error)
{
	const struct machine_control *c = opaque;

	slots_list(c->slots, j);
	return true;
}

static bool run_add(void *opaque, const struct virtio_arg *args, struct json *j, GError **error)
{
	const struct machine_control *c = opaque;
	g_autoptr(device_spec) spec = device_spec_parse(args[0].text, error);
	int slot;

	if (!spec)
		return false;
	slot = slots_add(c->slots, spec, args[1].given ? (int)args[1].number : -1, error);
	if (slot < 0)
		return false;
	json_uint(j, "slot", (unsigned)slot);
	return true;
}

static bool run_remove(void *opaque, const struct virtio_arg *args, struct json *j, GError **error)
{
	const struct machine_control *c = opaque;

	return slots_remove(c->slots, (unsigned)args[0].number, args[1].flag, error);
}

#define SLOT_NUMBER(is_optional)                                                            \
	{                                                                                   \
		"slot", VIRTIO_PARAM_NUMBER, .max = MAX_SLOTS - 1, .optional = is_optional, \
	}

static const struct control_method methods[] = {
	{ "status", "Show the program", run_status },
	{ "devices", "Show the slots and what is in them", run_devices },
	{ "add", "Connect an empty slot to a back-end: socket=PATH,...", run_add,
		{ { "device", VIRTIO_PARAM_TEXT }, SLOT_NUMBER(true) } },
	{ "remove", "Empty a slot", run_remove,
		{ SLOT_NUMBER(false), { "force", VIRTIO_PARAM_FLAG, .optional = true } } },
	{ NULL },
};

static void serve_line(struct control_client *client, const char *line, size_t len)
{
	control_serve(client, line, len, methods,
		container_of(client->server, struct machine_control, server));
}

static void on_quit(struct control_server *s)
{
	struct machine_control *c = container_of(s, struct machine_control, server);

	c->quit(c->opaque);
}

void machine_control_start(struct machine_control *c, int fd, struct slots *all,
	void (*quit)(void *opaque), void *opaque)
{
	static const struct control_ops ops = { .serve = serve_line, .quit = on_quit };

	c->slots = all;
	c->quit = quit;
	c->opaque = opaque;
	control_server_start(&c->server, &ops, fd);
}

void machine_control_stop(struct machine_control *c)
{
	if (c->quit)
		control_server_stop(&c->server);
}

const struct syscall_rule machine_control_calls[] = { SYSCALL(accept4), SYSCALL_END };
