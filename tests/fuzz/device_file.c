/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files of devices: one or two texts, and the order of what they describe. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "launch/device_set.h"

static void check(const struct device_entry *e)
{
	g_assert_null(device_name_fault(e->name));
	g_assert_true(*e->type && !strchr(e->type, '/') && e->line < e->end);
	for (unsigned i = 0; e->options[i]; i++) {
		g_assert_true(g_str_has_prefix(e->options[i], "--") && strchr(e->options[i], '='));
		g_assert_true(e->option_lines[i] > e->line && e->option_lines[i] < e->end);
	}
}

/* Checks that each comes after those that it waits for. */
static void check_order(const GPtrArray *entries)
{
	for (unsigned i = 0; i < entries->len; i++) {
		const struct device_entry *e = entries->pdata[i];

		for (char **name = e->after; *name; name++) {
			unsigned k = 0;

			while (k < i && device_set_find(entries, *name) != entries->pdata[k])
				k++;
			g_assert_true(k < i);
		}
	}
}

static void run(struct fuzz_input *in)
{
	g_autoptr(GPtrArray) entries = device_entries_new();
	g_autoptr(GError) error = NULL;
	size_t first = fuzz_u16(in);
	bool ok = true;

	while (ok && fuzz_more(in)) {
		struct fuzz_input part = fuzz_part(in, first);

		ok = device_file_parse(
			entries, "f", (const char *)part.at, part.end - part.at, &error);
		first = SIZE_MAX;
		/* What is searched below grows as the square. */
		ok = ok && entries->len < 100;
	}
	for (unsigned i = 0; i < entries->len; i++)
		check(entries->pdata[i]);
	if (!ok)
		return;
	ok = device_set_sort(entries, &error);
	g_assert_true(ok == !error);
	if (ok)
		check_order(entries);
}

FUZZ_TARGET(device_file, .run = run);
