/* SPDX-License-Identifier: Apache-2.0 */
/* See progress.h. */
#include "tools/block/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "tools/text.h"

#define REDRAW_US 100000
#define MAX_BAR 40

static unsigned terminal_columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 20)
		return 80;
	return size.ws_col;
}

/* Appends "[=====> ]" in exactly width characters. */
static void append_bar(GString *line, double part, unsigned width)
{
	unsigned inside = width - 2;
	unsigned filled = (unsigned)(part * inside);

	g_string_append_c(line, '[');
	for (unsigned i = 0; i < inside; i++)
		g_string_append_c(line, i < filled ? '=' : i == filled ? '>' : ' ');
	g_string_append_c(line, ']');
}

char *progress_line(uint64_t done, uint64_t total, uint64_t elapsed_us, unsigned columns)
{
	g_autofree char *amount = text_size(done);
	g_autofree char *rate = text_rate(done, elapsed_us);
	GString *line = g_string_new(NULL);
	g_autoptr(GString) tail = g_string_new(NULL);
	double part;

	if (total == 0) {
		g_autofree char *time = text_duration(elapsed_us / 1000000);

		g_string_printf(line, "%s  %s  %s", amount, rate, time);
	} else {
		g_autofree char *whole = text_size(total);

		part = (double)MIN(done, total) / (double)total;
		g_string_printf(line, "%3u%% ", (unsigned)(part * 100));
		g_string_printf(tail, " %s of %s  %s", amount, whole, rate);
		if (done > 0) {
			double left = (double)elapsed_us / part * (1 - part) / 1e6;
			g_autofree char *eta = text_duration((uint64_t)(left + 0.5));

			g_string_append_printf(tail, "  ETA %s", eta);
		}
		if (line->len + tail->len + 10 <= columns)
			append_bar(line, part, MIN(MAX_BAR, columns - line->len - tail->len));
		g_string_append(line, tail->str);
	}
	if (line->len > columns)
		g_string_truncate(line, columns);
	return g_string_free(line, FALSE);
}

void progress_start(struct progress *p, uint64_t total)
{
	*p = (struct progress){
		.total = total,
		.start_us = g_get_monotonic_time(),
		.shown = isatty(STDERR_FILENO),
	};
}

void progress_update(struct progress *p, uint64_t done)
{
	g_autofree char *line = NULL;
	int64_t now;

	if (!p->shown)
		return;
	now = g_get_monotonic_time();
	if (now - p->drawn_us < REDRAW_US)
		return;
	p->drawn_us = now;
	line = progress_line(done, p->total, (uint64_t)(now - p->start_us), terminal_columns() - 1);
	log_print("\r%s\033[K", line); /* and what an older, longer line left */
}

void progress_show(struct progress *p, const char *line)
{
	int64_t now = p->shown ? g_get_monotonic_time() : 0;

	if (!p->shown || now - p->drawn_us < REDRAW_US)
		return;
	p->drawn_us = now;
	log_print("\r%.*s\033[K", (int)terminal_columns() - 1, line);
}

void progress_end(struct progress *p, uint64_t done, const char *verb, bool verbose)
{
	uint64_t elapsed = (uint64_t)(g_get_monotonic_time() - p->start_us);
	g_autofree char *amount = text_size(done);
	g_autofree char *rate = text_rate(done, elapsed);

	if (p->shown)
		log_print("\r\033[K");
	if (verb && (p->shown || verbose))
		log_print("%s %s in %.3f s, %s\n", verb, amount, (double)elapsed / 1e6, rate);
}
