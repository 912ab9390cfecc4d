/* SPDX-License-Identifier: Apache-2.0 */
/* See properties.h: the JSON. */
#include "tools/probe/properties.h"

#include <linux/virtio_ids.h>

#include "base/json.h"
#include "tools/block/blk_config.h"
#include "tools/names.h"

static const char *source_key(enum vu_source source)
{
	switch (source) {
	case VU_SOURCE_NONE:
		return NULL;
	case VU_SOURCE_PROBE:
		return "probe";
	case VU_SOURCE_MESSAGE:
		return "message";
	case VU_SOURCE_USER:
		return "user";
	case VU_SOURCE_ASSUMED:
		return "assumed";
	}
	return NULL;
}

static void number(struct json *j, const char *key, uint32_t value, enum vu_source source)
{
	json_open_object(j, key);
	if (source == VU_SOURCE_NONE)
		json_null(j, "value");
	else
		json_uint(j, "value", value);
	json_string(j, "source", source_key(source));
	json_close_object(j);
}

static const char *virtio_name(const struct properties *f, unsigned bit)
{
	return names_feature(f->vu->probe.device_id, bit);
}

static void bits(struct json *j, const char *key, const struct properties *f, uint64_t set,
	const char *(*name)(const struct properties *f, unsigned bit))
{
	json_open_object(j, key);
	json_hex64(j, "value", set);
	json_open_array(j, "bits");
	for (unsigned bit = 0; bit < 64; bit++) {
		if (!(set >> bit & 1))
			continue;
		json_open_object(j, NULL);
		json_uint(j, "bit", bit);
		json_string(j, "name", name(f, bit));
		json_close_object(j);
	}
	json_close_array(j);
	json_close_object(j);
}

static void block_config(struct json *j, const struct properties *f)
{
	json_open_object(j, "block");
	for (size_t i = 0; i < blk_n_fields; i++) {
		uint64_t value;

		if (blk_field_value(&blk_fields[i], f->config, f->vu->probe.config_size,
			    f->vu->probe.features, &value))
			json_uint(j, blk_fields[i].key, value);
	}
	json_close_object(j);
}

static void config(struct json *j, const struct properties *f)
{
	g_autoptr(GString) hex = g_string_new(NULL);

	for (uint32_t i = 0; i < f->vu->probe.config_size; i++)
		g_string_append_printf(hex, "%02x", f->config[i]);
	json_string(j, "config", hex->str);
	if (f->vu->probe.device_id == VIRTIO_ID_BLOCK)
		block_config(j, f);
}

GString *properties_json(const struct properties *f)
{
	const struct vu_properties *vu = f->vu;
	struct json j = { .out = g_string_new(NULL) };

	json_open_object(&j, NULL);
	json_string(&j, "socket", f->socket);
	json_bool(&j, "probe", properties_by_probe(f));
	json_bool(&j, "standalone", properties_standalone(f));
	number(&j, "device_id", vu->probe.device_id, vu->device_id);
	json_string(&j, "device", names_device(vu->probe.device_id));
	number(&j, "max_queues", vu->probe.max_queues, vu->max_queues);
	number(&j, "min_queues", vu->probe.min_queues, vu->min_queues);
	number(&j, "config_size", vu->probe.config_size, vu->config_size);
	json_uint(&j, "max_mem_slots", vu->max_mem_slots);
	bits(&j, "features", f, vu->features, virtio_name);
	bits(&j, "protocol_features", f, vu->protocol_features, properties_protocol_name);
	json_hex64(&j, "protocol_acked", vu->protocol_acked);
	config(&j, f);
	json_close_object(&j);
	g_string_append_c(j.out, '\n');
	return j.out;
}
