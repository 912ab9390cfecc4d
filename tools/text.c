/* SPDX-License-Identifier: Apache-2.0 */
/* See text.h. */
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "virtioctl.h"

static bool suffix_shift(const char *suffix, unsigned *shift)
{
	static const char units[] = "KMGT";
	const char *unit;

	*shift = 0;
	if (*suffix == '\0')
		return true;
	unit = strchr(units, g_ascii_toupper(*suffix));
	if (!unit)
		return !strcmp(suffix, "B");
	*shift = 10 * (unsigned)(unit - units + 1);
	suffix++;
	return *suffix == '\0' || !strcmp(suffix, "B") || !strcmp(suffix, "iB");
}

/* The number and its suffix's shift; false if text is neither. */
static bool split_size(const char *text, uint64_t *value, unsigned *shift)
{
	bool hex = g_ascii_strncasecmp(text, "0x", 2) == 0;
	const char *digits = hex ? text + 2 : text;
	char *end = NULL;

	/* g_ascii_strtoull() would take a sign and blanks. */
	if (!(hex ? g_ascii_isxdigit(*digits) : g_ascii_isdigit(*digits)))
		return false;
	errno = 0;
	*value = g_ascii_strtoull(digits, &end, hex ? 16 : 10);
	return suffix_shift(end, shift);
}

bool text_parse_size(const char *text, const char *what, uint64_t *size, GError **error)
{
	uint64_t value;
	unsigned shift;

	if (!split_size(text, &value, &shift)) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_USAGE,
			"%s: '%s' is not a size (as 4096, 64K, 10M, 2G)", what, text);
		return false;
	}
	if (errno == ERANGE || value > UINT64_MAX >> shift) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_USAGE, "%s: '%s' is too large", what, text);
		return false;
	}
	*size = value << shift;
	return true;
}

char *text_size(uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	uint64_t scale = 1024;
	unsigned unit = 0;
	uint64_t tenths;

	if (bytes < 1024)
		return g_strdup_printf("%" PRIu64 " byte%s", bytes, bytes == 1 ? "" : "s");
	while (unit + 1 < G_N_ELEMENTS(units) && bytes / scale >= 1024) {
		scale *= 1024;
		unit++;
	}
	tenths = bytes % scale / (scale / 1024) * 10 / 1024;
	if (tenths == 0)
		return g_strdup_printf("%" PRIu64 " %s", bytes / scale, units[unit]);
	return g_strdup_printf("%" PRIu64 ".%" PRIu64 " %s", bytes / scale, tenths, units[unit]);
}

char *text_rate(uint64_t bytes, uint64_t elapsed_us)
{
	g_autofree char *size = NULL;

	if (elapsed_us == 0)
		return g_strdup("-");
	size = text_size((uint64_t)((double)bytes * 1e6 / (double)elapsed_us));
	return g_strdup_printf("%s/s", size);
}

char *text_duration(uint64_t seconds)
{
	uint64_t hours = seconds / 3600, minutes = seconds / 60 % 60;

	if (hours)
		return g_strdup_printf(
			"%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, hours, minutes, seconds % 60);
	return g_strdup_printf("%" PRIu64 ":%02" PRIu64, minutes, seconds % 60);
}
