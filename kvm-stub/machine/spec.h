/* SPDX-License-Identifier: Apache-2.0 */
/* The argument of --device: "socket=PATH,…" or "type=NAME,key=value,…". */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "vhost-user/front/vu_front.h"

typedef struct dev_spec dev_spec; /* for g_autoptr */
struct dev_spec {
	char *text; /* as given, for messages */
	char *socket; /* connect to this; or NULL and: */
	char *type; /* find the back-end by its discovery file, start it */
	GPtrArray *options; /* "--key=value" for that back-end, owned strings */
	/* fallback-type=, config-size=, queues=, probe=auto|force|off, packed=auto|on|off */
	struct vu_front_options front;
	uint32_t queue_size; /* queue-size=; 0: default */
};

/* Returns NULL, with an error that names key and value, if the text is wrong. ",," is a comma. */
struct dev_spec *dev_spec_parse(const char *text, GError **error);
void dev_spec_free(struct dev_spec *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(dev_spec, dev_spec_free)
