/* SPDX-License-Identifier: Apache-2.0 */
/* The shared memory regions of a front-end: what the device has mapped into them. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "vhost-user/front/vu_front.h"

struct kit_shm {
	bool absent; /* the front-end has no shared memory */
	int error; /* the errno that mappings fail with; 0: none */
	GArray *mapped; /* struct kit_shm_mapping; NULL: nothing was ever mapped */
};

struct kit_shm_mapping {
	uint8_t id;
	uint64_t at, len;
	uint8_t *host;
};

/* The functions of struct vu_front_shm_ops; opaque is a struct kit_shm. */
int kit_shm_map(void *opaque, const struct vu_front_mapping *m);
void kit_shm_unmap(void *opaque, uint8_t id, uint64_t at, uint64_t len);
/* Returns a mapping in this range, or NULL. */
const struct kit_shm_mapping *kit_shm_find(
	const struct kit_shm *s, uint8_t id, uint64_t at, uint64_t len);
/* Unmaps everything, and frees what belongs to s. */
void kit_shm_drop(struct kit_shm *s);
