/* SPDX-License-Identifier: Apache-2.0 */
/* A message of every kind as an ordinary front-end sends it: the start of cases about messages. */
#pragma once

#include "tools/check/check.h"

struct valid {
	uint32_t request;
	size_t size;
	unsigned n_fds;
	int fds[2]; /* the case's, or one that valid_clear() closes */
	int own;
	uint8_t payload[VU_MAX_PAYLOAD];
};

/* Opens a session in which the message is legal, and makes it. Nothing of it has been sent yet. */
void valid_make(struct check *k, uint32_t request, struct valid *v);
void valid_send(struct check *k, const struct valid *v, uint32_t flags);
void valid_clear(struct valid *v);
