/* SPDX-License-Identifier: Apache-2.0 */
/* Options of virtiod-xen, and of its two commands. */
#include "xen/options.h"

#include <string.h>

#include "base/option.h"
#include "base/xen_abi.h"
#include "xen/supervisor/device_node.h"

#define DEFAULT_RUN "/run/virtiod"
#define DEFAULT_WAIT_S 10
#define MAX_WAIT_S (24 * 60 * 60)
/*
 * Of the 32-bit numbers that systemd's "Users, Groups, UIDs and GIDs" lists as unused by anybody;
 * domids have 15 bits.
 */
#define DEFAULT_UID_BASE 0x70000000
#define MAX_UID_BASE (0xfffffffe - XEN_MAX_DOMID)
/* A GIC's SPIs. */
#define MIN_IRQ 32
#define MAX_IRQ 1019

struct raw {
	char *wait, *uid_base, *log_level;
	char *domid, *base, *irq;
	gboolean no_eventfds;
};

/* Decimal, or hexadecimal with 0x. */
static bool parse_number(
	const char *option, const char *text, guint64 max, guint64 *value, GError **error)
{
	bool hex = g_str_has_prefix(text, "0x");

	return g_ascii_string_to_unsigned(
		       hex ? text + 2 : text, hex ? 16 : 10, 0, max, value, NULL) ||
		option_bad(
			error, "--%s=%s: not a number up to %" G_GUINT64_FORMAT, option, text, max);
}

/* Not before: GOption would not free what is there. */
static void set_default(char **option, const char *value)
{
	if (!*option)
		*option = g_strdup(value);
}

static bool parse_supervisor(struct options *o, const struct raw *raw, GError **error)
{
	guint64 wait = DEFAULT_WAIT_S, uid_base = DEFAULT_UID_BASE;

	set_default(&o->config, VIRTIOD_SYSCONFDIR "/virtiod/xen.conf");
	set_default(&o->defaults, VIRTIOD_DATADIR "/virtiod/xen.conf");
	set_default(&o->run, DEFAULT_RUN);
	if (raw->wait && !parse_number("wait", raw->wait, MAX_WAIT_S, &wait, error))
		return false;
	if (raw->uid_base &&
		!parse_number("uid-base", raw->uid_base, MAX_UID_BASE, &uid_base, error))
		return false;
	if (!option_log_level(raw->log_level, &o->log_level, error))
		return false;
	if (!g_path_is_absolute(o->run))
		return option_bad(error, "--run-dir=%s: not an absolute path", o->run);
	o->supervisor = (struct supervisor_options){
		.config = o->config,
		.defaults = o->defaults,
		.run = o->run,
		.wait_ms = wait * 1000,
		.eventfds = !raw->no_eventfds,
		.uid_base = uid_base,
	};
	return true;
}

static bool parse_attach(struct options *o, const struct raw *raw, GError **error)
{
	guint64 domid, base, irq;

	if (!raw->domid || !raw->base || !raw->irq || !o->socket)
		return option_bad(
			error, "attach needs --domid, --base, --irq and --socket (try --help)");
	if (!parse_number("domid", raw->domid, XEN_MAX_DOMID, &domid, error) ||
		!parse_number("base", raw->base, UINT64_MAX - DEVICE_NODE_WINDOW, &base, error) ||
		!parse_number("irq", raw->irq, MAX_IRQ, &irq, error))
		return false;
	if (irq < MIN_IRQ)
		return option_bad(error,
			"--irq=%s: not an SPI, these begin at " G_STRINGIFY(MIN_IRQ), raw->irq);
	if (base % 4)
		return option_bad(error, "--base=%s: not a multiple of 4", raw->base);
	o->attach.domid = domid;
	o->attach.base = base;
	o->attach.irq = irq;
	o->attach.socket = o->socket;
	return true;
}

/* "worker COMMANDS REQUESTS LEVEL WHO": nobody types that. */
static bool parse_worker(struct options *o, char **args, GError **error)
{
	guint64 commands, requests;

	if (g_strv_length(args) != 4 ||
		!g_ascii_string_to_unsigned(args[0], 10, 0, G_MAXINT, &commands, NULL) ||
		!g_ascii_string_to_unsigned(args[1], 10, 0, G_MAXINT, &requests, NULL) ||
		!log_parse_level(args[2], &o->log_level))
		return option_bad(error, "worker: for virtiod-xen itself only");
	o->command = OPTIONS_WORKER;
	o->commands = commands;
	o->requests = requests;
	return true;
}

static bool parse_context(struct options *o, struct raw *raw, char ***argv, GError **error)
{
	const GOptionEntry entries[] = {
		{ "config", 0, 0, G_OPTION_ARG_FILENAME, &o->config,
			"Which back-end serves which device (default: " VIRTIOD_SYSCONFDIR
			"/virtiod/xen.conf)",
			"FILE" },
		{ "defaults", 0, 0, G_OPTION_ARG_FILENAME, &o->defaults,
			"The same for devices that it says nothing of (default: " VIRTIOD_DATADIR
			"/virtiod/xen.conf)",
			"FILE" },
		{ "run-dir", 0, 0, G_OPTION_ARG_FILENAME, &o->run,
			"Where sockets are, as DIR/DOMAIN/DEVID.sock (default: " DEFAULT_RUN ")",
			"DIR" },
		{ "wait", 0, 0, G_OPTION_ARG_STRING, &raw->wait,
			"How long a guest waits for a back-end that is not there; 0: for ever "
			"(default: 10)",
			"SECONDS" },
		{ "no-eventfds", 0, 0, G_OPTION_ARG_NONE, &raw->no_eventfds,
			"Handle kicks and interrupts here, even if the kernel could", NULL },
		{ "uid-base", 0, 0, G_OPTION_ARG_STRING, &raw->uid_base,
			"The worker of domain D runs as user N+D; 0: as root "
			"(default: 1879048192)",
			"N" },
		{ "log-level", 0, 0, G_OPTION_ARG_STRING, &raw->log_level,
			"error, warning, info or debug (default: info)", "LEVEL" },
		{ "version", 0, 0, G_OPTION_ARG_NONE, &o->version, "Print the version and exit",
			NULL },
		{ NULL },
	};
	const GOptionEntry attach[] = {
		{ "domid", 0, 0, G_OPTION_ARG_STRING, &raw->domid, "The guest", "N" },
		{ "base", 0, 0, G_OPTION_ARG_STRING, &raw->base,
			"Guest address of the device's 512 bytes", "ADDRESS" },
		{ "irq", 0, 0, G_OPTION_ARG_STRING, &raw->irq, "Its interrupt (an SPI's number)",
			"N" },
		{ "socket", 0, 0, G_OPTION_ARG_FILENAME, &o->socket, "Where its back-end listens",
			"PATH" },
		{ "grants", 0, 0, G_OPTION_ARG_NONE, &o->attach.grants,
			"The guest grants its memory (xen,grant-dma in its device tree)", NULL },
		{ NULL },
	};
	g_autoptr(GOptionContext) context = g_option_context_new("[attach]");
	GOptionGroup *group =
		g_option_group_new("attach", "virtiod-xen attach: one device, without xenstore",
			"Options of virtiod-xen attach", NULL, NULL);

	g_option_context_set_summary(context,
		"Serves the virtio devices of Xen guests (xl.cfg: virtio = [ ... ]) by vhost-user "
		"back-ends.");
	g_option_context_add_main_entries(context, entries, NULL);
	g_option_group_add_entries(group, attach);
	g_option_context_add_group(context, group);
	return g_option_context_parse_strv(context, argv, error);
}

static bool parse(struct options *o, struct raw *raw, char ***argv, GError **error)
{
	char **args = *argv;

	if (args[0] && g_strcmp0(args[1], "worker") == 0)
		return parse_worker(o, args + 2, error);
	if (!parse_context(o, raw, argv, error))
		return false;
	args = *argv;
	if (o->version)
		return true;
	if (args[0] && g_strcmp0(args[1], "attach") == 0)
		o->command = OPTIONS_ATTACH;
	if (args[0] && args[1] && (o->command != OPTIONS_ATTACH || args[2]))
		return option_bad(error, "what is '%s'? (try --help)",
			o->command == OPTIONS_ATTACH ? args[2] : args[1]);
	if (o->command != OPTIONS_ATTACH && (raw->domid || raw->base || raw->irq || o->socket))
		return option_bad(error, "--domid, --base, --irq and --socket are for attach");
	return parse_supervisor(o, raw, error) &&
		(o->command != OPTIONS_ATTACH || parse_attach(o, raw, error));
}

bool options_parse(struct options *o, int argc, char **argv, GError **error)
{
	g_auto(GStrv) args = g_strdupv(argv);
	struct raw raw = { 0 };
	bool ok;

	*o = (struct options){ .log_level = LOG_LEVEL_INFO };
	ok = parse(o, &raw, &args, error);
	g_free(raw.wait);
	g_free(raw.uid_base);
	g_free(raw.log_level);
	g_free(raw.domid);
	g_free(raw.base);
	g_free(raw.irq);
	return ok;
}

void options_clear(struct options *o)
{
	g_free(o->config);
	g_free(o->defaults);
	g_free(o->run);
	g_free(o->socket);
}
