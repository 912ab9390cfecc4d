/* SPDX-License-Identifier: Apache-2.0 */
/* virtioctl: finds the subcommand and runs it. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/start.h"
#include "virtioctl.h"

static const struct subcommand subcommands[] = {
	{ "probe", "Show what a back-end says about its device", probe_run },
	{ "read", "Copy a block device's contents to a file or pipe", read_run },
	{ "write", "Copy a file or pipe to a block device", write_run },
	{ "bench", "Measure the speed and the cost of a block device", bench_run },
	{ "check", "Check whether a back-end keeps to the protocol", check_run },
	{ "call", "Call a method of a daemon's control socket", call_run },
	{ "list", "Show the devices of a running virtiod", list_run },
	{ "add", "Add a device to it", add_run },
	{ "remove", "Remove one", remove_run },
	{ "reload", "Have it read its configuration files again", reload_run },
	{ "restart", "Have it restart a device", restart_run },
	{ "stats", "Show what daemons have served", stats_run },
	{ "inflight", "Show the requests that daemons are at work on", inflight_run },
	{ "top", "Show what daemons do now", top_run },
	{ "metrics", "Print what daemons have served as OpenMetrics text", metrics_run },
};

static void print_help(FILE *to)
{
	fprintf(to,
		"Usage:\n"
		"  virtioctl SUBCOMMAND [OPTION...] SOCKET ...\n\n"
		"Talks to a vhost-user back-end without a guest, and to virtiod.\n\n"
		"Subcommands:\n");
	for (size_t i = 0; i < G_N_ELEMENTS(subcommands); i++)
		fprintf(to, "  %-10s %s\n", subcommands[i].name, subcommands[i].summary);
	fprintf(to, "  %-10s %s\n", "help", "Show this, or the help of a subcommand");
	fprintf(to,
		"\nOptions:\n"
		"  -h, --help   Show this\n"
		"  --version    Show the version\n");
}

static int run_subcommand(const char *name, int argc, char **argv)
{
	for (size_t i = 0; i < G_N_ELEMENTS(subcommands); i++) {
		g_autofree char *program = NULL;

		if (strcmp(name, subcommands[i].name) != 0)
			continue;
		/* GOption names the program so in its usage line. */
		program = g_strdup_printf("virtioctl %s", name);
		g_set_prgname(program);
		return subcommands[i].run(argc, argv);
	}
	log_print("virtioctl: there is no subcommand '%s'\nTry 'virtioctl --help'\n", name);
	return CTL_USAGE;
}

int main(int argc, char **argv)
{
	start_program("virtioctl", NULL);
	start_close_fds(argv, NULL);
	if (argc < 2) {
		print_help(stderr);
		return CTL_USAGE;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("virtioctl %s\n", VIRTIOD_VERSION);
		return CTL_OK;
	}
	if (!strcmp(argv[1], "help") && argc > 2) {
		char *help[] = { argv[2], (char[]){ "--help" }, NULL };

		return run_subcommand(argv[2], 2, help);
	}
	if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		print_help(stdout);
		return CTL_OK;
	}
	return run_subcommand(argv[1], argc - 1, argv + 1);
}
