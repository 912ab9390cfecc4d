/* SPDX-License-Identifier: Apache-2.0 */
/* See options.h. */
#include "tools/switch/options.h"

#include <string.h>

#include "base/option.h"
#include "tools/switch/bridge.h"

#define MAX_AGEING_S 1000000

/* Where the table puts values: a command line is parsed by one thread. */
static struct switch_options parsed;
static char **parsed_listeners, **parsed_ports;
static unsigned parsed_sandbox;

static const struct option_entry entries[] = {
	{ "listen", "ADDRESS,KEYS", .paths = &parsed_listeners,
		.help = "Take ports at this socket: unix:PATH or fd:N, and how they are: name=, "
			"vlan=, trunk=, isolated=, pcap=" },
	{ "port", "KEYS", .paths = &parsed_ports,
		.help = "A port that is there always: stream=unix:PATH, tap=NAME or tap-fd=N, and "
			"the keys of --listen" },
	{ "max-ports", .number = &parsed.max_ports, .min = 2, .max = BRIDGE_MAX_MEMBERS,
		.initial = "64", .help = "How many ports there can be" },
	{ "max-macs", .number = &parsed.max_macs, .min = MAC_TABLE_WAYS, .max = MAC_TABLE_MAX,
		.initial = "8192", .help = "How many addresses are learned" },
	{ "ageing", "SECONDS", .number = &parsed.ageing, .min = 1, .max = MAX_AGEING_S,
		.initial = "300", .help = "Forget an address that sent nothing for so long" },
	{ "socket-mode", .mode = &parsed.socket_mode, .initial = "0600",
		.help = "Permissions of the sockets of --listen" },
	{ "socket-group", .group = &parsed.socket_group,
		.help = "Group of the sockets of --listen" },
	{ "control", .path = &parsed.control,
		.help = "Take requests at this socket, from virtioctl call for example" },
	{ "run-as", "UID[:GID]", .string = &parsed.privileges.run_as,
		.help = "Switch to this user, and group, before serving" },
	{ "sandbox", .word = &parsed_sandbox, .words = sandbox_words, .initial = SANDBOX_DEFAULT,
		.help = "Give up what serving does not need: what this machine permits, or all, or "
			"nothing" },
	OPTION_LOG_LEVEL(&parsed.log_level),
	{ "version", .flag = &parsed.version, .help = "Print the version and exit" },
	{ NULL },
};

static const struct option_syntax syntax = {
	.summary =
		"Connects virtual machines, taps and other switches: a learning Ethernet switch.",
	.tables = { entries },
};

static bool parse_settings(
	GPtrArray *to, char **texts, const char *option, bool listen, GError **error)
{
	for (char **text = texts; text && *text; text++) {
		struct port_settings *s = port_settings_parse(*text, listen, error);

		if (!s) {
			g_prefix_error(error, "invalid --%s=%s: ", option, *text);
			return false;
		}
		g_ptr_array_add(to, s);
	}
	return true;
}

/* Checks that no two have a name, a capture file or an open file in common. */
static bool check_pair(const struct port_settings *a, const struct port_settings *b, GError **error)
{
	if (strcmp(a->name, b->name) == 0)
		return option_bad(
			error, "two ports have the name '%s' (give them others by name=)", a->name);
	if (a->fd >= 0 && a->fd == b->fd)
		return option_bad(error, "two ports have file descriptor %d", a->fd);
	if (g_strcmp0(a->pcap_path, b->pcap_path) == 0 && a->pcap_path)
		return option_bad(error, "two ports write to '%s'", a->pcap_path);
	return true;
}

static bool check(const struct switch_options *o, GError **error)
{
	g_autoptr(GPtrArray) all = g_ptr_array_new();

	g_ptr_array_extend(all, o->listeners, NULL, NULL);
	g_ptr_array_extend(all, o->ports, NULL, NULL);
	if (!all->len)
		return option_bad(
			error, "a --listen=unix:PATH or a --port=KEYS is needed (try --help)");
	if (o->ports->len > o->max_ports)
		return option_bad(error, "there are more --port options than --max-ports=%u allows",
			o->max_ports);
	for (unsigned i = 0; i < all->len; i++) {
		for (unsigned k = 0; k < i; k++) {
			if (!check_pair(all->pdata[i], all->pdata[k], error))
				return false;
		}
	}
	return true;
}

bool switch_options_parse(struct switch_options *o, int argc, char **argv, GError **error)
{
	g_auto(GStrv) args = g_strdupv(argv);
	bool ok;

	parsed = (struct switch_options){
		.listeners = g_ptr_array_new_with_free_func((GDestroyNotify)port_settings_free),
		.ports = g_ptr_array_new_with_free_func((GDestroyNotify)port_settings_free),
		.socket_group = (gid_t)-1,
		.privileges.root = -1,
	};
	ok = option_parse(&syntax, &args, error);
	parsed.privileges.sandbox = parsed_sandbox;
	*o = parsed;
	if (ok && !o->version)
		ok = parse_settings(o->listeners, parsed_listeners, "listen", true, error) &&
			parse_settings(o->ports, parsed_ports, "port", false, error) &&
			check(o, error);
	g_clear_pointer(&parsed_listeners, g_strfreev);
	g_clear_pointer(&parsed_ports, g_strfreev);
	return ok;
}

static void add_fds(GArray *fds, const GPtrArray *settings)
{
	for (unsigned i = 0; i < settings->len; i++) {
		const struct port_settings *s = settings->pdata[i];

		if (s->fd >= 0)
			g_array_append_val(fds, s->fd);
	}
}

int *switch_options_fds(const struct switch_options *o)
{
	GArray *fds = g_array_new(FALSE, FALSE, sizeof(int));
	int end = -1;

	add_fds(fds, o->listeners);
	add_fds(fds, o->ports);
	g_array_append_val(fds, end);
	return (int *)(void *)g_array_free(fds, FALSE);
}

void switch_options_clear(struct switch_options *o)
{
	g_clear_pointer(&o->listeners, g_ptr_array_unref);
	g_clear_pointer(&o->ports, g_ptr_array_unref);
	g_clear_pointer(&o->control, g_free);
	privileges_clear(&o->privileges);
}
