/* SPDX-License-Identifier: Apache-2.0 */
/* Reads recordings of evemu. */
#include "input_recording.h"

/* Times are kept far from where sums of them overflow. */
#define MAX_SECONDS (INT64_MAX / G_USEC_PER_SEC / 4)

struct recording {
	struct input_properties *p;
	GArray *events;
	unsigned n_props, n_codes[EV_CNT]; /* bytes of the bitmaps so far */
	int64_t start; /* of the events */
};

/* Takes a number off the text. */
static bool take(char **text, unsigned base, int64_t min, int64_t max, int64_t *value)
{
	char *at = *text + strspn(*text, " \t"), *end;

	*value = g_ascii_strtoll(at, &end, base);
	if (end == at || *value < min || *value > max || (*end && !strchr(" \t.", *end)))
		return false;
	*text = end;
	return true;
}

static bool take_hex(char **text, unsigned max, unsigned *value)
{
	int64_t v;

	if (!take(text, 16, 0, max, &v))
		return false;
	*value = v;
	return true;
}

static bool take_name(struct recording *r, char *text)
{
	g_strlcpy(r->p->name, g_strstrip(text), sizeof(r->p->name));
	return true;
}

static bool take_ids(struct recording *r, char *text)
{
	unsigned id[4];

	for (unsigned i = 0; i < G_N_ELEMENTS(id); i++) {
		if (!take_hex(&text, UINT16_MAX, &id[i]))
			return false;
	}
	r->p->id = (struct input_id){ id[0], id[1], id[2], id[3] };
	return true;
}

/* Takes a part of a bitmap. evemu writes more bytes than there are codes, of zeroes. */
static bool take_bytes(char *text, uint8_t *to, unsigned size, unsigned *n)
{
	unsigned byte;

	while (take_hex(&text, UINT8_MAX, &byte)) {
		if (*n < size)
			to[*n] = byte;
		else if (byte)
			return false;
		++*n;
	}
	return text[strspn(text, " \t")] == '\0';
}

static bool take_props(struct recording *r, char *text)
{
	return take_bytes(text, r->p->props, sizeof(r->p->props), &r->n_props);
}

static bool take_codes(struct recording *r, char *text)
{
	uint8_t unused[KEY_CNT / 8];
	unsigned type;

	if (!take_hex(&text, EV_MAX, &type))
		return false;
	return take_bytes(text, input_codes(type) ? r->p->codes[type] : unused,
		MAX(1, input_codes(type) / 8), &r->n_codes[type]);
}

static bool take_axis(struct recording *r, char *text)
{
	int64_t v[5] = { 0 };
	unsigned axis, n = 0;

	if (!take_hex(&text, ABS_MAX, &axis))
		return false;
	while (n < G_N_ELEMENTS(v) && take(&text, 10, INT32_MIN, INT32_MAX, &v[n]))
		n++;
	r->p->axis[axis] = (struct input_absinfo){
		.minimum = v[0], .maximum = v[1], .fuzz = v[2], .flat = v[3], .resolution = v[4]
	};
	return n >= 4;
}

static bool take_event(struct recording *r, char *text)
{
	int64_t seconds, us, value;
	struct input_recorded e;
	unsigned type, code;

	if (!take(&text, 10, 0, MAX_SECONDS, &seconds) || *text++ != '.' ||
		!take(&text, 10, 0, G_USEC_PER_SEC - 1, &us) || !take_hex(&text, EV_MAX, &type) ||
		!take_hex(&text, KEY_MAX, &code) || !take(&text, 10, INT32_MIN, INT32_MAX, &value))
		return false;
	if (type != EV_SYN && input_codes(type) && !input_has(r->p, type, code))
		return false;
	e = (struct input_recorded){ seconds * G_USEC_PER_SEC + us, type, code, value };
	if (!r->events->len)
		r->start = e.at;
	e.at = MAX(e.at - r->start, 0);
	g_array_append_val(r->events, e);
	return true;
}

static bool take_nothing(struct recording *r, char *text)
{
	return true;
}

static const struct {
	char letter;
	bool (*take)(struct recording *r, char *text);
} lines[] = {
	{ 'N', take_name },
	{ 'I', take_ids },
	{ 'P', take_props },
	{ 'B', take_codes },
	{ 'A', take_axis },
	{ 'E', take_event },
	{ 'L', take_nothing },
	{ 'S', take_nothing },
};

/* Changes the line. */
static bool take_line(struct recording *r, char *line)
{
	char *comment = strchr(line, '#');

	/* Names may have one. */
	if (comment && line[0] != 'N')
		*comment = '\0';
	g_strchomp(line);
	if (!*line)
		return true;
	for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++) {
		if (line[0] == lines[i].letter && line[1] == ':')
			return lines[i].take(r, line + 2);
	}
	return false;
}

bool input_recording_parse(
	const char *text, struct input_properties *p, GArray *events, GError **error)
{
	struct recording r = { .p = p, .events = events };
	g_auto(GStrv) all = g_strsplit(text, "\n", -1);

	for (unsigned i = 0; all[i]; i++) {
		g_autofree char *line = g_strdup(all[i]);

		if (!take_line(&r, line))
			return option_bad(error, "line %u is not of a recording of evemu: '%.40s'",
				i + 1, all[i]);
	}
	return true;
}
