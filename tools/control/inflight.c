/* SPDX-License-Identifier: Apache-2.0 */
/* virtioctl inflight: the requests that daemons are at work on, and since when. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/control/ask.h"
#include "tools/control/fields.h"
#include "tools/virtioctl.h"

struct flight {
	uint64_t id, us;
	char type[24];
};

struct flights_queue {
	uint64_t queue, in_flight;
	GArray *oldest; /* of struct flight */
};

struct flights {
	const char *path;
	char device[24];
	GString *out; /* until all of it has been read */
};

static const struct field flight_fields[] = {
	FIELD_NUMBER(flight, id),
	FIELD_NUMBER(flight, us),
	FIELD_NAME(flight, "type", type),
	{ NULL },
};

static const struct field queue_fields[] = {
	FIELD_NUMBER(flights_queue, queue),
	FIELD_NUMBER(flights_queue, in_flight),
	{ NULL },
};

static const struct field device_fields[] = {
	FIELD_NAME(flights, "device", device),
	{ NULL },
};

static bool as_json;

static bool read_flight_member(void *opaque, const char *key, const struct json_value *v)
{
	return fields_set(flight_fields, opaque, key, v);
}

static bool read_flight(void *opaque, const struct json_value *v)
{
	struct flights_queue *q = opaque;
	struct flight f = { 0 };

	if (v->type != JSON_OBJECT || !json_read_object(v->text, v->len, read_flight_member, &f))
		return false;
	g_array_append_val(q->oldest, f);
	return true;
}

static bool read_queue_member(void *opaque, const char *key, const struct json_value *v)
{
	struct flights_queue *q = opaque;

	if (!strcmp(key, "oldest"))
		return v->type == JSON_ARRAY && json_read_array(v->text, v->len, read_flight, q);
	return fields_set(queue_fields, q, key, v);
}

static bool read_queue(void *opaque, const struct json_value *v)
{
	g_autoptr(GArray) oldest = g_array_new(FALSE, FALSE, sizeof(struct flight));
	struct flights_queue q = { .oldest = oldest };
	struct flights *all = opaque;

	if (v->type != JSON_OBJECT || !json_read_object(v->text, v->len, read_queue_member, &q))
		return false;
	for (unsigned i = 0; i < oldest->len; i++) {
		const struct flight *f = &g_array_index(oldest, struct flight, i);

		g_string_append_printf(all->out, "  queue %" PRIu64 " id %" PRIu64 " %s: %.6f s\n",
			q.queue, f->id, f->type, (double)f->us / G_USEC_PER_SEC);
	}
	if (q.in_flight > oldest->len)
		g_string_append_printf(all->out, "  queue %" PRIu64 ": %" PRIu64 " more\n", q.queue,
			q.in_flight - oldest->len);
	return true;
}

static bool read_member(void *opaque, const char *key, const struct json_value *v)
{
	if (!strcmp(key, "queues"))
		return v->type == JSON_ARRAY &&
			json_read_array(v->text, v->len, read_queue, opaque);
	return fields_set(device_fields, opaque, key, v);
}

static bool answered(const char *path, const struct json_value *result)
{
	g_autoptr(GString) out = g_string_new(NULL);
	struct flights all = { .path = path, .out = out };

	if (as_json)
		return ask_print_json(path, result);
	if (result->type != JSON_OBJECT ||
		!json_read_object(result->text, result->len, read_member, &all) || !all.device[0])
		return false;
	printf("%s: %s: %s\n%s", path, all.device,
		out->len ? "in flight, the oldest ones first" : "nothing in flight", out->str);
	return true;
}

int inflight_run(int argc, char **argv)
{
	const struct option_entry options[] = {
		{ "json", .flag = &as_json, .help = "Print JSON, an object a line" },
		{ NULL },
	};
	const struct ask ask = {
		.summary = "Shows the requests that daemons that were started with "
			   "--control=SOCKET are at work on, and for how long.",
		.method = "inflight",
		.options = options,
		.answered = answered,
	};

	return ask_run(&ask, argv);
}
