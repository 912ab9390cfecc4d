/* SPDX-License-Identifier: Apache-2.0 */
/* See backend_keys.h. */
#include "launch/backend_keys.h"

#include <string.h>

#include "virtio/probe.h"

#define MAX_DEVICE_ID 63
#define MAX_QUEUE_SIZE 32768u /* virtio 1.2 §2.7 */

const char *const backend_probe_words[] = { "auto", "force", "off", NULL };

#define DEVICE_ID(k) .number = &(k)->device_id, .min = 1, .max = MAX_DEVICE_ID, .name_of = names

void backend_keys_table(struct backend_keys *k, backend_type_names *names,
	struct option_entry table[BACKEND_KEYS_ROWS])
{
	const struct option_entry rows[BACKEND_KEYS_ROWS] = {
		{ "device-id", "TYPE", "Device type, for a back-end without PROBE", DEVICE_ID(k) },
		{ "fallback-type", DEVICE_ID(k), .hidden = true },
		{ "type", DEVICE_ID(k), .hidden = true },
		{ "config-size", "BYTES", "Size of its configuration space",
			.number = &k->config_size, .max = VIRTIO_MAX_CONFIG, .units = true },
		{ "queues", "N", "Its number of virtqueues", .number = &k->queues, .min = 1,
			.max = VIRTIO_MAX_QUEUES },
		{ "queue-size", "N", "Descriptors of each virtqueue, a power of two",
			.number = &k->queue_size, .min = 1, .max = MAX_QUEUE_SIZE,
			.power_of_two = true },
		{ "probe", "HOW", "Ask by PROBE: auto (if offered with STATUS), force, off",
			.word = &k->probe, .words = backend_probe_words },
		{ "packed", "HOW", "Packed virtqueues: auto (if offered), on, off",
			.word = &k->packed, .words = choice_words },
		{ NULL },
	};

	memcpy(table, rows, sizeof(rows));
}

/*
 * Finds a key. "type" is an old spelling for virtioctl alone: the other grammars mean something
 * else by it.
 */
static const struct option_entry *find(const struct option_entry *table, const char *key)
{
	for (const struct option_entry *o = table; o->name; o++) {
		if (strcmp(o->name, key) == 0 && strcmp(key, "type") != 0)
			return o;
	}
	return NULL;
}

bool backend_keys_has(const char *key)
{
	struct option_entry table[BACKEND_KEYS_ROWS];

	backend_keys_table(&(struct backend_keys){ 0 }, NULL, table);
	return find(table, key);
}

const char *backend_keys_name(const char *key)
{
	struct backend_keys k;
	struct option_entry table[BACKEND_KEYS_ROWS];
	const struct option_entry *o, *first = table;
	size_t size;

	backend_keys_table(&k, NULL, table);
	o = find(table, key);
	if (!o || !o->hidden)
		return key;
	while (option_target(first, &size) != option_target(o, &size))
		first++;
	return first->name;
}

bool backend_keys_set(struct backend_keys *k, const char *key, const char *value, GError **error)
{
	struct option_entry table[BACKEND_KEYS_ROWS];
	const struct option_entry *o;

	backend_keys_table(k, NULL, table);
	o = find(table, key);
	if (o && option_set(o, value, error))
		return true;
	if (o)
		g_prefix_error(error, "invalid %s=%s: ", key, value);
	else
		option_bad(error, "there is no key \"%s\"", key);
	return false;
}
