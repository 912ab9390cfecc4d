/* SPDX-License-Identifier: Apache-2.0 */
/* See figures.h. */
#include "tests/lib/figures.h"

#include "tests/lib/test.h"

#include <fcntl.h>

#define MORE_MS 1000

static int stat_fd = -1;

/*
 * Opens it for the whole process: what is opened later may get the number of a file that another
 * process with these fds has closed, which TSan takes for a race.
 */
__attribute__((constructor)) static void open_stat(void)
{
	stat_fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
}

static unsigned as_ms(int64_t us)
{
	return (unsigned)((us + 999) / 1000);
}

int64_t figures_idle(const char *stat, unsigned cpus)
{
	unsigned long long idle;

	/* User, nice, system. What waits for a disk does not count as idle. */
	if (sscanf(stat, "cpu %*u %*u %*u %llu", &idle) != 1)
		return -1;
	return (int64_t)(idle * G_TIME_SPAN_SECOND / (unsigned long)sysconf(_SC_CLK_TCK) / cpus);
}

struct figures_time figures_now(void)
{
	struct figures_time now = { .us = g_get_monotonic_time(), .idle = -1 };
	char stat[256] = "";

	if (pread(stat_fd, stat, sizeof(stat) - 1, 0) > 0)
		now.idle = figures_idle(stat, g_get_num_processors());
	if (now.idle < 0)
		now.idle = now.us;
	return now;
}

struct figures_time figures_since(struct figures_time start)
{
	struct figures_time now = figures_now();

	return (struct figures_time){ now.us - start.us, now.idle - start.idle };
}

bool figures_within(struct figures_time took, int64_t usual_us)
{
	return took.idle <= usual_us + test_patience() * MORE_MS * G_TIME_SPAN_MILLISECOND;
}

void figures_add(struct figures *f, const char *when, struct figures_time took, int64_t usual_us)
{
	f->sum += took.us;
	f->longest = MAX(f->longest, took.us);
	f->n++;
	if (!figures_within(took, usual_us))
		fail_msg("%s: %s within %u ms, usually within %u; CPUs were idle for %u ms", when,
			f->what, as_ms(took.us), as_ms(usual_us), as_ms(took.idle));
}

void figures_print(const struct figures *f)
{
	if (f->n)
		print_message("[  NOTE    ] %s within %u ms on average, %u ms at most\n", f->what,
			as_ms(f->sum / f->n), as_ms(f->longest));
}
