/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the files for Xen's libraries share: fakes anew for each, and nothing leaks. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "fake_libxen.h"
#include "tests/lib/leak.h"

static unsigned n_fds;

static int setup(void **state)
{
	g_main_context_iteration(NULL, FALSE); /* its fds are not ours to count */
	n_fds = count_fds();
	fake_libxen_start();
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(fake.live, 0);
	assert_int_equal(count_fds(), n_fds);
	return 0;
}

/* This function's calls fail from here on. */
static inline void fail_at(const char *function, int err)
{
	fake.fail = function;
	fake.fail_errno = err;
}

/* An error with errno's text, and this. */
static inline void assert_failed(GError **error, int err, const char *said)
{
	assert_non_null(*error);
	if (!g_error_matches(*error, G_FILE_ERROR, g_file_error_from_errno(err)) ||
		!strstr((*error)->message, g_strerror(err)) || !strstr((*error)->message, said))
		fail_msg("%s", (*error)->message);
	g_clear_error(error);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
