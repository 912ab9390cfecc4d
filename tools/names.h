/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for people, in the tool alone: the layers below know no device. What has no name here is
 * shown by its number.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* "block" for 2; NULL for an id without a name. */
const char *names_device(uint32_t id);
/* An id from its name or number; false with an error that names what. */
bool names_parse_device(const char *text, const char *what, uint32_t *id, GError **error);
/*
 * "SEG_MAX" for bit 2 of device 2; bits of ring, transport and vhost-user are the same for all.
 * NULL for a bit without a name.
 */
const char *names_feature(uint32_t device_id, unsigned bit);
