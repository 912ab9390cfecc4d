/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines on stderr: "virtiod-blk: queue 0: descriptor 7 is outside the ring". A line does not
 * wait for a reader: it is dropped if there is no room. The number of those dropped comes before
 * the next one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
extern const char *const log_level_words[]; /* "error" … "debug", NULL */

/* The program's name, before every line. */
void log_set_program(const char *name);
/*
 * If $JOURNAL_STREAM says that stderr is systemd's journal, which names the program itself, lines
 * begin with their priority instead ("<3>error: ..."). Returns whether they do.
 */
bool log_find_journal(void);
/* Lines above this level are dropped. INFO at the start. */
void log_set_level(enum log_level level);
/* "error", "warning", "info" or "debug"; false for any other name. */
bool log_parse_level(const char *name, enum log_level *level);
/* The name of the level that is set: for programs of ours that we start. */
const char *log_level_name(void);

/* who names the object ("queue 0", "front-end"); NULL for the program itself. Thread-safe. */
void log_msg(enum log_level level, const char *who, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(who, ...) log_msg(LOG_LEVEL_ERROR, who, __VA_ARGS__)
#define log_warning(who, ...) log_msg(LOG_LEVEL_WARNING, who, __VA_ARGS__)
#define log_info(who, ...) log_msg(LOG_LEVEL_INFO, who, __VA_ARGS__)
#define log_debug(who, ...) log_msg(LOG_LEVEL_DEBUG, who, __VA_ARGS__)

/*
 * What a guest or a peer can cause at will is limited: at most 10 lines in 5 seconds for each
 * limit; the next line let through says how many were dropped. Zero-initialised; owned by the
 * object that logs; one thread at a time.
 */
struct log_limit {
	int64_t window_start; /* monotonic µs */
	unsigned in_window;
	unsigned dropped;
};

void log_limited(struct log_limit *limit, enum log_level level, const char *who, const char *format,
	...) __attribute__((format(printf, 4, 5)));

/*
 * Writes text to standard error as it is, such as a progress bar or the last words of a command: as
 * a log line it does not wait for a reader, but it is not counted.
 */
void log_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Logs an error from a signal handler, whatever the signal has interrupted: takes no lock and no
 * memory. The line may come amid another one of another thread.
 */
void log_error_in_handler(const char *text);

/*
 * Opens standard error once more, without blocking. Before, there is a gap between the check for
 * room and the write, in which another process can take the room.
 */
void log_open(void);
/*
 * Drops, from now on, what exceeds 1000 lines in 5 seconds, whatever they are about; debug lines do
 * not count. The next line let through comes after the number of those dropped.
 */
void log_limit_process(void);
/* Reports lines dropped since the last one written, if there is room now: for the program's end. */
void log_flush(void);

/* Tests read lines instead of stderr: sink(level, line without newline). NULL: stderr again. */
void log_set_sink(void (*sink)(enum log_level level, const char *line, void *opaque), void *opaque);
