/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtioctl metrics: OpenMetrics text. node_exporter's textfile collector reads it as well: it
 * takes what it does not know for comments.
 */
#include <stdio.h>

#include "tools/control/ask.h"
#include "tools/control/metrics_text.h"
#include "tools/virtioctl.h"

static struct metrics *all;

static bool answered(const char *path, const struct json_value *result)
{
	return metrics_add(all, path, result);
}

static void failed(const char *path)
{
	metrics_add_silent(all, path);
}

static void print(void)
{
	g_autofree char *text = metrics_text(all);

	fputs(text, stdout);
}

int metrics_run(int argc, char **argv)
{
	const struct ask ask = {
		.summary =
			"Prints what daemons that were started with --control=SOCKET have served "
			"as OpenMetrics text, for node_exporter's textfile collector.",
		.method = "stats",
		.answered = answered,
		.failed = failed,
		.done = print,
	};
	int status;

	all = metrics_new();
	status = ask_run(&ask, argv);
	metrics_free(all);
	return status;
}
