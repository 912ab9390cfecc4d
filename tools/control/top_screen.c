/* SPDX-License-Identifier: Apache-2.0 */
/* The screen of "virtioctl top": a pure function of what is shown. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/control/top.h"

#define HEAD_ROWS 2
/* Escape sequences (ECMA-48): home, erase to the end of the line or screen, reverse video. */
#define HOME "\033[H"
#define ERASE_LINE "\033[K"
#define ERASE_BELOW "\033[J"
#define REVERSE "\033[7m"
#define NORMAL "\033[m"

static const struct {
	const char *title;
	int width; /* negative: to the left; of the socket, the least */
	int decimals;
} columns[TOP_COLUMNS] = {
	[TOP_SOCKET] = { "SOCKET", -12 },
	[TOP_DEVICE] = { "DEVICE", -12 },
	[TOP_STATE] = { "STATE", -9 },
	[TOP_IOPS] = { "IOPS", 9, 0 },
	[TOP_MB] = { "MB/s", 8, 1 },
	[TOP_P50] = { "P50 us", 9, 1 },
	[TOP_P99] = { "P99 us", 9, 1 },
	[TOP_IN_FLIGHT] = { "IN FLIGHT", 9, 0 },
	[TOP_CPU] = { "CPU %", 6, 1 },
};

static const char *const help[] = {
	"q        quit",
	"s        sort by the next column",
	"left     sort by the column to the left, right: to the right",
	"up       show the daemons above, down: below",
	"h        this help, and back",
	"",
	"IOPS, MB/s, percentiles (of a histogram in powers of two) and CPU are of the",
	"time between the last two answers. MB are 10^6 bytes. A daemon is gone (nothing",
	"listens), silent (no answer within a second), or no device.",
};

static enum top_column sorted_by;

static const char *text_of(const struct top_daemon *d, enum top_column column)
{
	return column == TOP_SOCKET ? d->round.path : column == TOP_DEVICE ? d->device : d->state;
}

static int compare(const void *a, const void *b)
{
	const struct top_daemon *x = *(struct top_daemon *const *)a;
	const struct top_daemon *y = *(struct top_daemon *const *)b;
	double difference;
	int order = 0;

	if (sorted_by < TOP_IOPS) {
		order = strcmp(text_of(x, sorted_by), text_of(y, sorted_by));
	} else {
		difference = y->value[sorted_by] - x->value[sorted_by];
		order = difference > 0 ? 1 : difference < 0 ? -1 : 0;
	}
	return order ? order : strcmp(x->round.path, y->round.path);
}

void top_sort(struct top_view *v)
{
	sorted_by = v->sort;
	qsort(v->daemons, v->n, sizeof(v->daemons[0]), compare);
}

unsigned top_room(const struct top_view *v)
{
	return v->rows > HEAD_ROWS ? v->rows - HEAD_ROWS : 1;
}

/* Returns how wide the first column is: it has what the others leave. */
static int socket_width(const struct top_view *v)
{
	int width = (int)v->columns;

	for (unsigned i = TOP_DEVICE; i < TOP_COLUMNS; i++)
		width -= abs(columns[i].width) + 1;
	return MAX(width, abs(columns[TOP_SOCKET].width));
}

/* Adds a line that is cut at the terminal's width; all but the first begin a new one. */
static void add_line(GString *to, const struct top_view *v, const char *text, bool first)
{
	g_string_append(to, first ? "" : "\r\n");
	g_string_append_len(to, text, MIN(strlen(text), v->columns));
	g_string_append(to, ERASE_LINE);
}

static void add_title(GString *to, const struct top_view *v)
{
	g_autoptr(GString) line = g_string_new(NULL);

	g_string_printf(line, "%-*s", socket_width(v), columns[TOP_SOCKET].title);
	for (unsigned i = TOP_DEVICE; i < TOP_COLUMNS; i++)
		g_string_append_printf(line, " %*s", columns[i].width, columns[i].title);
	g_string_append(to, "\r\n" REVERSE);
	g_string_append_len(to, line->str, MIN(line->len, v->columns));
	g_string_append(to, NORMAL ERASE_LINE);
}

static void add_daemon(GString *to, const struct top_view *v, const struct top_daemon *d)
{
	g_autofree char *path = g_str_to_ascii(d->round.path, "C");
	g_autoptr(GString) line = g_string_new(NULL);
	size_t width = (size_t)socket_width(v), len = strlen(path);

	for (char *p = path; *p; p++)
		*p = g_ascii_isprint(*p) ? *p : '?';
	/* Of a path the end tells more. */
	g_string_printf(line, "%-*s", (int)width, len > width ? path + len - width : path);
	for (unsigned i = TOP_DEVICE; i < TOP_IOPS; i++)
		g_string_append_printf(
			line, " %*.*s", columns[i].width, abs(columns[i].width), text_of(d, i));
	for (unsigned i = TOP_IOPS; i < TOP_COLUMNS; i++)
		g_string_append_printf(
			line, " %*.*f", columns[i].width, columns[i].decimals, d->value[i]);
	add_line(to, v, line->str, false);
}

static void add_head(GString *to, const struct top_view *v)
{
	g_autoptr(GString) line = g_string_new(NULL);
	double iops = 0, mb = 0;

	for (unsigned i = 0; i < v->n; i++) {
		iops += v->daemons[i]->value[TOP_IOPS];
		mb += v->daemons[i]->value[TOP_MB];
	}
	g_string_printf(line, "%u daemon%s, %.0f IOPS, %.1f MB/s, by %s (h: help)", v->n,
		v->n == 1 ? "" : "s", iops, mb, columns[v->sort].title);
	add_line(to, v, line->str, true);
}

void top_draw(GString *to, const struct top_view *v)
{
	g_string_append(to, HOME);
	add_head(to, v);
	if (v->help) {
		for (unsigned i = 0; i < MIN(G_N_ELEMENTS(help), v->rows - 1); i++)
			add_line(to, v, help[i], false);
	} else {
		if (v->rows > 1)
			add_title(to, v);
		for (unsigned i = 0; i + HEAD_ROWS < v->rows && v->first + i < v->n; i++)
			add_daemon(to, v, v->daemons[v->first + i]);
	}
	g_string_append(to, ERASE_BELOW);
}
