/* SPDX-License-Identifier: Apache-2.0 */
/* A program parses its options once; in a test every device is to start with the defaults. */
#include "tests/lib/test.h"

#include "tests/lib/kit_core.h"

static const struct option_entry *options(void)
{
	static const struct option_entry none[] = { { NULL } };

	return virtio_device_ops.options ? virtio_device_ops.options : none;
}

static bool parse(struct kit_core *c, GError **error)
{
	const struct option_syntax syntax = { .tables = { options() } };
	g_auto(GStrv) argv = g_strdupv(c->argv);

	return option_parse(&syntax, &argv, error);
}

static void set_defaults(const struct kit_core *c)
{
	const char *from = c->saved_options->data;

	for (const struct option_entry *o = options(); o->name; o++) {
		size_t size;
		void *target = option_target(o, &size);

		if (size)
			memcpy(target, from, size);
		from += size;
	}
}

bool kit_options_parse(struct kit_core *c, va_list ap, GError **error)
{
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	const char *arg;

	g_strv_builder_add(builder, "program");
	while ((arg = va_arg(ap, const char *)))
		g_strv_builder_add(builder, arg);
	c->argv = g_strv_builder_end(builder);
	c->saved_options = g_array_new(FALSE, TRUE, 1);
	for (const struct option_entry *o = options(); o->name; o++) {
		size_t size;
		const void *target = option_target(o, &size);

		g_array_append_vals(c->saved_options, target, size);
	}
	if (parse(c, error))
		return true;
	option_clear(options());
	kit_options_restore(c);
	return false;
}

void kit_options_parse_again(struct kit_core *c)
{
	set_defaults(c);
	assert_true(parse(c, NULL));
}

void kit_options_restore(struct kit_core *c)
{
	set_defaults(c);
	g_clear_pointer(&c->argv, g_strfreev);
	g_array_free(g_steal_pointer(&c->saved_options), TRUE);
}
