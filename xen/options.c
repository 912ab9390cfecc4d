/* SPDX-License-Identifier: Apache-2.0 */
/* The options of virtiod-xen, and of its two commands. */
#include "xen/options.h"

#include <string.h>

#include "base/number.h"
#include "base/option.h"
#include "base/xen_abi.h"
#include "priv/sandbox.h"
#include "xen/supervisor/device_node.h"

#define DEFAULT_WAIT_S 10
#define MAX_WAIT_S (24 * 60 * 60)
/*
 * Of the 32-bit numbers that systemd's "Users, Groups, UIDs and GIDs" lists as unused; domids have
 * 15 bits.
 */
#define DEFAULT_UID_BASE 1879048192 /* 0x70000000 */
#define MAX_UID_BASE (0xfffffffe - XEN_MAX_DOMID)
/* A GIC's SPIs. */
#define MIN_IRQ 32
#define MAX_IRQ 1019
#define MISSING UINT_MAX

static bool check_supervisor(
	struct xen_options *o, unsigned wait_s, bool no_eventfds, GError **error)
{
	if (!g_path_is_absolute(o->run))
		return option_bad(error, "invalid --run-dir=%s: an absolute path", o->run);
	o->supervisor.config = o->config;
	o->supervisor.defaults = o->defaults;
	o->supervisor.run = o->run;
	o->supervisor.wait_ms = wait_s * 1000;
	o->supervisor.eventfds = !no_eventfds;
	return true;
}

static bool check_attach(struct xen_options *o, GError **error)
{
	const struct attach_options *a = &o->attach;

	if (a->domid == MISSING || a->irq == MISSING || a->base == UINT64_MAX || !o->socket)
		return option_bad(error,
			"attach needs --domid, --base, --irq and --socket (try --help-attach)");
	if (a->base % 4)
		return option_bad(error,
			"invalid --base=0x%" G_GINT64_MODIFIER "x: a multiple of 4", a->base);
	o->attach.socket = o->socket;
	return true;
}

/* Parses "worker COMMANDS REQUESTS LEVEL WHO": how virtiod-xen starts its workers. */
static bool parse_worker(struct xen_options *o, char **args, GError **error)
{
	uint64_t commands, requests;

	if (g_strv_length(args) != 4 || !number_parse(args[0], 0, INT_MAX, &commands) ||
		!number_parse(args[1], 0, INT_MAX, &requests) ||
		!log_parse_level(args[2], &o->log_level))
		return option_bad(error, "worker: for virtiod-xen itself only");
	o->command = XEN_WORKER;
	o->commands = commands;
	o->requests = requests;
	return true;
}

/* Sets the command; no word: serve all guests. */
static bool set_command(struct xen_options *o, const char *word, GError **error)
{
	const struct attach_options *a = &o->attach;

	if (g_strcmp0(word, "attach") == 0)
		o->command = XEN_ATTACH;
	else if (word)
		return option_bad(error, "unknown command '%s': only attach (try --help)", word);
	else if (a->domid != MISSING || a->irq != MISSING || a->base != UINT64_MAX || o->socket)
		return option_bad(error, "--domid, --base, --irq and --socket are for attach");
	return true;
}

static bool parse(struct xen_options *o, char ***args, GError **error)
{
	unsigned wait_s;
	bool no_eventfds = false;
	const struct option_entry entries[] = {
		{ "config", "FILE", "Which back-end serves which device",
			VIRTIOD_SYSCONFDIR "/virtiod/xen.conf", .path = &o->config,
			.excludes = { "socket" } },
		{ "defaults", "FILE", "The same for devices that no group of --config matches",
			VIRTIOD_DATADIR "/virtiod/xen.conf", .path = &o->defaults,
			.excludes = { "socket" } },
		{ "run-dir", "DIR", "Where sockets are, as DIR/DOMAIN/DEVID.sock", "/run/virtiod",
			.path = &o->run },
		{ "wait", "SECONDS", "How long a guest waits for a missing back-end; 0: for ever",
			G_STRINGIFY(DEFAULT_WAIT_S), .number = &wait_s, .max = MAX_WAIT_S },
		{ "no-eventfds", NULL,
			"Handle kicks and interrupts in the workers, not in the kernel",
			.flag = &no_eventfds },
		{ "uid-base", "N", "The worker of domain D runs as user N+D; 0: as root",
			G_STRINGIFY(DEFAULT_UID_BASE), .number = &o->supervisor.uid_base,
			.max = MAX_UID_BASE },
		{ "sandbox", "auto|strict|none",
			"What workers give up besides: what this host permits, or all, or nothing",
			SANDBOX_DEFAULT, .word = &o->supervisor.sandbox, .words = sandbox_words },
		OPTION_LOG_LEVEL(&o->log_level),
		{ "version", NULL, "Print the version and exit", .flag = &o->version },
		{ NULL },
	};
	const struct option_entry attach[] = {
		{ "domid", "N", "The guest", .number = &o->attach.domid, .max = XEN_MAX_DOMID },
		{ "base", "ADDRESS", "Guest address of the device's 512 bytes",
			.number64 = &o->attach.base, .max = UINT64_MAX - DEVICE_NODE_WINDOW },
		{ "irq", "N", "The device's interrupt (an SPI's number)", .number = &o->attach.irq,
			.min = MIN_IRQ, .max = MAX_IRQ },
		{ "socket", "PATH", "Where the back-end listens", .path = &o->socket },
		{ "grants", NULL, "The guest grants its memory (xen,grant-dma in its device tree)",
			.flag = &o->attach.grants },
		{ NULL },
	};
	const struct option_syntax syntax = {
		.summary = "Serves the virtio devices of Xen guests (xl.cfg: virtio = [ ... ]) by "
			   "vhost-user back-ends.",
		.arguments = "[attach]",
		.max_arguments = 1,
		.tables = { entries },
		.group = { "attach", "virtiod-xen attach: one device, without xenstore",
			"Options of virtiod-xen attach", attach },
	};

	return option_parse(&syntax, args, error) &&
		(o->version ||
			(set_command(o, (*args)[1], error) &&
				check_supervisor(o, wait_s, no_eventfds, error) &&
				(o->command != XEN_ATTACH || check_attach(o, error))));
}

bool xen_options_parse(struct xen_options *o, int argc, char **argv, GError **error)
{
	g_auto(GStrv) args = g_strdupv(argv);

	*o = (struct xen_options){
		.log_level = LOG_LEVEL_INFO,
		.attach = { .domid = MISSING, .irq = MISSING, .base = UINT64_MAX },
	};
	if (argc > 1 && strcmp(args[1], "worker") == 0)
		return parse_worker(o, args + 2, error);
	return parse(o, &args, error);
}

void xen_options_clear(struct xen_options *o)
{
	g_free(o->config);
	g_free(o->defaults);
	g_free(o->run);
	g_free(o->socket);
}
