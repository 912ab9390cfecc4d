/* SPDX-License-Identifier: Apache-2.0 */
/* See json_read.h. A value inside a value is first skipped over, and decoded when it is read. */
#include "base/json_read.h"

#include <glib.h>
#include <string.h>

#define MAX_DEPTH 16

struct cursor {
	char *at, *end;
	unsigned depth;
};

static void skip_blanks(struct cursor *c)
{
	while (c->at < c->end && strchr(" \t\r\n", *c->at) && *c->at)
		c->at++;
}

static bool take(struct cursor *c, char expected)
{
	if (c->at == c->end || *c->at != expected)
		return false;
	c->at++;
	return true;
}

static bool take_word(struct cursor *c, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(c->end - c->at) < len || memcmp(c->at, word, len) != 0)
		return false;
	c->at += len;
	return true;
}

/* Takes the four digits of \u. */
static bool take_unit(struct cursor *c, gunichar *unit)
{
	*unit = 0;
	if (c->end - c->at < 4)
		return false;
	for (unsigned i = 0; i < 4; i++) {
		int digit = g_ascii_xdigit_value(*c->at++);

		if (digit < 0)
			return false;
		*unit = *unit << 4 | digit;
	}
	return true;
}

/* Takes what follows \u; no NUL, and surrogates only in pairs. */
static bool take_code_point(struct cursor *c, gunichar *code)
{
	gunichar low;

	if (!take_unit(c, code) || *code == 0 || (*code >= 0xdc00 && *code < 0xe000))
		return false;
	if (*code < 0xd800 || *code >= 0xe000)
		return true;
	if (!take_word(c, "\\u") || !take_unit(c, &low) || low < 0xdc00 || low >= 0xe000)
		return false;
	*code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
	return true;
}

/* Takes an escape behind its backslash. Returns how many bytes it stands for; 0: none. */
static unsigned take_escape(struct cursor *c, char bytes[6])
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	const char *name;
	gunichar code;

	if (take(c, 'u'))
		return take_code_point(c, &code) ? g_unichar_to_utf8(code, bytes) : 0;
	if (c->at == c->end || !*c->at)
		return 0;
	name = strchr(names, *c->at++);
	bytes[0] = name ? values[name - names] : 0;
	return name ? 1 : 0;
}

/*
 * Takes a string. decode: in place, which it fits into, as each escape is longer than what it
 * stands for.
 */
static bool take_string(struct cursor *c, bool decode, struct json_value *v)
{
	char *to;

	if (!take(c, '"'))
		return false;
	to = c->at;
	*v = (struct json_value){ .type = JSON_STRING, .text = to };
	while (c->at < c->end && *c->at != '"') {
		char bytes[6];
		unsigned n = 1;

		bytes[0] = *c->at++;
		if ((unsigned char)bytes[0] < 0x20)
			return false;
		if (bytes[0] == '\\')
			n = take_escape(c, bytes);
		if (n == 0)
			return false;
		if (decode)
			memcpy(to, bytes, n);
		to += n;
	}
	if (!take(c, '"'))
		return false;
	if (decode)
		*to = 0;
	v->len = to - v->text;
	return true;
}

static bool take_digits(struct cursor *c)
{
	const char *start = c->at;

	while (c->at < c->end && g_ascii_isdigit(*c->at))
		c->at++;
	return c->at > start;
}

static bool take_number(struct cursor *c)
{
	take(c, '-');
	if (!take(c, '0') && !take_digits(c))
		return false;
	if (take(c, '.') && !take_digits(c))
		return false;
	if (!take(c, 'e') && !take(c, 'E'))
		return true;
	if (!take(c, '+'))
		take(c, '-');
	return take_digits(c);
}

static bool skip_value(struct cursor *c, struct json_value *v, bool decode);

/* Skips what is between the brackets of an array or object. */
static bool skip_list(struct cursor *c, bool keys, char end)
{
	struct json_value v;

	if (++c->depth > MAX_DEPTH)
		return false;
	skip_blanks(c);
	for (bool first = true; !take(c, end); first = false) {
		if (!first && !take(c, ','))
			return false;
		skip_blanks(c);
		if (keys && !take_string(c, false, &v))
			return false;
		skip_blanks(c);
		if ((keys && !take(c, ':')) || !skip_value(c, &v, false))
			return false;
	}
	c->depth--;
	return true;
}

static bool skip_unquoted(struct cursor *c, struct json_value *v)
{
	v->type = JSON_NULL;
	if (take_word(c, "null"))
		return true;
	v->type = JSON_BOOL;
	if (take_word(c, "true") || take_word(c, "false"))
		return true;
	v->type = JSON_NUMBER;
	return take_number(c);
}

/* Takes a value with the blanks around it. decode: if it is a string. */
static bool skip_value(struct cursor *c, struct json_value *v, bool decode)
{
	bool ok;

	skip_blanks(c);
	if (c->at < c->end && *c->at == '"') {
		ok = take_string(c, decode, v);
		skip_blanks(c);
		return ok;
	}
	*v = (struct json_value){ .text = c->at };
	if (take(c, '{')) {
		v->type = JSON_OBJECT;
		ok = skip_list(c, true, '}');
	} else if (take(c, '[')) {
		v->type = JSON_ARRAY;
		ok = skip_list(c, false, ']');
	} else {
		ok = skip_unquoted(c, v);
	}
	v->len = c->at - v->text;
	skip_blanks(c);
	return ok;
}

bool json_read_object(char *text, size_t len,
	bool (*member)(void *opaque, const char *key, const struct json_value *v), void *opaque)
{
	struct cursor c = { .at = text, .end = text + len };
	struct json_value key, v;

	skip_blanks(&c);
	if (!take(&c, '{'))
		return false;
	skip_blanks(&c);
	for (bool first = true; !take(&c, '}'); first = false) {
		if (!first && !take(&c, ','))
			return false;
		skip_blanks(&c);
		if (!take_string(&c, true, &key))
			return false;
		skip_blanks(&c);
		if (!take(&c, ':') || !skip_value(&c, &v, true) || !member(opaque, key.text, &v))
			return false;
	}
	skip_blanks(&c);
	return c.at == c.end;
}

bool json_read_array(char *text, size_t len,
	bool (*element)(void *opaque, const struct json_value *v), void *opaque)
{
	struct cursor c = { .at = text, .end = text + len };
	struct json_value v;

	skip_blanks(&c);
	if (!take(&c, '['))
		return false;
	skip_blanks(&c);
	for (bool first = true; !take(&c, ']'); first = false) {
		if ((!first && !take(&c, ',')) || !skip_value(&c, &v, true) || !element(opaque, &v))
			return false;
	}
	skip_blanks(&c);
	return c.at == c.end;
}
