/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-net is killed under load. argv[2]: how often. */
#include "daemon/devices/net/test_net_load.h"

static void test_load(struct kit *k)
{
	struct net_peer *p = peer_new(k, "peer");
	g_autofree char *option = g_strconcat("--stream=unix:", kit_path(k, "peer"), NULL);
	unsigned kills = kit_rounds(k, 4);
	struct net_load l;

	kit_start(k, option, "--mac=" MAC_TEXT, NULL);
	WAIT_UNTIL(peer_accept(p));
	load_begin(&l, k, p);
	load_goes_on(&l);
	for (unsigned i = 0; i < kills; i++) {
		load_both_ways(&l);
		kit_restart(k);
		load_goes_on(&l);
	}
	peer_free(p);
}

static const struct kit_test tests[] = {
	{ "load", test_load, .skip = KIT_NO_PAUSE | KIT_NO_KILL | KIT_NO_HOSTILE },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
