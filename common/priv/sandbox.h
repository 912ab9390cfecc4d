/* SPDX-License-Identifier: Apache-2.0 */
/* --sandbox=auto|strict|none, and what this machine does not permit of a sandbox. */
#pragma once

#include <glib.h>
#include <stdbool.h>

enum sandbox_mode {
	SANDBOX_AUTO, /* as much as this machine permits; the log tells what is missing */
	SANDBOX_STRICT, /* all of it, or the program does not start */
	SANDBOX_NONE, /* what other options ask for, and no more */
};
extern const char *const sandbox_words[]; /* "auto", "strict", "none", NULL */
/* The default: auto; none in a build with sanitizers, which need what a sandbox forbids. */
#ifdef SANITIZED
#define SANDBOX_DEFAULT "none"
#else
#define SANDBOX_DEFAULT "auto"
#endif

/* What is missing, as a list for people. Zero-initialised; the strings need not last. */
struct sandbox_report {
	char text[512];
};

/* Adds a part of the sandbox and why it is missing: an errno. */
void sandbox_report(struct sandbox_report *missing, const char *what, int err);
/* Logs one line if anything is missing (auto), or refuses (strict). */
bool sandbox_check(const struct sandbox_report *missing, enum sandbox_mode mode, GError **error);
