/* SPDX-License-Identifier: Apache-2.0 */
/* Every test in every variant, as tests of cmocka. */
#include <glib/gstdio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "tests/lib/kit_impl.h"

#define PACKED (1ull << VIRTIO_F_RING_PACKED)
#define EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT (1ull << VIRTIO_RING_F_INDIRECT_DESC)

struct kit_variant {
	const char *name;
	const struct kit_world *world;
	uint64_t features; /* of the ring */
	bool in_pieces;
	enum kit_trouble trouble;
	unsigned skip; /* tests with one of these are not run in it */
};

static const struct kit_variant variants[] = {
#ifndef __SANITIZE_THREAD__ /* there is one thread */
	{ "split", &kit_world_core, 0 },
	{ "packed", &kit_world_core, PACKED },
	{ "split, in pieces", &kit_world_core, EVENT_IDX | INDIRECT, true },
	{ "packed, in pieces", &kit_world_core, PACKED | EVENT_IDX | INDIRECT, true },
	{ "split, pauses", &kit_world_core, 0, false, KIT_PAUSES, KIT_NO_PAUSE },
	{ "packed, pauses", &kit_world_core, PACKED, false, KIT_PAUSES, KIT_NO_PAUSE },
	{ "split, hostile", &kit_world_core, 0, false, KIT_HOSTILE, KIT_NO_HOSTILE },
	{ "packed, hostile", &kit_world_core, PACKED, false, KIT_HOSTILE, KIT_NO_HOSTILE },
#endif
	{ "process, split", &kit_world_process, EVENT_IDX },
	{ "process, packed, pauses", &kit_world_process, PACKED, false, KIT_PAUSES, KIT_NO_PAUSE },
	{ "process, split, killed", &kit_world_process, 0, false, KIT_KILLS, KIT_NO_KILL },
#ifndef SANITIZED /* a sanitized process takes long to start and to end */
	{ "process, packed", &kit_world_process, PACKED | EVENT_IDX },
	{ "process, split, pauses", &kit_world_process, 0, false, KIT_PAUSES, KIT_NO_PAUSE },
	{ "process, packed, killed", &kit_world_process, PACKED, false, KIT_KILLS, KIT_NO_KILL },
#endif
};

struct kit_run {
	const struct kit_test *test;
	const struct kit_variant *variant;
	const char *program;
	unsigned rounds;
	struct kit kit;
};

static int setup(void **state)
{
	struct kit_run *run = *state;
	struct kit *k = &run->kit;

	*k = (struct kit){
		.world = run->variant->world,
		.features = run->variant->features |
			(run->test->features ? run->test->features
					     : virtio_device_ops.probe.features),
		.in_pieces = run->variant->in_pieces,
		.trouble = run->variant->trouble,
		.program = run->program,
		.rounds = run->rounds,
		.requests = g_ptr_array_new_with_free_func(g_free),
		.paths = g_ptr_array_new_with_free_func(g_free),
		.dir = g_dir_make_tmp("kit-XXXXXX", NULL),
	};
	k->world->setup(k);
	return k->dir ? 0 : -1;
}

static void remove_dir(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);

		g_unlink(file);
	}
	g_rmdir(path);
}

static int teardown(void **state)
{
	struct kit *k = &((struct kit_run *)*state)->kit;
	int result = k->world->teardown(k);

	remove_dir(k->dir);
	g_free(k->dir);
	g_ptr_array_unref(k->requests);
	g_ptr_array_unref(k->paths);
	return result;
}

static void run_one(void **state)
{
	struct kit_run *run = *state;

	run->test->run(&run->kit);
	if (run->kit.trouble == KIT_HOSTILE)
		kit_be_hostile(&run->kit);
}

static bool applies(const struct kit_test *test, const struct kit_variant *v, const char *program)
{
	if (v->world == &kit_world_core)
		return !(test->skip & v->skip);
	return program && !(test->skip & (v->skip | KIT_NO_PROCESS));
}

static void add(GArray *to, const struct kit_test *test, const struct kit_variant *v,
	const char *program, unsigned rounds)
{
	struct kit_run *run = g_new0(struct kit_run, 1);
	struct CMUnitTest t = {
		.name = g_strdup_printf("%s (%s)", test->name, v->name),
		.test_func = run_one,
		.setup_func = setup,
		.teardown_func = teardown,
		.initial_state = run,
	};

	*run = (struct kit_run){ .test = test, .variant = v, .program = program, .rounds = rounds };
	g_array_append_val(to, t);
}

unsigned kit_rounds(const struct kit *k, unsigned usual)
{
	return k->rounds ? k->rounds : usual;
}

int kit_main(const struct kit_test *tests, unsigned n, int argc, char **argv)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct CMUnitTest));
	const char *program = NULL;
	unsigned rounds = argc > 2 ? (unsigned)g_ascii_strtoull(argv[2], NULL, 10) : 0;
	struct CMUnitTest *t;
	int result;

	/* valgrind does not follow it. */
	if (argc > 1 && !test_under_valgrind())
		program = argv[1];
	for (unsigned i = 0; i < n; i++) {
		for (unsigned v = 0; v < G_N_ELEMENTS(variants); v++) {
			if (applies(&tests[i], &variants[v], program))
				add(all, &tests[i], &variants[v], program, rounds);
		}
	}
	t = (struct CMUnitTest *)(void *)all->data;
	result = _cmocka_run_group_tests(virtio_device_ops.name, t, all->len, NULL, NULL);
	for (unsigned i = 0; i < all->len; i++) {
		g_free((char *)t[i].name);
		g_free(t[i].initial_state);
	}
	return result;
}
