/* SPDX-License-Identifier: Apache-2.0 */
/* Options, by the conventions for back-end programs of vhost-user.rst. */
#include "daemon/options.h"

#include <sched.h>
#include <unistd.h>

#include "base/number.h"
#include "base/option.h"
#include "memory/types/mem_xen.h"

#define MAX_WORKERS 64
/* As long as a sleep and a wake-up take where CPUs are virtual. */
#define POLL_US_AUTO 50
#define MAX_POLL_US 1000
#define MAX_STATS_S 86400

/* Where the tables put values: a command line is parsed by one thread. */
static struct options parsed;
static enum choice parsed_xen, parsed_packed;
static unsigned parsed_sandbox;

static bool parse_poll_us(const char *text, GError **error)
{
	uint64_t us = POLL_US_AUTO;

	if (!g_str_equal(text, "auto") && !number_parse(text, 0, MAX_POLL_US, &us))
		return option_bad(error, "auto or a number from 0 to %u", MAX_POLL_US);
	parsed.poll_us = us;
	return true;
}

/* Appends the CPUs of "3" or "0-2". */
static bool parse_cpu_range(const char *text, GArray *cpus)
{
	g_auto(GStrv) ends = g_strsplit(text, "-", 2);
	uint64_t first, last;

	if (!ends[0] || !number_parse(ends[0], 0, CPU_SETSIZE - 1, &first))
		return false;
	last = first;
	if (ends[1] && !number_parse(ends[1], first, CPU_SETSIZE - 1, &last))
		return false;
	for (unsigned cpu = first; cpu <= last; cpu++)
		g_array_append_val(cpus, cpu);
	return true;
}

static bool parse_cpu_list(const char *text, GError **error)
{
	g_autoptr(GArray) cpus = g_array_new(FALSE, FALSE, sizeof(unsigned));
	g_auto(GStrv) ranges = g_strsplit(text, ",", -1);
	bool ok = *ranges;

	for (char **r = ranges; ok && *r; r++)
		ok = parse_cpu_range(*r, cpus);
	if (!ok)
		return option_bad(error, "a list of CPU numbers such as 0,2-3");
	g_free(parsed.cpus);
	parsed.n_cpus = cpus->len;
	parsed.cpus = (unsigned *)(void *)g_array_free(g_steal_pointer(&cpus), FALSE);
	return true;
}

static const struct option_entry socket_options[] = {
	{ "socket-path", .path = &parsed.socket_path,
		.help = "Listen for the front-end at this path" },
	{ "fd", .fd = &parsed.fd, .excludes = { "socket-path", "socket-mode", "socket-group" },
		.help = "Use this inherited socket, listening or connected" },
	{ "one-off", .flag = &parsed.one_off, .help = "Exit when the front-end disconnects" },
	{ "socket-mode", .mode = &parsed.socket_mode, .initial = "0600",
		.help = "Permissions of the socket" },
	{ "socket-group", .group = &parsed.socket_group, .help = "Group of the socket" },
	{ "probe", .on_off = &parsed.probe, .initial = "on",
		.help = "Tell front-ends which device this is" },
	{ "packed", .word = &parsed_packed, .words = choice_words,
		.help = "Offer packed virtqueues (default: auto, if the device's drivers cope with "
			"them)" },
	{ "xen", .word = &parsed_xen, .words = choice_words,
		.help = "Also serve Xen guests (default: auto, on a Xen host)" },
	{ "xen-copy", "PAGES", .number = &parsed.xen_copy, .max = MEM_GRANT_COPY_MAX,
		.help = "Copy granted buffers of up to this many pages, map larger ones (default: "
			"all that can be copied)" },
	{ NULL },
};

static const struct option_entry service_options[] = {
	{ "workers", .number = &parsed.workers, .min = 1, .max = MAX_WORKERS, .initial = "1",
		.help = "Number of threads that serve the queues" },
	{ "cpu-list", "0,2-3", .parse = parse_cpu_list,
		.help = "Run each thread on one of these CPUs, in turn" },
	{ "poll-us", "N|auto", .parse = parse_poll_us,
		.help = "Poll for requests that arrive quickly for up to N microseconds before "
			"sleeping (default: auto, 50)" },
	{ "run-as", "UID[:GID]", .string = &parsed.privileges.run_as,
		.help = "Switch to this user, and group, before serving" },
	{ "chroot", "DIR", .path = &parsed.privileges.chroot,
		.help = "Change the root directory to this one before serving" },
	{ "sandbox", .word = &parsed_sandbox, .words = sandbox_words, .initial = SANDBOX_DEFAULT,
		.help = "Give up what serving does not need: what this machine permits, or all, or "
			"nothing" },
	{ "control", .path = &parsed.control,
		.help = "Take requests at this socket, from virtioctl call for example" },
	{ "stats", "SECONDS", .number = &parsed.stats, .min = 1, .max = MAX_STATS_S,
		.help = "Log statistics every so many seconds, as on SIGUSR1" },
	OPTION_LOG_LEVEL(&parsed.log_level),
	{ "check-options", .flag = &parsed.check,
		.help = "Tell whether names and values of the options are right, and exit" },
	{ "print-capabilities", .flag = &parsed.print_capabilities,
		.help = "Print the capabilities for management software as JSON and exit" },
	{ "version", .flag = &parsed.version, .help = "Print the version and exit" },
	{ NULL },
};

static bool has_argument(char **argv, const char *name)
{
	for (char **a = argv + 1; *a; a++) {
		if (g_str_equal(*a, name))
			return true;
	}
	return false;
}

/* Tells whether Xen guests can be served, which is where these devices are. */
static bool is_xen_host(void)
{
	return access("/dev/xen/privcmd", F_OK) == 0 || access("/dev/xen/gntdev", F_OK) == 0;
}

bool options_parse(struct options *o, const struct virtio_device_ops *ops, int argc, char **argv,
	GError **error)
{
	const struct option_syntax syntax = {
		.summary = ops->summary,
		.tables = { ops->options, socket_options, service_options },
	};
	g_auto(GStrv) args = g_strdupv(argv);
	bool ok;

	parsed = (struct options){
		.fd = -1,
		.socket_group = (gid_t)-1,
		.xen_copy = MEM_GRANT_COPY_MAX,
		.poll_us = POLL_US_AUTO,
		.privileges.root = -1,
		.print_capabilities = has_argument(argv, "--print-capabilities"),
		.version = has_argument(argv, "--version"),
	};
	parsed_xen = parsed_packed = CHOICE_AUTO;
	ok = parsed.print_capabilities || parsed.version || option_parse(&syntax, &args, error);
	parsed.xen = parsed_xen == CHOICE_ON || (parsed_xen == CHOICE_AUTO && is_xen_host());
	parsed.packed =
		parsed_packed == CHOICE_ON || (parsed_packed == CHOICE_AUTO && !ops->prefers_split);
	parsed.privileges.sandbox = parsed_sandbox;
	*o = parsed;
	return ok;
}

void options_clear(struct options *o)
{
	g_clear_pointer(&o->socket_path, g_free);
	g_clear_pointer(&o->control, g_free);
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
