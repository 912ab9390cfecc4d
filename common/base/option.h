/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines as tables: a program, and a device within it, lists its options; one parser reads
 * the values, puts them where they belong and words the errors, all of domain G_OPTION_ERROR:
 * "invalid --num-queues=96: a number from 1 to 64".
 *
 * Values are bytes, whatever the locale. Numbers, sizes and words: number.h, choice.h. "--name
 * value" is "--name=value", except of a flag, which is on without a value. "--" ends the options.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/choice.h"
#include "base/log.h"

/*
 * One option. Exactly one of the pointers says where the value goes, and thereby of which kind it
 * is. A target keeps what it has until the option is given; strings are the program's to free, also
 * the one that is replaced when an option is given twice.
 */
struct option_entry {
	const char *name; /* without the dashes; NULL ends a table */
	const char *argument; /* what --help calls the value; NULL: by kind */
	const char *help; /* one line; --help appends "(default: …)" */
	const char *initial; /* the value at the start, as a user would write it; NULL: none */
	char letter; /* the short form; 0: none */
	bool hidden; /* --help omits it: an old name that goes on working */

	bool *flag; /* true without a value; "--name=off" is as if it were not given */
	bool *on_off;
	unsigned *word; /* the index of one of words */
	char **string;
	char **path;
	char ***paths; /* NULL-terminated; each time the option is given appends one */
	int *fd; /* a number of an open file, not checked */
	int **fds; /* several of them, as "5,6"; ends in -1; the program's to free */
	unsigned *number; /* from min to max */
	uint64_t *number64;
	uint64_t *bytes; /* "4096", "64K", "2G" */
	double *real; /* not negative */
	mode_t *mode; /* octal, up to 0777 */
	gid_t *group; /* by name or number */
	/* Anything else: sets what it likes; or returns false, with the error "what is right". */
	bool (*parse)(const char *text, GError **error);

	const char *const *words; /* of word; NULL-terminated */
	uint64_t min, max; /* of number, number64 and bytes; max 0: what the target holds */
	bool power_of_two; /* number: only those; 0 is one if min is 0 */
	bool units; /* number, number64: bytes, also "4K" */
	const char *unset; /* number: "0" or "-1": outside of min and max, means "not given" */
	bool (*name_of)(
		const char *text, unsigned *n); /* number: also read from names; NULL: none */
	unsigned shift; /* bytes: without a suffix, units of 2^shift bytes */
	/* Names of options that cannot be given along; to be said of one of the two. */
	const char *excludes[3];
};

/* The option --log-level of every program; target is an enum log_level. */
#define OPTION_LOG_LEVEL(target)                                                            \
	{                                                                                   \
		"log-level", .word = (target), .words = log_level_words, .initial = "info", \
			     .help = "The least severe messages to log"                     \
	}

#define OPTION_TABLES 4

struct option_group {
	const char *name; /* "attach": has --help-attach */
	const char *title, *help;
	const struct option_entry *entries;
};

struct option_syntax {
	const char *summary; /* what the program does, for --help */
	const char *arguments; /* what follows the options, for --help; NULL: nothing */
	unsigned min_arguments, max_arguments; /* how many may follow */
	const struct option_entry *tables[OPTION_TABLES]; /* in --help's order; NULLs are skipped */
	struct option_group group; /* options of one command; no name: none */
};

/*
 * Sets all targets to the initial values, then parses argv (a GStrv whose first string is the
 * program's name) and leaves that name and the arguments in it. --help prints and exits.
 */
bool option_parse(const struct option_syntax *s, char ***argv, GError **error);

/*
 * Sets the target of one option from text, as if given on the command line. The error is "what is
 * right", without name and value.
 */
bool option_set(const struct option_entry *o, const char *text, GError **error);
/* Frees the strings of a table and clears their targets. */
void option_clear(const struct option_entry *entries);
/* Returns the target of an option and its size; NULL: it has none (parse). */
void *option_target(const struct option_entry *o, size_t *size);

/*
 * The exit status of every program for a wrong command line or configuration file, with which a
 * service manager need not try again (RestartPreventExitStatus=); of other failures: EXIT_FAILURE.
 */
#define EXIT_USAGE 2
/* Returns the exit status that fits an error; NULL: EXIT_SUCCESS. */
int option_exit_status(const GError *error);

/* Sets error (G_OPTION_ERROR_BAD_VALUE) and returns false. */
bool option_bad(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
