/* SPDX-License-Identifier: Apache-2.0 */
/* virtioctl check: the command line, and the cases one after the other. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "tools/check/frontend.h"
#include "tools/connect.h"
#include "tools/sandbox.h"
#include "tools/virtioctl.h"

/* Of time-outs, if --timeout does not say otherwise. */
#define FLOOR_SECONDS "2"

struct command {
	struct check_options check;
	struct connect_options connect;
	char *start, *frontend;
	char **patterns;
	double floor;
	bool hostile, write, list, json, junit;
};

static bool parse(struct command *o, char **argv, char ***args, GError **error)
{
	const struct option_entry entries[] = {
		{ "case", .argument = "NAME", .paths = &o->patterns,
			.help = "Run this case alone; again for another; * and ? match any" },
		{ "hostile", .flag = &o->hostile,
			.help = "Also send what no front-end should; a weak back-end may crash" },
		{ "write", .flag = &o->write,
			.help = "Also write to the device: its contents change" },
		{ "start", .argument = "COMMAND", .string = &o->start,
			.help = "Start the back-end so whenever none listens on the socket" },
		{ "timeout", .argument = "SECONDS", .real = &o->floor, .initial = FLOOR_SECONDS,
			.help = "The least to wait for a reply or a request" },
		{ "frontend", .path = &o->frontend, .argument = "PATH",
			.help = "Check a front-end that connects there",
			.excludes = { "hostile", "case" } },
		{ "list", .flag = &o->list, .help = "List the cases, with their sections" },
		{ "json", .flag = &o->json, .help = "Print JSON", .excludes = { "junit" } },
		{ "junit", .flag = &o->junit, .help = "Print JUnit's XML" },
		{ NULL },
	};
	const struct option_syntax syntax = {
		.summary = "Checks whether a back-end keeps to the vhost-user protocol.",
		.arguments = "SOCKET",
		.max_arguments = 1,
		.tables = { entries },
	};

	*args = connect_parse(argv, syntax, &o->connect, error);
	if (!*args)
		return false;
	if (o->start && o->connect.sandbox == SANDBOX_STRICT)
		return option_bad(
			error, "--start runs programs, which --sandbox=strict does not permit");
	/* The program would be in the sandbox, too. */
	if (o->start)
		o->connect.sandbox = SANDBOX_NONE;
	if (!o->list && !(*args)[1] == !o->frontend)
		return option_bad(error,
			o->frontend ? "--frontend is the only socket" : "no socket is named");
	return true;
}

/* Options of the command line that decide what the back-end is, quoted. */
static char *repeatable(char **argv)
{
	static const char *const kept[] = { "--start", "--timeout", "--device-id", "--type",
		"--config-size", "--queues" };
	GString *out = g_string_new("virtioctl check");

	for (char **arg = argv + 1; *arg; arg++) {
		for (size_t i = 0; i < G_N_ELEMENTS(kept); i++) {
			size_t len = strlen(kept[i]);
			g_autofree char *quoted = g_shell_quote(*arg);
			g_autofree char *value = NULL;

			if (strncmp(*arg, kept[i], len) != 0)
				continue;
			if ((*arg)[len] == '=')
				g_string_append_printf(out, " %s", quoted);
			if ((*arg)[len] || !arg[1])
				continue;
			value = g_shell_quote(arg[1]);
			g_string_append_printf(out, " %s=%s", kept[i], value);
		}
	}
	return g_string_free(out, FALSE);
}

static GPtrArray *select_cases(const struct check_options *o)
{
	GPtrArray *cases = g_ptr_array_new();

	for (const struct check_case *const *s = check_subjects; *s; s++) {
		for (const struct check_case *c = *s; c->name; c++) {
			if (check_is_selected(o, c))
				g_ptr_array_add(cases, (void *)c);
		}
	}
	return cases;
}

static void list(const GPtrArray *cases)
{
	for (unsigned i = 0; i < cases->len; i++) {
		const struct check_case *c = cases->pdata[i];

		printf("%-40s %s%s\n", c->name, c->section,
			c->needs & CHECK_HOSTILE ? " [--hostile]" : "");
	}
}

/* Runs them all; returns why it ended early, or NULL. */
static const char *run_cases(struct check *k, struct check_report *r, const struct check_format *f)
{
	for (unsigned i = 0; i < r->cases->len; i++) {
		int64_t start = g_get_monotonic_time();
		enum check_result result = check_run_case(k, r->cases->pdata[i]);

		r->done++;
		r->failed += result == CHECK_FAILED;
		r->skipped += result == CHECK_SKIPPED;
		f->result(r, result, (uint64_t)(g_get_monotonic_time() - start));
		if (k->dead)
			return "the back-end does not listen any more (--start starts it again)";
	}
	return NULL;
}

static const struct check_format *format_of(const struct command *o)
{
	return o->json ? &check_json : o->junit ? &check_junit : &check_tap;
}

static int run(const struct command *o, GPtrArray *cases)
{
	const struct check_format *f = format_of(o);
	g_autoptr(GString) record = g_string_new(NULL), body = g_string_new(NULL);
	struct check k = {
		.options = &o->check,
		.peer = { .device = o->connect.keys.device_id,
			.queues = o->connect.keys.queues,
			.config_size = o->connect.keys.config_size == BACKEND_CONFIG_SIZE_UNSAID
				? -1
				: (int64_t)o->connect.keys.config_size },
		.record = record,
		.sock = -1,
		.channel = -1,
	};
	struct check_report r = { .k = &k, .cases = cases, .body = body };
	g_autoptr(GError) error = NULL;
	int status = CTL_FAILED;

	if (!ctl_sandbox_enter(o->connect.sandbox, o->check.socket, &error))
		return ctl_report(error);
	if (check_survey(&k)) {
		f->begin(&r);
		f->end(&r, run_cases(&k, &r, f));
		status = r.failed || k.dead ? CTL_FAILED : CTL_OK;
	} else {
		log_print("virtioctl: %s\n%s", k.failure, record->str);
		status = k.dead ? CTL_ABSENT : CTL_FAILED;
	}
	check_process_stop(&k);
	g_free(k.failure);
	g_free(k.skip);
	return status;
}

int check_run(int argc, char **argv)
{
	struct command o = { .connect = CONNECT_OPTIONS_INIT };
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) cases = NULL;
	g_auto(GStrv) args = NULL, patterns = NULL;
	g_autofree char *start = NULL, *frontend = NULL, *repeat = repeatable(argv), *quoted = NULL;
	const char *socket;
	bool parsed = parse(&o, argv, &args, &error);

	frontend = o.frontend;
	patterns = o.patterns;
	start = o.start;
	if (!parsed)
		return ctl_report(error);
	socket = frontend ? frontend : args[1];
	quoted = g_shell_quote(socket ? socket : "");
	o.check = (struct check_options){
		.socket = socket,
		.frontend = frontend,
		.quoted_socket = quoted,
		.start = start,
		.patterns = patterns,
		.hostile = o.hostile,
		.write = o.write,
		.floor_us = (uint64_t)(o.floor * 1e6),
		.repeat = repeat,
	};
	if (frontend)
		return frontend_run(&o.check, &o.connect, format_of(&o));
	cases = select_cases(&o.check);
	if (!cases->len) {
		log_print("virtioctl: there is no such case (--list names them)\n");
		return CTL_USAGE;
	}
	if (o.list) {
		list(cases);
		return CTL_OK;
	}
	return run(&o, cases);
}
