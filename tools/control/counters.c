/* SPDX-License-Identifier: Apache-2.0 */
/* See counters.h. */
#include "tools/control/counters.h"

#include <string.h>

#include "tools/control/fields.h"
#include "virtio/probe.h"

static const struct field type_fields[] = {
	FIELD_NAME(counters_type, "type", name),
	FIELD_NUMBER(counters_type, requests),
	FIELD_NUMBER(counters_type, bytes),
	FIELD_NUMBER(counters_type, errors),
	FIELD_NUMBER(counters_type, latency_ns),
	{ NULL },
};

static const struct field queue_fields[] = {
	{ "queue", offsetof(struct counters_queue, index), 0 },
	FIELD_NUMBER(counters_queue, requests),
	FIELD_NUMBER(counters_queue, index_updates),
	FIELD_NUMBER(counters_queue, kicks),
	FIELD_NUMBER(counters_queue, calls),
	FIELD_NUMBER(counters_queue, in_flight),
	FIELD_NUMBER(counters_queue, breaks),
	FIELD_NAME(counters_queue, "state", state),
	{ NULL },
};

static const struct field device_fields[] = {
	FIELD_NAME(counters, "device", device),
	FIELD_NAME(counters, "front_end", front_end),
	FIELD_NUMBER(counters, uptime_us),
	FIELD_NUMBER(counters, cpu_us),
	FIELD_NUMBER(counters, connections),
	FIELD_NUMBER(counters, connected_us),
	FIELD_NUMBER(counters, held),
	FIELD_NUMBER(counters, held_us),
	{ NULL },
};

static const struct field xen_fields[] = {
	FIELD_NUMBER(counters, pages_mapped),
	FIELD_NUMBER(counters, pages),
	FIELD_NUMBER(counters, maps),
	FIELD_NUMBER(counters, unmaps),
	FIELD_NUMBER(counters, copies),
	FIELD_NUMBER(counters, failures),
	FIELD_NUMBER(counters, system_calls),
	{ NULL },
};

struct latency_reader {
	struct counters_type *type;
	unsigned n;
};

static bool read_latency(void *opaque, const struct json_value *v)
{
	struct latency_reader *r = opaque;

	return r->n < COUNTERS_LATENCIES && field_number(&r->type->latency[r->n++], v);
}

static bool read_type_member(void *opaque, const char *key, const struct json_value *v)
{
	struct latency_reader r = { .type = opaque };

	if (!strcmp(key, "latency"))
		return v->type == JSON_ARRAY && json_read_array(v->text, v->len, read_latency, &r);
	return fields_set(type_fields, opaque, key, v);
}

static bool read_type(void *opaque, const struct json_value *v)
{
	struct counters_queue *q = opaque;

	return q->n_types < COUNTERS_TYPES && v->type == JSON_OBJECT &&
		json_read_object(v->text, v->len, read_type_member, &q->type[q->n_types++]);
}

static bool read_queue_member(void *opaque, const char *key, const struct json_value *v)
{
	if (!strcmp(key, "types"))
		return v->type == JSON_ARRAY && json_read_array(v->text, v->len, read_type, opaque);
	return fields_set(queue_fields, opaque, key, v);
}

static bool read_queue(void *opaque, const struct json_value *v)
{
	struct counters *c = opaque;

	if (c->queues->len == VIRTIO_MAX_QUEUES || v->type != JSON_OBJECT)
		return false;
	g_array_set_size(c->queues, c->queues->len + 1);
	return json_read_object(v->text, v->len, read_queue_member,
		&g_array_index(c->queues, struct counters_queue, c->queues->len - 1));
}

static bool read_xen_member(void *opaque, const char *key, const struct json_value *v)
{
	return fields_set(xen_fields, opaque, key, v);
}

static bool read_member(void *opaque, const char *key, const struct json_value *v)
{
	if (!strcmp(key, "queues"))
		return v->type == JSON_ARRAY &&
			json_read_array(v->text, v->len, read_queue, opaque);
	if (!strcmp(key, "xen"))
		return v->type == JSON_OBJECT &&
			json_read_object(v->text, v->len, read_xen_member, opaque);
	return fields_set(device_fields, opaque, key, v);
}

bool counters_read(struct counters *c, const struct json_value *answer)
{
	*c = (struct counters){
		.queues = g_array_new(FALSE, TRUE, sizeof(struct counters_queue)),
	};
	return answer->type == JSON_OBJECT &&
		json_read_object(answer->text, answer->len, read_member, c) && c->device[0];
}

void counters_clear(struct counters *c)
{
	g_clear_pointer(&c->queues, g_array_unref);
}

void counters_add(struct counters_type *sum, const struct counters_type *t)
{
	sum->requests += t->requests;
	sum->bytes += t->bytes;
	sum->errors += t->errors;
	sum->latency_ns += t->latency_ns;
	for (unsigned i = 0; i < COUNTERS_LATENCIES; i++)
		sum->latency[i] += t->latency[i];
}

static void add_by_name(
	struct counters_type sum[COUNTERS_TYPES], unsigned *n, const struct counters_type *t)
{
	unsigned i = 0;

	while (i < *n && strcmp(sum[i].name, t->name) != 0)
		i++;
	if (i == COUNTERS_TYPES)
		return;
	if (i == *n) {
		sum[i] = (struct counters_type){ 0 };
		memcpy(sum[i].name, t->name, sizeof(t->name));
		++*n;
	}
	counters_add(&sum[i], t);
}

unsigned counters_by_type(const struct counters *c, struct counters_type sum[COUNTERS_TYPES])
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->queues->len; i++) {
		const struct counters_queue *q =
			&g_array_index(c->queues, struct counters_queue, i);

		for (unsigned t = 0; t < q->n_types; t++)
			add_by_name(sum, &n, &q->type[t]);
	}
	return n;
}

double counters_bound(unsigned i)
{
	return (double)(UINT64_C(512) << i);
}

double counters_percentile(const struct counters_type *t, double part)
{
	double wanted = part * (double)t->requests, before = 0;

	for (unsigned i = 0; i < COUNTERS_LATENCIES; i++) {
		double n = (double)t->latency[i], low = i ? counters_bound(i - 1) : 0;

		if (n > 0 && before + n >= wanted)
			return low + (counters_bound(i) - low) * (wanted - before) / n;
		before += n;
	}
	return 0;
}
