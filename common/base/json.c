/* SPDX-License-Identifier: Apache-2.0 */
/* See json.h. */
#include "base/json.h"

#include <inttypes.h>
#include <math.h>

static void quote(GString *out, const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);

	g_string_append_c(out, '"');
	for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		if (c == '"' || c == '\\')
			g_string_append_printf(out, "\\%c", *p);
		else if (c < 0x20 || (c >= 0x7f && c < 0xa0)) /* C1 controls move terminals, too */
			g_string_append_printf(out, "\\u%04x", c);
		else
			g_string_append_unichar(out, c);
	}
	g_string_append_c(out, '"');
}

static void new_line(struct json *j)
{
	if (!j->one_line)
		g_string_append_printf(j->out, "\n%*s", (int)j->depth * 2, "");
}

/* Writes the comma, the line break and the key before any value. */
static void lead(struct json *j, const char *key)
{
	if (j->follows)
		g_string_append_c(j->out, ',');
	if (j->depth > 0)
		new_line(j);
	if (key) {
		quote(j->out, key);
		g_string_append(j->out, j->one_line ? ":" : ": ");
	}
	j->follows = true;
}

static void enter(struct json *j, const char *key, char bracket)
{
	lead(j, key);
	g_string_append_c(j->out, bracket);
	j->depth++;
	j->follows = false;
}

static void leave(struct json *j, char bracket)
{
	j->depth--;
	if (j->follows)
		new_line(j);
	g_string_append_c(j->out, bracket);
	j->follows = true;
}

void json_open_object(struct json *j, const char *key)
{
	enter(j, key, '{');
}

void json_close_object(struct json *j)
{
	leave(j, '}');
}

void json_open_array(struct json *j, const char *key)
{
	enter(j, key, '[');
}

void json_close_array(struct json *j)
{
	leave(j, ']');
}

void json_string(struct json *j, const char *key, const char *value)
{
	if (!value) {
		json_null(j, key);
		return;
	}
	lead(j, key);
	quote(j->out, value);
}

void json_uint(struct json *j, const char *key, uint64_t value)
{
	lead(j, key);
	g_string_append_printf(j->out, "%" G_GUINT64_FORMAT, value);
}

void json_int(struct json *j, const char *key, int64_t value)
{
	lead(j, key);
	g_string_append_printf(j->out, "%" PRId64, value);
}

void json_double(struct json *j, const char *key, double value)
{
	if (!isfinite(value)) {
		json_null(j, key);
		return;
	}
	lead(j, key);
	g_string_append_printf(j->out, fabs(value) < 1 ? "%.6f" : "%.3f", value);
}

void json_bool(struct json *j, const char *key, bool value)
{
	lead(j, key);
	g_string_append(j->out, value ? "true" : "false");
}

void json_null(struct json *j, const char *key)
{
	lead(j, key);
	g_string_append(j->out, "null");
}

void json_hex64(struct json *j, const char *key, uint64_t value)
{
	lead(j, key);
	g_string_append_printf(j->out, "\"0x%016" G_GINT64_MODIFIER "x\"", value);
}
