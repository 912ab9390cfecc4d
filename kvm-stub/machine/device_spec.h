/* SPDX-License-Identifier: Apache-2.0 */
/* The argument of --device: "socket=PATH,…" or "type=NAME,key=value,…". */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "launch/backend_keys.h"
#include "vhost-user/front/vu_front.h"

typedef struct device_spec device_spec; /* for g_autoptr */
struct device_spec {
	char *text; /* as given, for messages */
	char *socket; /* connect to this; or NULL and: */
	char *type; /* find the back-end by its discovery file, start it */
	GPtrArray *options; /* "--key=value" for that back-end, owned strings */
	struct backend_keys keys;
	struct vu_front_options front; /* what the keys mean for the front-end */
};

/* Returns NULL, with an error that names key and value, if the text is wrong. ",," is a comma. */
struct device_spec *device_spec_parse(const char *text, GError **error);
void device_spec_free(struct device_spec *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(device_spec, device_spec_free)
