/* SPDX-License-Identifier: Apache-2.0 */
/* See text.h. */
#include "text.h"

#include <inttypes.h>

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
