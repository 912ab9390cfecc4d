/* SPDX-License-Identifier: Apache-2.0 */
/* See bench_usage.h. */
#include "tools/bench/bench_usage.h"

#include <glib.h>
#include <string.h>
#include <time.h>

/*
 * Reads the process's CPU clock rather than /proc/PID/stat, which counts in ticks of 10 ms, or
 * /proc/PID/task/.../schedstat, which forgets threads that have ended.
 */
int64_t bench_usage_cpu(int pid)
{
	struct timespec ts;
	clockid_t clock;

	if (pid <= 0 || clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &ts) < 0)
		return BENCH_UNKNOWN;
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* Returns the number behind "key:" at the beginning of a line. */
static int64_t value_of(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, len) && line[len] == ':')
			return g_ascii_strtoll(line + len + 1, NULL, 10);
	}
	return BENCH_UNKNOWN;
}

static char *read_proc(int pid, const char *file)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/%s", pid, file);
	char *text = NULL;

	g_file_get_contents(path, &text, NULL, NULL);
	return text;
}

void bench_usage_memory(int pid, struct bench_usage *u)
{
	g_autofree char *status = pid > 0 ? read_proc(pid, "status") : NULL;
	g_autofree char *rollup = pid > 0 ? read_proc(pid, "smaps_rollup") : NULL;

	u->rss_kib = status ? value_of(status, "VmRSS") : BENCH_UNKNOWN;
	u->pss_kib = rollup ? value_of(rollup, "Pss") : BENCH_UNKNOWN;
	u->private_dirty_kib = rollup ? value_of(rollup, "Private_Dirty") : BENCH_UNKNOWN;
}
