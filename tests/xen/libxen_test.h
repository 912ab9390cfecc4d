/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the files for Xen's libraries share: fakes anew for each, and nothing leaks. */
#pragma once

#include "tests/lib/test.h"

#include "fake_libxen.h"

static int setup(void **state)
{
	plain_setup(state);
	fake_libxen_start();
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(fake.live, 0);
	return plain_teardown(state);
}

/* Makes this function's calls fail from here on. */
static inline void fail_at(const char *function, int err)
{
	fake.fail = function;
	fake.fail_errno = err;
}

/* Expects an error with errno's text, and this. */
static inline void assert_failed(GError **error, int err, const char *said)
{
	assert_non_null(*error);
	if (!g_error_matches(*error, G_FILE_ERROR, g_file_error_from_errno(err)) ||
		!strstr((*error)->message, g_strerror(err)) || !strstr((*error)->message, said))
		fail_msg("%s", (*error)->message);
	g_clear_error(error);
}
