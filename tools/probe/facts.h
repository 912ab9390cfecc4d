/* SPDX-License-Identifier: Apache-2.0 */
/* What probe shows: the facts of a back-end and its configuration space, as text and as JSON. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "vhost-user/front/vu_front.h"

struct facts {
	const char *socket;
	const struct vu_facts *vu;
	uint8_t config[VIRTIO_MAX_CONFIG]; /* the first probe.config_size bytes */
};

/* Did the back-end answer PROBE, and so give bit 18 that meaning? */
bool facts_by_probe(const struct facts *f);
/* PROBE, STATUS and, where there is a configuration space, CONFIG. */
bool facts_standalone(const struct facts *f);
/* "PROBE" for bit 18 of a back-end that answered; NULL for a bit without a name. */
const char *facts_protocol_name(const struct facts *f, unsigned bit);

/* The caller frees. */
GString *facts_text(const struct facts *f);
GString *facts_json(const struct facts *f);
