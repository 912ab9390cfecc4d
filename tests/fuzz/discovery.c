/* SPDX-License-Identifier: Apache-2.0 */
/* Discovery files: two folders, of which one may hide files of the other. */
#include "tests/fuzz/fuzz.h"

#include "launch/discovery.h"
#include "tests/lib/test.h"

#define FILES 3

static char *folders[3], *files[2][FILES];

static void setup(void)
{
	for (unsigned i = 0; i < 2; i++) {
		folders[i] = fuzz_path(i ? "distro" : "user");
		g_mkdir(folders[i], 0700);
		for (unsigned k = 0; k < FILES; k++) {
			g_autofree char *name = g_strdup_printf("%u0-x.json", k);

			files[i][k] = g_build_filename(folders[i], name, NULL);
		}
	}
}

static void run(struct fuzz_input *in)
{
	uint8_t present = fuzz_u8(in);
	g_autofree char *type = fuzz_string(in), *binary = NULL;
	g_autoptr(GError) error = NULL;

	for (unsigned i = 0; i < 2 * FILES; i++) {
		struct fuzz_input part = { 0 };

		if (!(present & 1u << i))
			continue;
		/* The last one is as long as the input. */
		part = fuzz_part(in, present >> (i + 1) ? fuzz_u8(in) : SIZE_MAX);
		g_assert_true(g_file_set_contents(files[i / FILES][i % FILES],
			(const char *)part.at, part.end - part.at, NULL));
	}
	binary = discovery_find(type, (const char *const *)folders, &error);
	g_assert_true(!binary == !!error);
	for (unsigned i = 0; i < 2 * FILES; i++)
		g_unlink(files[i / FILES][i % FILES]);
}

FUZZ_TARGET(discovery, .setup = setup, .run = run);
