/* SPDX-License-Identifier: Apache-2.0 */
/* A program parses its options once; in a test every device is to start with the defaults. */
#include "tests/lib/kit_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static size_t option_size(const GOptionEntry *e)
{
	switch (e->arg) {
	case G_OPTION_ARG_NONE:
	case G_OPTION_ARG_INT:
		return sizeof(int);
	case G_OPTION_ARG_INT64:
		return sizeof(gint64);
	case G_OPTION_ARG_STRING:
	case G_OPTION_ARG_FILENAME:
		return sizeof(char *);
	default:
		fail_msg("option --%s is of a kind unknown here", e->long_name);
		return 0;
	}
}

static const GOptionEntry *options(void)
{
	static const GOptionEntry none[] = { {} };

	return virtio_device_ops.options ? virtio_device_ops.options : none;
}

void kit_options_parse(struct kit_core *c, va_list ap)
{
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	g_auto(GStrv) argv = NULL;
	const char *arg;

	g_strv_builder_add(builder, "program");
	while ((arg = va_arg(ap, const char *)))
		g_strv_builder_add(builder, arg);
	argv = g_strv_builder_end(builder);
	c->saved_options = g_array_new(FALSE, TRUE, 1);
	for (const GOptionEntry *e = options(); e->long_name; e++)
		g_array_append_vals(c->saved_options, e->arg_data, option_size(e));
	g_option_context_add_main_entries(context, options(), NULL);
	assert_true(g_option_context_parse_strv(context, &argv, NULL));
}

void kit_options_restore(struct kit_core *c)
{
	const char *from = c->saved_options->data;

	for (const GOptionEntry *e = options(); e->long_name; e++) {
		memcpy(e->arg_data, from, option_size(e));
		from += option_size(e);
	}
	g_array_free(g_steal_pointer(&c->saved_options), TRUE);
}
