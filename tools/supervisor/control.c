/* SPDX-License-Identifier: Apache-2.0 */
/* See control.h. What files say is done by the time a method is answered, but for waiting. */
#include "tools/supervisor/control.h"

#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "control/methods.h"
#include "tools/supervisor/edit.h"

/* Of the lines that "add" takes: room for what a group needs, and in a request. */
#define MAX_LINES_BYTES 32768

static bool run_status(void *opaque, const struct virtio_arg *args, struct json *j, GError **error)
{
	const struct virtiod *v = opaque;

	json_string(j, "version", VIRTIOD_VERSION);
	json_uint(j, "pid", getpid());
	json_string(j, "log_level", log_level_name());
	json_string(j, "config_dir", v->folder);
	json_string(j, "run_dir", v->place.run);
	json_uint(j, "devices", v->entries->len);
	return true;
}

static void show(const struct unit *u, struct json *j)
{
	g_autofree char *where = g_strdup_printf("%s:%u", u->entry->path, u->entry->line);

	json_open_object(j, u->name);
	json_string(j, "device", u->entry->type);
	json_string(j, "state", unit_state_words[u->state]);
	if (u->child)
		json_uint(j, "pid", child_pid(u->child));
	else
		json_null(j, "pid");
	json_uint(j, "restarts", u->n_restarts);
	json_string(j, "socket", u->socket);
	json_string(j, "file", where);
	json_close_object(j);
}

static bool run_list(void *opaque, const struct virtio_arg *args, struct json *j, GError **error)
{
	const struct virtiod *v = opaque;

	json_open_object(j, "devices");
	for (unsigned i = 0; i < v->units->len; i++) {
		const struct unit *u = v->units->pdata[i];

		if (u->entry)
			show(u, j);
	}
	json_close_object(j);
	return true;
}

static bool reload(struct virtiod *v, struct json *j, GError **error)
{
	struct virtiod_changes changes;

	if (!virtiod_reload(v, &changes, error))
		return false;
	json_uint(j, "started", changes.started);
	json_uint(j, "stopped", changes.stopped);
	json_uint(j, "restarted", changes.restarted);
	json_uint(j, "unchanged", changes.unchanged);
	return true;
}

static bool run_reload(void *opaque, const struct virtio_arg *args, struct json *j, GError **error)
{
	return reload(opaque, j, error);
}

static bool run_add(void *opaque, const struct virtio_arg *args, struct json *j, GError **error)
{
	struct virtiod *v = opaque;

	return edit_add(v->folder, v->place.programs, args[0].text, args[1].text, error) &&
		reload(v, j, error);
}

static bool run_remove(void *opaque, const struct virtio_arg *args, struct json *j, GError **error)
{
	struct virtiod *v = opaque;

	return edit_remove(v->folder, args[0].text, error) && reload(v, j, error);
}

static bool run_restart(void *opaque, const struct virtio_arg *args, struct json *j, GError **error)
{
	struct unit *u = virtiod_find(opaque, args[0].text, error);

	if (u)
		unit_restart(u);
	return u;
}

static const struct control_method methods[] = {
	{ "status", "Show the program", run_status },
	{ "list", "Show the devices", run_list },
	{ "reload", "Read the files again, as on SIGHUP", run_reload },
	{ "add", "Write a file with a new device, and reload", run_add,
		{ { "name", VIRTIO_PARAM_TEXT },
			{ "lines", VIRTIO_PARAM_TEXT, .max = MAX_LINES_BYTES } } },
	{ "remove", "Take a device out of its file, and reload", run_remove,
		{ { "name", VIRTIO_PARAM_TEXT } } },
	{ "restart", "End the process of a device, and start it again", run_restart,
		{ { "name", VIRTIO_PARAM_TEXT } } },
	{ NULL },
};

static void serve_line(struct control_client *client, const char *line, size_t len)
{
	control_serve(
		client, line, len, methods, container_of(client->server, struct virtiod, control));
}

static void on_quit(struct control_server *s)
{
	virtiod_end(container_of(s, struct virtiod, control));
}

void supervisor_control_start(struct virtiod *v, int fd)
{
	static const struct control_ops ops = { .serve = serve_line, .quit = on_quit };

	control_server_start(&v->control, &ops, fd);
}
