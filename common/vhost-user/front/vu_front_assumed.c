/* SPDX-License-Identifier: Apache-2.0 */
/* What the user is told of properties that neither the back-end nor the user has stated. */
#include <inttypes.h>

#include "vhost-user/front/vu_front.h"

static void add(GString *text, enum vu_source source, uint32_t value, const char *what,
	const char *dashes, const char *key)
{
	if (source != VU_SOURCE_ASSUMED)
		return;
	g_string_append_printf(text, "%s%" PRIu32 " %s", text->len ? ", " : "", value, what);
	if (dashes)
		g_string_append_printf(text, " (%s%s)", dashes, key);
}

char *vu_properties_assumed(const struct vu_properties *p, const char *dashes)
{
	GString *text = g_string_new(NULL);

	add(text, p->max_queues, p->probe.max_queues,
		p->probe.max_queues == 1 ? "virtqueue" : "virtqueues", dashes, "queues=N");
	add(text, p->config_size, p->probe.config_size, "bytes of configuration space", dashes,
		"config-size=BYTES");
	return g_string_free(text, text->len == 0);
}
