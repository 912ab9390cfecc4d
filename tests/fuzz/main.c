/* SPDX-License-Identifier: Apache-2.0 */
/* Runs inputs of one target: those of libFuzzer, or of files. */
#include "tests/fuzz/fuzz.h"

#include <ftw.h>
#include <signal.h>

#include "tests/lib/test.h"

#ifdef LIBFUZZER
#define FDS_PERIOD 16
#else
#define FDS_PERIOD 1
#endif

static const struct fuzz_target *targets, *target;
static char *folder;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void fuzz_register(struct fuzz_target *t)
{
	t->next = targets;
	targets = t;
}

char *fuzz_path(const char *name)
{
	if (!folder)
		folder = g_dir_make_tmp("virtiod-fuzz-XXXXXX", NULL);
	return g_build_filename(folder, name, NULL);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void remove_folder(void)
{
	if (folder)
		nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static const struct fuzz_target *find(const char *name)
{
	const struct fuzz_target *t = targets;

	while (t && !g_str_equal(t->name, name))
		t = t->next;
	return t;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *name = g_getenv("VIRTIOD_FUZZ_TARGET");

	target = name ? find(name) : NULL;
	if (!target) {
		fprintf(stderr, "VIRTIOD_FUZZ_TARGET is none of:");
		for (const struct fuzz_target *t = targets; t; t = t->next)
			fprintf(stderr, " %s", t->name);
		fprintf(stderr, "\n");
		exit(2);
	}
	/* Outside of a test of cmocka's, a failed assertion would exit as if it were a success. */
	g_setenv("CMOCKA_TEST_ABORT", "1", TRUE);
	signal(SIGPIPE, SIG_IGN);
	g_main_context_iteration(NULL, FALSE); /* it keeps an fd */
	atexit(remove_folder);
	if (target->setup)
		target->setup();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned runs;
	struct fuzz_input in = { data, data + size };
	/* Not each time while fuzzing: it takes as long as a run. The first may open what stays. */
	bool counts = runs++ && runs % FDS_PERIOD == 0;
	unsigned before = counts ? count_fds() : 0, after;

	test_log_discard();
	target->run(&in);
	after = counts ? count_fds() : 0;
	if (after != before) {
		fprintf(stderr, "%u fds are open, and %u were\n", after, before);
		abort();
	}
	return 0;
}

#ifndef LIBFUZZER
static unsigned run_path(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	g_autofree char *bytes = NULL;
	const char *name;
	unsigned n = 0;
	size_t size;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);

		n += run_path(file);
	}
	if (dir || !g_file_get_contents(path, &bytes, &size, NULL))
		return n;
	LLVMFuzzerTestOneInput((const uint8_t *)bytes, size);
	return 1;
}

int main(int argc, char **argv)
{
	unsigned n = 0;

	LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++)
		n += run_path(argv[i]);
	printf("%s: %u inputs\n", target->name, n);
	return n ? 0 : 1;
}
#endif
