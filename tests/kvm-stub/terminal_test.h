/* SPDX-License-Identifier: Apache-2.0 */
/* Fixture of the tests of machine/terminal.h. */
#pragma once

#include "kvm-stub/machine/terminal.h"
#include "tests/lib/test.h"

struct terminal_test {
	struct test test;
	struct terminal *t;
	GString *typed;
	size_t room; /* how many bytes typed() still takes */
	bool left;
	char *path; /* for a file */
};

extern const struct terminal_ops terminal_test_ops;

int terminal_setup(void **state);
int terminal_teardown(void **state);
/* Sets w->t; path NULL: standard input and output. */
void terminal_make(struct terminal_test *w, const char *path);
