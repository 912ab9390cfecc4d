/* SPDX-License-Identifier: Apache-2.0 */
/* See number.h. */
#include "base/number.h"

#include <errno.h>
#include <glib.h>
#include <math.h>
#include <string.h>

/* Parses the digits that text begins with; *rest is what follows them. */
static bool parse_digits(const char *text, uint64_t *value, char **rest)
{
	bool hex = g_ascii_strncasecmp(text, "0x", 2) == 0;
	const char *digits = hex ? text + 2 : text;

	/* g_ascii_strtoull() would take a sign and blanks. */
	if (!(hex ? g_ascii_isxdigit(*digits) : g_ascii_isdigit(*digits)))
		return false;
	errno = 0;
	*value = g_ascii_strtoull(digits, rest, hex ? 16 : 10);
	return errno == 0;
}

bool number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	uint64_t n;
	char *rest;

	if (!parse_digits(text, &n, &rest) || *rest || n < min || n > max)
		return false;
	*value = n;
	return true;
}

static bool parse_suffix(const char *suffix, unsigned *shift)
{
	static const char units[] = "KMGT";
	const char *unit;

	if (*suffix == '\0')
		return true;
	unit = strchr(units, g_ascii_toupper(*suffix));
	*shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
	if (unit)
		suffix++;
	return (unit && *suffix == '\0') || !strcmp(suffix, "B") || (unit && !strcmp(suffix, "iB"));
}

bool number_parse_bytes(const char *text, unsigned shift, uint64_t *bytes)
{
	uint64_t n;
	char *suffix;

	if (!parse_digits(text, &n, &suffix) || !parse_suffix(suffix, &shift) ||
		n > UINT64_MAX >> shift)
		return false;
	*bytes = n << shift;
	return true;
}

bool number_parse_real(const char *text, double *value)
{
	char *end;
	double n;

	/* g_ascii_strtod() would take a sign, blanks, "inf" and "nan". */
	if (!g_ascii_isdigit(*text) && *text != '.')
		return false;
	n = g_ascii_strtod(text, &end);
	if (end == text || *end || !isfinite(n))
		return false;
	*value = n;
	return true;
}
