/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-console: many bytes both ways, and a load over kills. argv[2]: how many of these. */
#include "test_ports.h"

static void start(struct kit *k)
{
	kit_start(k, spec(k, "--port=name=a,backend=unix:%s", "a"),
		spec(k, "--port=name=b,backend=file:%s", "b"),
		spec(k, "--port=name=c,backend=unix:%s", "c"), NULL);
}

/* Of three ports one has no reader. */
static void test_bulk(struct kit *k)
{
	static const char open[] = { 0, 0, 0, 0, 6, 0, 1, 0 };
	struct kit_request *stuck[4];
	int fd;

	start(k);
	kit_wait(k, kit_send(k, 3, open, sizeof(open), 0));
	for (unsigned i = 0; i < G_N_ELEMENTS(stuck); i++)
		stuck[i] = kit_send(k, 7, "stuck", 5, 0);
	fd = join(k, "a");
	run_bulk(k, fd, 0, 1);
	kit_wait(k, kit_send(k, 5, "to the file", 11, 0));
	assert_false(kit_is_done(k, stuck[0]));
	close(fd);
}

static void test_load(struct kit *k)
{
	struct load_port ports[] = {
		{ "b", 5, LOAD_FILE },
		{ "a", 1, LOAD_READ },
		{ "c", 7, LOAD_STUCK },
	};

	start(k);
	run_load(k, ports, G_N_ELEMENTS(ports));
}

static const struct kit_test tests[] = {
	{ "bulk", test_bulk, .skip = KIT_NO_KILL | KIT_NO_HOSTILE },
	{ "load", test_load, .skip = KIT_NO_PAUSE | KIT_NO_HOSTILE },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
