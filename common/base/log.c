/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each line is put together on the stack and written at once, so that threads do not mix theirs. A
 * pipe or terminal that is not read stops no thread: its lines are dropped and counted.
 */
#include "base/log.h"

#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/choice.h"
#include "base/output.h"

#define LINE_MAX_BYTES 1024
#define LIMIT_WINDOW (5 * G_USEC_PER_SEC)
#define LIMIT_LINES 10
/* Of the whole process, in as long a time. */
#define PROCESS_LINES 1000

const char *const log_level_words[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
	NULL,
};

/* What lines begin with, by level. */
static char prefixes[][128] = {
	[LOG_LEVEL_ERROR] = "error: ",
	[LOG_LEVEL_WARNING] = "warning: ",
	[LOG_LEVEL_INFO] = "",
	[LOG_LEVEL_DEBUG] = "debug: ",
};
static int max_level = LOG_LEVEL_INFO; /* atomic: other threads log, too */
static void (*line_sink)(enum log_level level, const char *line, void *opaque);
static void *line_sink_opaque;

/* Standard error. */
static struct {
	pthread_mutex_t lock;
	struct output output;
	unsigned dropped; /* lines, not yet reported */
	bool cut; /* the last line has no end */
	bool limited; /* log_limit_process() */
	int64_t window_start; /* monotonic µs */
	unsigned in_window, excess; /* lines; the latter dropped, not yet reported */
} err = { .lock = PTHREAD_MUTEX_INITIALIZER, .output = { .fd = STDERR_FILENO, .own = -1 } };

static void set_prefix(enum log_level level, const char *start)
{
	bool has_word = level != LOG_LEVEL_INFO;

	g_snprintf(prefixes[level], sizeof(prefixes[level]), "%s%s%s", start,
		has_word ? log_level_words[level] : "", has_word ? ": " : "");
}

void log_set_program(const char *name)
{
	g_autofree char *start = g_strconcat(name, ": ", NULL);

	for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++)
		set_prefix(level, start);
}

bool log_find_journal(void)
{
	/* As syslog(3) counts. */
	static const char *const priorities[] = {
		[LOG_LEVEL_ERROR] = "<3>",
		[LOG_LEVEL_WARNING] = "<4>",
		[LOG_LEVEL_INFO] = "<6>",
		[LOG_LEVEL_DEBUG] = "<7>",
	};
	const char *stream = g_getenv("JOURNAL_STREAM");
	char ours[64];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st) < 0)
		return false;
	g_snprintf(ours, sizeof(ours), "%" PRIuMAX ":%" PRIuMAX, (uintmax_t)st.st_dev,
		(uintmax_t)st.st_ino);
	if (strcmp(stream, ours) != 0)
		return false;
	for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++)
		set_prefix(level, priorities[level]);
	return true;
}

void log_set_level(enum log_level level)
{
	g_atomic_int_set(&max_level, level);
}

bool log_parse_level(const char *name, enum log_level *level)
{
	unsigned which;

	if (!choice_parse(name, log_level_words, &which))
		return false;
	*level = which;
	return true;
}

const char *log_level_name(void)
{
	return log_level_words[g_atomic_int_get(&max_level)];
}

void log_set_sink(void (*sink)(enum log_level level, const char *line, void *opaque), void *opaque)
{
	line_sink = sink;
	line_sink_opaque = opaque;
}

static bool is_shown(enum log_level level)
{
	return (int)level <= g_atomic_int_get(&max_level);
}

/*
 * Names and strings of a peer may be in the text: they must not forge lines or move a terminal.
 * C1 controls (0x80 to 0x9f) do so as characters of UTF-8 and, on other terminals, as bytes.
 */
static void blot_controls(char *line)
{
	while (*line) {
		gunichar c = g_utf8_get_char_validated(line, -1);
		bool valid = c != (gunichar)-1 && c != (gunichar)-2;
		unsigned n = valid ? g_utf8_skip[(guchar)*line] : 1;

		if (!valid)
			c = (guchar)*line;
		if (c < 0x20 || (c >= 0x7f && c < 0xa0))
			memset(line, '?', n);
		line += n;
	}
}

/* Returns whether all of it was written. Under the lock. */
static bool put(const char *text, size_t len)
{
	ssize_t n;

	if (err.cut && output_write(&err.output, "\n", 1) != 1)
		return false;
	n = output_write(&err.output, text, len);
	err.cut = n > 0 && (size_t)n < len;
	return n == (ssize_t)len;
}

/* Returns whether *dropped is 0 or could be reported, and so is 0. Under the lock. */
static bool report(unsigned *dropped, const char *why)
{
	char line[256];

	if (!*dropped)
		return true;
	g_snprintf(line, sizeof(line), "%s%u log lines were dropped: %s\n",
		prefixes[LOG_LEVEL_WARNING], *dropped, why);
	if (!put(line, strlen(line)))
		return false;
	*dropped = 0;
	return true;
}

/* Returns whether no dropped lines are left to be reported. Under the lock. */
static bool report_dropped(void)
{
	return report(&err.dropped, "standard error was not read") &&
		report(&err.excess,
			"more than " G_STRINGIFY(PROCESS_LINES) " came within five seconds");
}

/* Returns whether this line is too much. Debug lines were asked for. Under the lock. */
static bool is_excess(enum log_level level)
{
	int64_t now;

	if (!err.limited || level >= LOG_LEVEL_DEBUG)
		return false;
	now = g_get_monotonic_time();
	if (now - err.window_start >= LIMIT_WINDOW) {
		err.window_start = now;
		err.in_window = 0;
	}
	return ++err.in_window > PROCESS_LINES;
}

/*
 * Writes the line itself: GLib would recode for the locale with malloc and its print handlers;
 * this is one write().
 */
static void emit(enum log_level level, char *line, size_t len)
{
	if (line_sink) {
		line_sink(level, line, line_sink_opaque);
		return;
	}
	line[len++] = '\n';
	pthread_mutex_lock(&err.lock);
	if (is_excess(level))
		err.excess++;
	else if (!report_dropped() || !put(line, len))
		err.dropped++;
	pthread_mutex_unlock(&err.lock);
}

void log_print(const char *format, ...)
{
	char text[LINE_MAX_BYTES];
	va_list args;

	va_start(args, format);
	g_vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	pthread_mutex_lock(&err.lock);
	put(text, strlen(text));
	pthread_mutex_unlock(&err.lock);
}

void log_error_in_handler(const char *text)
{
	char line[LINE_MAX_BYTES];

	g_strlcpy(line, prefixes[LOG_LEVEL_ERROR], sizeof(line));
	g_strlcat(line, text, sizeof(line) - 1);
	g_strlcat(line, "\n", sizeof(line));
	output_write(&err.output, line, strlen(line));
}

void log_open(void)
{
	output_close(&err.output);
	output_open(&err.output, STDERR_FILENO);
}

void log_limit_process(void)
{
	err.limited = true;
}

void log_flush(void)
{
	pthread_mutex_lock(&err.lock);
	report_dropped();
	pthread_mutex_unlock(&err.lock);
}

static void log_va(
	enum log_level level, const char *who, unsigned dropped, const char *format, va_list args)
{
	char line[LINE_MAX_BYTES + 1]; /* the newline takes the place of the NUL */
	int saved_errno = errno;
	size_t len;

	g_snprintf(
		line, LINE_MAX_BYTES, "%s%s%s", prefixes[level], who ? who : "", who ? ": " : "");
	len = strlen(line);
	errno = saved_errno; /* for %m */
	g_vsnprintf(line + len, LINE_MAX_BYTES - len, format, args);
	len = strlen(line);
	if (dropped)
		g_snprintf(line + len, LINE_MAX_BYTES - len, " (%u like it were dropped before)",
			dropped);
	blot_controls(line);
	emit(level, line, strlen(line));
	errno = saved_errno;
}

void log_msg(enum log_level level, const char *who, const char *format, ...)
{
	va_list args;

	if (!is_shown(level))
		return;
	va_start(args, format);
	log_va(level, who, 0, format, args);
	va_end(args);
}

void log_limited(
	struct log_limit *limit, enum log_level level, const char *who, const char *format, ...)
{
	int64_t now;
	va_list args;

	if (!is_shown(level))
		return;
	now = g_get_monotonic_time();
	if (limit->in_window == 0 || now - limit->window_start >= LIMIT_WINDOW) {
		limit->window_start = now;
		limit->in_window = 0;
	}
	if (limit->in_window >= LIMIT_LINES) {
		limit->dropped++;
		return;
	}
	limit->in_window++;
	va_start(args, format);
	log_va(level, who, limit->dropped, format, args);
	va_end(args);
	limit->dropped = 0;
}
