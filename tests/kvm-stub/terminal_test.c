/* SPDX-License-Identifier: Apache-2.0 */
/* See terminal_test.h. */
#include "terminal_test.h"

static size_t on_typed(void *opaque, const void *bytes, size_t len)
{
	struct terminal_test *w = opaque;

	len = MIN(len, w->room);
	w->room -= len;
	g_string_append_len(w->typed, bytes, len);
	return len;
}

static void on_leave(void *opaque)
{
	struct terminal_test *w = opaque;

	w->left = true;
}

const struct terminal_ops terminal_test_ops = { on_typed, on_leave };

int terminal_setup(void **state)
{
	struct terminal_test *w = g_new0(struct terminal_test, 1);

	test_begin(&w->test);
	w->typed = g_string_new(NULL);
	w->room = SIZE_MAX;
	w->path = test_path(&w->test, "out");
	*state = w;
	return 0;
}

int terminal_teardown(void **state)
{
	struct terminal_test *w = *state;

	terminal_free(w->t);
	test_end(&w->test);
	g_string_free(w->typed, TRUE);
	g_free(w);
	return 0;
}

void terminal_make(struct terminal_test *w, const char *path)
{
	g_autoptr(GError) error = NULL;

	w->t = terminal_new(path, &terminal_test_ops, w, &error);
	if (!w->t)
		fail_msg("%s", error->message);
	terminal_start(w->t);
}
