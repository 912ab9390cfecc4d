/* SPDX-License-Identifier: Apache-2.0 */
/* See request.h. */
#include "control/request.h"

#include <errno.h>
#include <string.h>

#include "base/choice.h"
#include "base/error.h"
#include "base/number.h"
#include "base/util.h"

#define MAX_TEXT 4096

static bool refuse(struct control_request *r, enum control_error error, const char *why)
{
	r->error = error;
	r->why = why;
	return false;
}

static bool read_param(void *opaque, const char *key, const struct json_value *v)
{
	struct control_request *r = opaque;

	if (v->type == JSON_ARRAY || v->type == JSON_OBJECT)
		return refuse(r, CONTROL_INVALID_PARAMS, "params: lists and objects are not taken");
	if (r->n_params == G_N_ELEMENTS(r->params))
		return refuse(r, CONTROL_INVALID_PARAMS, "params: too many members");
	for (unsigned i = 0; i < r->n_params; i++) {
		if (!strcmp(r->params[i].name, key))
			return refuse(r, CONTROL_INVALID_PARAMS, "params: a name occurs twice");
	}
	r->params[r->n_params++] = (struct control_param){ key, *v };
	return true;
}

static void take_id(struct control_request *r, const struct json_value *v)
{
	g_autoptr(GString) out = g_string_new(NULL);
	struct json j = { .out = out };

	if (v->type != JSON_NULL && v->type != JSON_NUMBER && v->type != JSON_STRING) {
		refuse(r, CONTROL_INVALID_REQUEST, "id: not a number or a string");
		return;
	}
	if (v->type == JSON_STRING)
		json_string(&j, NULL, v->text);
	else
		g_string_append_len(out, v->text, v->len);
	if (out->len > CONTROL_MAX_ID) {
		refuse(r, CONTROL_INVALID_REQUEST, "id: more than 64 bytes");
		return;
	}
	memcpy(r->id, out->str, out->len + 1);
	r->is_notification = false;
}

static void read_params(struct control_request *r, const struct json_value *v)
{
	json_read_object(v->text, v->len, read_param, r);
	/* What follows a number or a word has been read by now. */
	for (unsigned i = 0; i < r->n_params; i++)
		r->params[i].v.text[r->params[i].v.len] = 0;
}

/* What of the request has been seen. */
struct envelope {
	struct control_request *r;
	bool version;
	struct json_value params;
};

static bool read_member(void *opaque, const char *key, const struct json_value *v)
{
	struct envelope *e = opaque;

	if (!strcmp(key, "jsonrpc")) {
		e->version = v->type == JSON_STRING && !strcmp(v->text, "2.0");
	} else if (!strcmp(key, "id")) {
		take_id(e->r, v); /* on error the rest is read for its syntax */
	} else if (!strcmp(key, "method")) {
		if (v->type != JSON_STRING)
			refuse(e->r, CONTROL_INVALID_REQUEST, "method: not a string");
		e->r->method = v->text;
	} else if (!strcmp(key, "params")) {
		e->params = *v;
	}
	return true;
}

void control_request_read(struct control_request *r, char *line, size_t len)
{
	struct envelope e = { .r = r };

	*r = (struct control_request){ .id = "null", .is_notification = true };
	if (!g_utf8_validate(line, len, NULL) || !json_read_object(line, len, read_member, &e)) {
		refuse(r, CONTROL_PARSE_ERROR, "not a JSON object in one line");
		g_strlcpy(r->id, "null", sizeof(r->id));
	} else if (!r->error && (!e.version || !r->method)) {
		refuse(r, CONTROL_INVALID_REQUEST,
			"not a request: \"jsonrpc\":\"2.0\" and \"method\" are needed");
	} else if (!r->error && e.params.text && e.params.type != JSON_OBJECT) {
		refuse(r, CONTROL_INVALID_PARAMS, "params: not an object");
	} else if (!r->error && e.params.text) {
		read_params(r, &e.params);
	}
	/* What is no request is told so, whether it has an id or not. */
	if (r->error == CONTROL_PARSE_ERROR || r->error == CONTROL_INVALID_REQUEST)
		r->is_notification = false;
}

static bool parse_number(const char *text, int64_t min, int64_t max, int64_t *number)
{
	bool negative = *text == '-';
	uint64_t n;

	if (!number_parse(text + negative, 0, INT64_MAX, &n))
		return false;
	*number = negative ? -(int64_t)n : (int64_t)n;
	return *number >= min && *number <= max;
}

static bool bad(GError **error, const char *name, const char *format, ...) G_GNUC_PRINTF(3, 4);
static bool bad(GError **error, const char *name, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	error_setv(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, name, format, args);
	va_end(args);
	return false;
}

static const char *const off_on[] = { "off", "on", NULL };

static bool match(const struct virtio_param *p, const struct control_param *given,
	struct virtio_arg *arg, GError **error)
{
	size_t max = p->max ? p->max : MAX_TEXT;
	unsigned on;

	arg->given = true;
	switch (p->type) {
	case VIRTIO_PARAM_TEXT:
		arg->text = given->v.text;
		if (given->v.type == JSON_NULL || given->v.len > max)
			return bad(error, p->name, "not a text of at most %zu bytes", max);
		break;
	case VIRTIO_PARAM_NUMBER:
		if (given->v.type == JSON_NULL ||
			!parse_number(given->v.text, p->min, p->max, &arg->number))
			return bad(error, p->name,
				"not a number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
				p->min, p->max);
		break;
	case VIRTIO_PARAM_FLAG:
		if (!choice_parse(given->v.text, off_on, &on))
			return bad(error, p->name, "not true or false");
		arg->flag = on;
		break;
	}
	return true;
}

static const struct control_param *find(const struct control_request *r, const char *name)
{
	for (unsigned i = 0; i < r->n_params; i++) {
		if (!strcmp(r->params[i].name, name))
			return &r->params[i];
	}
	return NULL;
}

bool control_request_match(const struct control_request *r, const struct virtio_param *params,
	struct virtio_arg *args, GError **error)
{
	unsigned n = 0;

	memset(args, 0, VIRTIO_MAX_PARAMS * sizeof(*args));
	for (const struct virtio_param *p = params; p->name; p++, args++) {
		const struct control_param *given = find(r, p->name);

		args->text = "";
		if (!given && !p->optional)
			return bad(error, p->name, "missing");
		if (given && !match(p, given, args, error))
			return false;
		n += given != NULL;
	}
	for (unsigned i = 0; n < r->n_params && i < r->n_params; i++) {
		const struct virtio_param *p = params;

		while (p->name && strcmp(p->name, r->params[i].name) != 0)
			p++;
		if (!p->name)
			return bad(error, r->params[i].name, "no such parameter");
	}
	return true;
}

static void lead(struct json *j, const struct control_request *r)
{
	json_open_object(j, NULL);
	json_string(j, "jsonrpc", "2.0");
	g_string_append_printf(j->out, ",\"id\":%s", r->id);
}

void control_reply_begin(struct json *j, const struct control_request *r)
{
	j->one_line = true;
	lead(j, r);
	json_open_object(j, "result");
}

void control_reply_end(struct json *j)
{
	json_close_object(j);
	json_close_object(j);
	g_string_append_c(j->out, '\n');
}

void control_reply_error(
	GString *out, const struct control_request *r, enum control_error code, const char *message)
{
	struct json j = { .out = out, .one_line = true };

	lead(&j, r);
	json_open_object(&j, "error");
	json_int(&j, "code", code);
	json_string(&j, "message", message);
	control_reply_end(&j);
}

void control_describe(
	struct json *j, const char *name, const char *summary, const struct virtio_param *params)
{
	static const char *const types[] = {
		[VIRTIO_PARAM_TEXT] = "text",
		[VIRTIO_PARAM_NUMBER] = "number",
		[VIRTIO_PARAM_FLAG] = "flag",
	};

	json_open_object(j, NULL);
	json_string(j, "name", name);
	json_string(j, "summary", summary);
	json_open_array(j, "params");
	for (const struct virtio_param *p = params; p->name; p++) {
		json_open_object(j, NULL);
		json_string(j, "name", p->name);
		json_string(j, "type", types[p->type]);
		if (p->type == VIRTIO_PARAM_NUMBER) {
			json_int(j, "min", p->min);
			json_int(j, "max", p->max);
		}
		json_bool(j, "optional", p->optional);
		json_close_object(j);
	}
	json_close_array(j);
	json_close_object(j);
}
