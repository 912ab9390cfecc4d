/* SPDX-License-Identifier: Apache-2.0 */
/* See bench_usage.h. */
#include "tools/bench/bench_usage.h"

#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"

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

int64_t bench_usage_since(int pid, int64_t before)
{
	int64_t now = bench_usage_cpu(pid);

	return now < 0 || before < 0 ? BENCH_UNKNOWN : now - before;
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

enum { STATUS, ROLLUP };

static const char *const names[] = { [STATUS] = "status", [ROLLUP] = "smaps_rollup" };
/* What bench_usage_keep() opened. */
static int kept_pid, kept[G_N_ELEMENTS(names)];

static int open_proc(int pid, unsigned which)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/%s", pid, names[which]);

	return open(path, O_RDONLY | O_CLOEXEC);
}

void bench_usage_keep(int pid)
{
	kept_pid = pid;
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		kept[i] = open_proc(pid, i);
}

/* Reads from the beginning: these files are short. NULL: it cannot be read. */
static char *read_proc(int pid, unsigned which)
{
	autofd own = kept_pid ? -1 : open_proc(pid, which);
	int fd = kept_pid ? kept[which] : own;
	char text[8192];
	size_t len = 0;
	ssize_t n;

	if ((kept_pid && kept_pid != pid) || lseek(fd, 0, SEEK_SET) < 0)
		return NULL;
	while (len < sizeof(text) && (n = read(fd, text + len, sizeof(text) - len)) > 0)
		len += (size_t)n;
	return len ? g_strndup(text, len) : NULL;
}

void bench_usage_memory(int pid, struct bench_usage *u)
{
	g_autofree char *status = pid > 0 ? read_proc(pid, STATUS) : NULL;
	g_autofree char *rollup = pid > 0 ? read_proc(pid, ROLLUP) : NULL;

	u->rss_kib = status ? value_of(status, "VmRSS") : BENCH_UNKNOWN;
	u->pss_kib = rollup ? value_of(rollup, "Pss") : BENCH_UNKNOWN;
	u->private_dirty_kib = rollup ? value_of(rollup, "Private_Dirty") : BENCH_UNKNOWN;
}
