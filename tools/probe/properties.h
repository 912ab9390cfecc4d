/* SPDX-License-Identifier: Apache-2.0 */
/* The properties of a back-end and its configuration space, as text and as JSON. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "vhost-user/front/vu_front.h"

struct properties {
	const char *socket;
	const struct vu_properties *vu;
	uint8_t config[VIRTIO_MAX_CONFIG]; /* the first probe.config_size bytes */
};

/* Did the back-end answer PROBE, and so give bit 18 that meaning? */
bool properties_by_probe(const struct properties *f);
/* PROBE, STATUS and, where there is a configuration space, CONFIG. */
bool properties_standalone(const struct properties *f);
/* "PROBE" for bit 18 of a back-end that answered; NULL for a bit without a name. */
const char *properties_protocol_name(const struct properties *f, unsigned bit);

/* The caller frees. */
GString *properties_text(const struct properties *f);
GString *properties_json(const struct properties *f);
