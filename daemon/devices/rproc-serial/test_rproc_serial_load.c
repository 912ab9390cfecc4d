/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-rproc-serial: many bytes both ways, and a load over kills. argv[2]: how many of these. */
#include "../console/test_ports.h"

static void test_bulk(struct kit *k)
{
	int fd;

	kit_start(k, spec(k, "--backend=unix:%s", "a"), NULL);
	fd = join(k, "a");
	run_bulk(k, fd, 0, 1);
	close(fd);
}

static void test_file(struct kit *k)
{
	struct load_port port = { "a", 1, LOAD_FILE };

	kit_start(k, spec(k, "--backend=file:%s", "a"), NULL);
	run_load(k, &port, 1);
}

static void test_client(struct kit *k)
{
	struct load_port port = { "a", 1, LOAD_READ };

	kit_start(k, spec(k, "--backend=unix:%s", "a"), NULL);
	run_load(k, &port, 1);
}

static const struct kit_test tests[] = {
	{ "bulk", test_bulk, .skip = KIT_NO_KILL | KIT_NO_HOSTILE },
	{ "load to a file", test_file, .skip = KIT_NO_PAUSE | KIT_NO_HOSTILE },
	{ "load to a client", test_client, .skip = KIT_NO_PAUSE | KIT_NO_HOSTILE },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
