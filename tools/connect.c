/* SPDX-License-Identifier: Apache-2.0 */
/* See connect.h. */
#include "tools/connect.h"

#include <string.h>

#include "base/sock.h"
#include "base/util.h"
#include "tools/names.h"
#include "tools/sandbox.h"
#include "tools/virtioctl.h"

/* Tells which options there are: a bench says itself how many queues, of what size and format. */
static bool is_offered(const struct option_entry *row, const struct option_entry *own)
{
	if (g_str_equal(row->name, "queue-size") || g_str_equal(row->name, "packed"))
		return false;
	for (; own && own->name; own++) {
		if (strcmp(row->name, own->name) == 0)
			return false;
	}
	return true;
}

/*
 * Adds words: unlike the other programs, virtioctl also takes the values that stand for "not
 * given".
 */
static struct option_entry with_unset(struct option_entry row)
{
	if (g_str_equal(row.name, "queues"))
		row.unset = "0";
	else if (g_str_equal(row.name, "config-size"))
		row.unset = "-1";
	return row;
}

char **connect_parse(
	char **argv, struct option_syntax syntax, struct connect_options *o, GError **error)
{
	const struct option_entry sandbox = { "sandbox", .word = &o->sandbox,
		.words = sandbox_words, .initial = SANDBOX_DEFAULT,
		.help = "Give up what is not needed: what this machine permits, or all, or "
			"nothing" };
	struct option_entry all[BACKEND_KEYS_ROWS], offered[BACKEND_KEYS_ROWS + 1];
	g_auto(GStrv) args = g_strdupv(argv);
	unsigned n = 0;

	backend_keys_table(&o->keys, names_device_id, all);
	for (const struct option_entry *row = all; row->name; row++) {
		if (is_offered(row, syntax.tables[0]))
			offered[n++] = with_unset(*row);
	}
	offered[n++] = sandbox;
	offered[n] = (struct option_entry){ NULL };
	syntax.tables[OPTION_TABLES - 1] = offered;
	return option_parse(&syntax, &args, error) ? g_steal_pointer(&args) : NULL;
}

bool connect_is_confined(const struct connect_options *o)
{
	return o->sandbox != SANDBOX_NONE;
}

static struct vu_front_options front_options(const struct connect_options *o)
{
	const struct backend_keys *k = &o->keys;

	return (struct vu_front_options){
		.probe = k->probe,
		.device_id = k->device_id,
		.config_size =
			k->config_size == BACKEND_CONFIG_SIZE_UNSAID ? -1 : (int32_t)k->config_size,
		.queues = k->queues,
		.inflight = o->inflight,
		.speaks_probe = o->speaks_probe,
	};
}

struct vu_front *connect_dial(const char *path, const struct connect_options *o, GError **error)
{
	const struct vu_front_options options = front_options(o);

	return vu_front_connect(path, &options, error);
}

static bool confine(const char *path, const struct connect_options *o, int fd, GError **error)
{
	return (!o->open_files || o->open_files(o->opaque, fd, error)) &&
		ctl_sandbox_enter(o->sandbox, path, error);
}

struct vu_front *connect_socket(const char *path, const struct connect_options *o, int *status)
{
	const struct vu_front_options options = front_options(o);
	g_autoptr(GError) error = NULL;
	autofd fd = sock_connect(path, &error);
	struct vu_front *f = NULL;

	if (fd < 0) {
		ctl_report(error);
		*status = CTL_ABSENT;
		return NULL;
	}
	if (!confine(path, o, fd, &error)) {
		*status = ctl_report(error);
		return NULL;
	}
	f = vu_front_connect_on(fd_steal(&fd), path, &options, &error);
	if (f)
		return f;
	*status = ctl_report(error);
	if (error->domain == G_FILE_ERROR) /* it was dialled again */
		*status = CTL_ABSENT;
	return NULL;
}
