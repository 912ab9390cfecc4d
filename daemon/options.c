/* SPDX-License-Identifier: Apache-2.0 */
/* Options, by the conventions for back-end programs of vhost-user.rst. */
#include "daemon/options.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <unistd.h>

#include "base/option.h"
#include "memory/types/mem_xen.h"

struct raw {
	char *mode, *group, *probe, *xen, *xen_copy, *workers, *cpu_list, *poll_us, *stats,
		*log_level;
};

#define MAX_WORKERS 64
/* As long as a sleep and a wake-up take where CPUs are virtual. */
#define POLL_US_AUTO 50
#define MAX_POLL_US 1000

static bool has_argument(char **argv, const char *name)
{
	for (char **a = argv + 1; *a; a++) {
		if (g_str_equal(*a, name))
			return true;
	}
	return false;
}

static bool bad_value(GError **error, const char *option, const char *value, const char *expected)
{
	return option_bad(error, "%s=%s: %s", option, value, expected);
}

static bool parse_mode(const char *text, mode_t *mode, GError **error)
{
	guint64 n;

	if (!g_ascii_string_to_unsigned(text, 8, 0, 0777, &n, NULL))
		return bad_value(error, "--socket-mode", text, "not an octal mode up to 777");
	*mode = n;
	return true;
}

static bool parse_group(const char *text, gid_t *gid, GError **error)
{
	const struct group *group;
	guint64 n;

	if (g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT32, &n, NULL)) {
		*gid = n;
		return true;
	}
	group = getgrnam(text);
	if (!group)
		return bad_value(error, "--socket-group", text, "there is no such group");
	*gid = group->gr_gid;
	return true;
}

static bool parse_probe(const char *text, bool *on, GError **error)
{
	*on = g_str_equal(text, "on");
	return *on || g_str_equal(text, "off") ||
		bad_value(error, "--probe", text, "neither on nor off");
}

/* Where guests of Xen can be served, these devices are. */
static bool is_xen_host(void)
{
	return access("/dev/xen/privcmd", F_OK) == 0 || access("/dev/xen/gntdev", F_OK) == 0;
}

static bool parse_xen(const char *text, bool *on, GError **error)
{
	if (!text || g_str_equal(text, "auto")) {
		*on = is_xen_host();
		return true;
	}
	*on = g_str_equal(text, "on");
	return *on || g_str_equal(text, "off") ||
		bad_value(error, "--xen", text, "none of auto, on and off");
}

#define STATS_MAX 86400

static bool parse_number(const char *option, const char *text, unsigned min, unsigned max,
	unsigned *to, GError **error)
{
	g_autofree char *expected = g_strdup_printf("not a number from %u to %u", min, max);
	guint64 n;

	if (!g_ascii_string_to_unsigned(text, 10, min, max, &n, NULL))
		return bad_value(error, option, text, expected);
	*to = n;
	return true;
}

static bool parse_poll_us(const char *text, unsigned *us, GError **error)
{
	guint64 n = POLL_US_AUTO;

	if (!g_str_equal(text, "auto") &&
		!g_ascii_string_to_unsigned(text, 10, 0, MAX_POLL_US, &n, NULL))
		return bad_value(error, "--poll-us", text, "neither auto nor a number up to 1000");
	*us = n;
	return true;
}

/* "3" or "0-2". */
static bool parse_cpu_range(const char *text, GArray *cpus)
{
	g_auto(GStrv) ends = g_strsplit(text, "-", 2);
	guint64 first, last;

	if (!ends[0] || !g_ascii_string_to_unsigned(ends[0], 10, 0, CPU_SETSIZE - 1, &first, NULL))
		return false;
	last = first;
	if (ends[1] &&
		!g_ascii_string_to_unsigned(ends[1], 10, first, CPU_SETSIZE - 1, &last, NULL))
		return false;
	for (unsigned cpu = first; cpu <= last; cpu++)
		g_array_append_val(cpus, cpu);
	return true;
}

static bool parse_cpu_list(const char *text, struct options *o, GError **error)
{
	g_autoptr(GArray) cpus = g_array_new(FALSE, FALSE, sizeof(unsigned));
	g_auto(GStrv) ranges = g_strsplit(text, ",", -1);

	for (char **r = ranges; *r; r++) {
		if (!parse_cpu_range(*r, cpus))
			return bad_value(error, "--cpu-list", text, "not a list like 0,2-3");
	}
	if (!cpus->len)
		return bad_value(error, "--cpu-list", text, "no CPU is in it");
	o->n_cpus = cpus->len;
	o->cpus = (unsigned *)(void *)g_array_free(g_steal_pointer(&cpus), FALSE);
	return true;
}

static bool parse_workers(struct options *o, const struct raw *raw, GError **error)
{
	if (raw->workers &&
		!parse_number("--workers", raw->workers, 1, MAX_WORKERS, &o->workers, error))
		return false;
	if (raw->cpu_list && !parse_cpu_list(raw->cpu_list, o, error))
		return false;
	return !raw->poll_us || parse_poll_us(raw->poll_us, &o->poll_us, error);
}

static bool parse_raw(struct options *o, const struct raw *raw, GError **error)
{
	if (raw->mode && !parse_mode(raw->mode, &o->socket_mode, error))
		return false;
	if (raw->group && !parse_group(raw->group, &o->socket_group, error))
		return false;
	if (raw->probe && !parse_probe(raw->probe, &o->probe, error))
		return false;
	if (!parse_xen(raw->xen, &o->xen, error))
		return false;
	if (!parse_workers(o, raw, error))
		return false;
	if (raw->stats && !parse_number("--stats", raw->stats, 1, STATS_MAX, &o->stats, error))
		return false;
	if (raw->xen_copy &&
		!parse_number(
			"--xen-copy", raw->xen_copy, 0, MEM_GRANT_COPY_MAX, &o->xen_copy, error))
		return false;
	return option_log_level(raw->log_level, &o->log_level, error);
}

static bool parse_context(struct options *o, struct raw *raw, const struct virtio_device_ops *ops,
	char ***argv, GError **error)
{
	const GOptionEntry entries[] = {
		{ "socket-path", 0, 0, G_OPTION_ARG_FILENAME, &o->socket_path,
			"Listen for the front-end at this path", "PATH" },
		{ "fd", 0, 0, G_OPTION_ARG_INT, &o->fd,
			"Use this inherited socket, listening or connected", "N" },
		{ "one-off", 0, 0, G_OPTION_ARG_NONE, &o->one_off,
			"Exit when the front-end disconnects", NULL },
		{ "socket-mode", 0, 0, G_OPTION_ARG_STRING, &raw->mode,
			"Permissions of the socket (default: 0600)", "MODE" },
		{ "socket-group", 0, 0, G_OPTION_ARG_STRING, &raw->group, "Group of the socket",
			"GROUP" },
		{ "probe", 0, 0, G_OPTION_ARG_STRING, &raw->probe,
			"Tell front-ends which device this is (default: on)", "on|off" },
		{ "xen", 0, 0, G_OPTION_ARG_STRING, &raw->xen,
			"Serve guests of Xen, too (default: auto, on a Xen host)", "auto|on|off" },
		{ "xen-copy", 0, 0, G_OPTION_ARG_STRING, &raw->xen_copy,
			"Copy granted buffers of up to so many pages, map others (default: all "
			"that can be)",
			"PAGES" },
		{ "workers", 0, 0, G_OPTION_ARG_STRING, &raw->workers,
			"Serve queues by so many threads (default: 1)", "N" },
		{ "cpu-list", 0, 0, G_OPTION_ARG_STRING, &raw->cpu_list,
			"Run each on one of these CPUs, in turn", "0,2-3" },
		{ "poll-us", 0, 0, G_OPTION_ARG_STRING, &raw->poll_us,
			"Poll for requests for up to N microseconds, where they come that fast, "
			"before sleeping (default: auto, 50)",
			"N|auto" },
		{ "run-as", 0, 0, G_OPTION_ARG_STRING, &o->privileges.run_as,
			"Become this user, and group, before serving", "UID[:GID]" },
		{ "chroot", 0, 0, G_OPTION_ARG_FILENAME, &o->privileges.chroot,
			"See nothing outside this directory while serving", "DIR" },
		{ "stats", 0, 0, G_OPTION_ARG_STRING, &raw->stats,
			"Log statistics every so many seconds, as on SIGUSR1", "SECONDS" },
		{ "log-level", 0, 0, G_OPTION_ARG_STRING, &raw->log_level,
			"The least severe messages to log (default: info)",
			"error|warning|info|debug" },
		{ "print-capabilities", 0, 0, G_OPTION_ARG_NONE, &o->print_capabilities,
			"Print what management software must know, as JSON, and exit", NULL },
		{ "version", 0, 0, G_OPTION_ARG_NONE, &o->version, "Print the version and exit",
			NULL },
		{ NULL },
	};
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);

	g_option_context_set_summary(context, ops->summary);
	if (ops->options)
		g_option_context_add_main_entries(context, ops->options, NULL);
	g_option_context_add_main_entries(context, entries, NULL);
	return g_option_context_parse_strv(context, argv, error);
}

bool options_parse(struct options *o, const struct virtio_device_ops *ops, int argc, char **argv,
	GError **error)
{
	g_auto(GStrv) args = g_strdupv(argv);
	struct raw raw = { 0 };
	bool ok;

	*o = (struct options){
		.fd = -1,
		.socket_mode = 0600,
		.socket_group = (gid_t)-1,
		.probe = true,
		.xen_copy = MEM_GRANT_COPY_MAX,
		.workers = 1,
		.poll_us = POLL_US_AUTO,
		.privileges.root = -1,
		.log_level = LOG_LEVEL_INFO,
		.print_capabilities = has_argument(argv, "--print-capabilities"),
		.version = has_argument(argv, "--version"),
	};
	if (o->print_capabilities || o->version)
		return true;
	ok = parse_context(o, &raw, ops, &args, error) && parse_raw(o, &raw, error);
	g_free(raw.mode);
	g_free(raw.group);
	g_free(raw.probe);
	g_free(raw.xen);
	g_free(raw.xen_copy);
	g_free(raw.workers);
	g_free(raw.cpu_list);
	g_free(raw.poll_us);
	g_free(raw.stats);
	g_free(raw.log_level);
	if (!ok)
		return false;
	if (args[0] && args[1]) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
			"what is '%s'? (try --help)", args[1]);
		return false;
	}
	if (o->socket_path && o->fd >= 0) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
			"--socket-path and --fd exclude each other");
		return false;
	}
	return true;
}

void options_clear(struct options *o)
{
	g_clear_pointer(&o->socket_path, g_free);
	g_clear_pointer(&o->cpus, g_free);
	privileges_clear(&o->privileges);
}

char *options_capabilities(const struct virtio_device_ops *ops)
{
	GString *json = g_string_new(NULL);

	g_string_append_printf(json, "{\n  \"type\": \"%s\",\n  \"features\": [",
		ops->type ? ops->type : ops->name);
	for (const char *const *c = ops->capabilities; c && *c; c++)
		g_string_append_printf(
			json, "%s\n    \"%s\"", c == ops->capabilities ? "" : ",", *c);
	g_string_append(json, ops->capabilities && *ops->capabilities ? "\n  ]\n}\n" : "]\n}\n");
	return g_string_free(json, FALSE);
}
