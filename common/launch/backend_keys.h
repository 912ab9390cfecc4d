/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user may say of a back-end, wherever that is: --device of virtiod-kvm, the rules of
 * virtiod-xen, the options of virtioctl. The same key has the same values in all of them.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/choice.h"
#include "base/option.h"

struct backend_keys {
	/* device-id= (once fallback-type=, and --type of virtioctl): 1 to 63; 0: not said */
	uint32_t device_id;
	unsigned config_size; /* config-size=: bytes; BACKEND_CONFIG_SIZE_UNSAID */
	unsigned queues; /* queues=: virtqueues; 0: not said */
	unsigned queue_size; /* queue-size=: descriptors, a power of two; 0: not said */
	unsigned probe; /* probe=: the index of one of backend_probe_words */
	enum choice packed; /* packed= */
};

#define BACKEND_CONFIG_SIZE_UNSAID UINT32_MAX
#define BACKEND_KEYS_INIT                                  \
	{                                                  \
		.config_size = BACKEND_CONFIG_SIZE_UNSAID, \
	}

extern const char *const backend_probe_words[]; /* "auto", "force", "off", NULL */

#define BACKEND_KEYS_ROWS 9

/* Sets *id to the device of this name; false: there is none. */
typedef bool backend_type_names(const char *name, uint32_t *id);
/*
 * Fills an option table whose values go to k: the keys and their old spellings. names: device-id
 * also takes these; NULL: numbers only, for programs that know no device.
 */
void backend_keys_table(struct backend_keys *k, backend_type_names *names,
	struct option_entry table[BACKEND_KEYS_ROWS]);
/* Is it one of the keys, or an old spelling of one? */
bool backend_keys_has(const char *key);
/* Returns the present spelling of an old one; any other key as it is. */
const char *backend_keys_name(const char *key);
/* Sets what a key says. The error is "invalid key=value: …", or that there is no such key. */
bool backend_keys_set(struct backend_keys *k, const char *key, const char *value, GError **error);
