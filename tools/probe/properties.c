/* SPDX-License-Identifier: Apache-2.0 */
/* See properties.h: what both forms share, and the text. */
#include "tools/probe/properties.h"

#include <inttypes.h>
#include <linux/virtio_ids.h>
#include <stdarg.h>
#include <string.h>

#include "tools/block/blk_config.h"
#include "tools/names.h"

#define LABEL_WIDTH 20
#define VALUE_WIDTH 24
#define COLUMNS 96

bool properties_by_probe(const struct properties *f)
{
	return f->vu->device_id == VU_SOURCE_PROBE;
}

bool properties_standalone(const struct properties *f)
{
	uint64_t needed = VU_BIT(VU_F_STATUS);

	if (f->vu->probe.config_size > 0)
		needed |= VU_BIT(VU_F_CONFIG);
	return properties_by_probe(f) && (f->vu->protocol_features & needed) == needed;
}

const char *properties_protocol_name(const struct properties *f, unsigned bit)
{
	if (bit == VU_F_PROBE && properties_by_probe(f))
		return "PROBE";
	return vu_protocol_feature_name(bit);
}

/* A labelled value and, in brackets, where it comes from (NULL: goes without saying). */
static void property(GString *out, const char *label, const char *source, const char *format, ...)
	G_GNUC_PRINTF(4, 5);
static void property(GString *out, const char *label, const char *source, const char *format, ...)
{
	g_autofree char *value = NULL;
	va_list args;

	va_start(args, format);
	value = g_strdup_vprintf(format, args);
	va_end(args);
	if (source)
		g_string_append_printf(
			out, "%-*s%-*s[%s]\n", LABEL_WIDTH, label, VALUE_WIDTH, value, source);
	else
		g_string_append_printf(out, "%-*s%s\n", LABEL_WIDTH, label, value);
}

/* Appends "NAME(bit)" for every bit, wrapped and indented. */
static void bits(GString *out, const char *label, const struct properties *f, uint64_t set,
	const char *(*name)(const struct properties *f, unsigned bit))
{
	size_t column = LABEL_WIDTH;

	g_string_append_printf(out, "%-*s", LABEL_WIDTH, label);
	for (unsigned bit = 0; bit < 64; bit++) {
		const char *known;
		g_autofree char *item = NULL;

		if (!(set >> bit & 1))
			continue;
		known = name(f, bit);
		item = g_strdup_printf("%s(%u)", known ? known : "?", bit);
		if (column > LABEL_WIDTH && column + 1 + strlen(item) > COLUMNS) {
			g_string_append_printf(out, "\n%*s", LABEL_WIDTH, "");
			column = LABEL_WIDTH;
		}
		g_string_append_printf(out, "%s%s", column > LABEL_WIDTH ? " " : "", item);
		column += strlen(item) + (column > LABEL_WIDTH);
	}
	g_string_append(out, set ? "\n" : "none\n");
}

static const char *virtio_name(const struct properties *f, unsigned bit)
{
	return names_feature(f->vu->probe.device_id, bit);
}

static void block_config(GString *out, const struct properties *f)
{
	const struct virtio_probe *probe = &f->vu->probe;

	for (size_t i = 0; i < blk_n_fields; i++) {
		g_autofree char *text = NULL;
		uint64_t value;

		if (!blk_field_value(
			    &blk_fields[i], f->config, probe->config_size, probe->features, &value))
			continue;
		text = blk_field_text(&blk_fields[i], value);
		g_string_append_printf(
			out, "  %-*s%s\n", LABEL_WIDTH - 2, blk_fields[i].label, text);
	}
}

static void hex_config(GString *out, const struct properties *f)
{
	for (uint32_t i = 0; i < f->vu->probe.config_size; i++) {
		if (i % 16 == 0)
			g_string_append_printf(out, "%s  %04x:", i ? "\n" : "", i);
		g_string_append_printf(out, " %02x", f->config[i]);
	}
	if (f->vu->probe.config_size > 0)
		g_string_append_c(out, '\n');
}

static const char *standalone_text(const struct properties *f)
{
	if (properties_standalone(f))
		return f->vu->probe.config_size ? "yes (PROBE, STATUS, CONFIG)"
						: "yes (PROBE, STATUS)";
	return properties_by_probe(f) ? "no (PROBE without STATUS or CONFIG)"
				      : "no (PROBE not used)";
}

/* Returns the source's name; message is the ordinary one that tells it. */
static const char *source_text(enum vu_source source, const char *message)
{
	return source == VU_SOURCE_MESSAGE ? message : vu_source_name(source);
}

GString *properties_text(const struct properties *f)
{
	const struct vu_properties *vu = f->vu;
	const char *name = names_device(vu->probe.device_id);
	GString *out = g_string_new(NULL);

	property(out, "back-end", NULL, "%s", f->socket);
	if (vu->device_id == VU_SOURCE_NONE)
		property(out, "device", NULL, "unknown (--device-id=TYPE tells it)");
	else
		property(out, "device", source_text(vu->device_id, "message"), "%s (%u)",
			name ? name : "without a name", vu->probe.device_id);
	property(out, "virtqueues", source_text(vu->max_queues, "GET_QUEUE_NUM"), "%u",
		vu->probe.max_queues);
	property(out, "driver needs", source_text(vu->min_queues, "GET_QUEUE_NUM"), "%u",
		vu->probe.min_queues);
	property(out, "configuration", source_text(vu->config_size, "no CONFIG"), "%u bytes",
		vu->probe.config_size);
	property(out, "memory slots", NULL, "%" PRIu64, vu->max_mem_slots);
	property(out, "standalone", NULL, "%s", standalone_text(f));
	bits(out, "features", f, vu->features, virtio_name);
	bits(out, "protocol features", f, vu->protocol_features, properties_protocol_name);
	if (vu->probe.config_size > 0)
		g_string_append(out, "configuration space\n");
	if (vu->probe.device_id == VIRTIO_ID_BLOCK)
		block_config(out, f);
	else
		hex_config(out, f);
	return out;
}
