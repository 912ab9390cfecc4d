/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-net: the control queue, what it filters, the link, and what can be asked of it. */
#include "daemon/devices/net/test_net.h"

#include <glib/gstdio.h>

#define LEN 64
#define OK VIRTIO_NET_OK
#define ERR VIRTIO_NET_ERR

static uint8_t set_mode(struct kit *k, uint8_t mode, uint8_t on)
{
	return command(k, CONTROL, VIRTIO_NET_CTRL_RX, mode, &on, 1);
}

static uint8_t set_vlan(struct kit *k, uint8_t cmd, uint16_t vlan)
{
	const uint16_t id = htole16(vlan);

	return command(k, CONTROL, VIRTIO_NET_CTRL_VLAN, cmd, &id, sizeof(id));
}

/* Sets tables of n unicast and one multicast addresses, which differ in their last byte. */
static uint8_t set_table(struct kit *k, unsigned n)
{
	uint8_t data[2048] = { (uint8_t)n };
	size_t at = 4;

	for (unsigned i = 0; i < n; i++, at += 6)
		memcpy(data + at, (uint8_t[]){ 0x52, 0x54, 0, 0, 1, (uint8_t)i }, 6);
	data[at] = 1;
	memcpy(data + at + 4, "\x01\0\x5e\0\0\1", 6);
	return command(
		k, CONTROL, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, data, at + 10);
}

static void test_commands(struct kit *k)
{
	static const uint8_t mac[] = { 0x52, 0x54, 0, 9, 8, 7 };
	static const struct {
		uint8_t class, cmd;
		unsigned n;
	} wrong[] = { { 0, 0, 0 }, { 0, 9, 1 }, { 1, 0, 3 }, { 1, 0, 8 }, { 1, 2, 8 }, { 1, 1, 5 },
		{ 2, 0, 1 }, { 2, 0, 2 }, { 2, 9, 2 }, { 3, 1, 0 }, { 4, 0, 2 }, { 5, 0, 8 },
		{ 6, 0, 0 }, { 255, 255, 255 } };
	uint8_t ones[256], config[6];

	memset(ones, 0xff, sizeof(ones));
	kit_start(k, "--backend=null", "--mac=" MAC_TEXT, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++)
		assert_int_equal(
			command(k, CONTROL, wrong[i].class, wrong[i].cmd, ones, wrong[i].n), ERR);
	for (uint8_t mode = 0; mode < 6; mode++) {
		assert_int_equal(set_mode(k, mode, 1), OK);
		assert_int_equal(set_mode(k, mode, 0), OK);
		assert_int_equal(set_mode(k, mode, 2), ERR);
	}
	assert_int_equal(set_table(k, 2), OK);
	assert_int_equal(set_table(k, 70), OK);
	assert_int_equal(set_vlan(k, 0, 4095), OK);
	assert_int_equal(set_vlan(k, 1, 4096), ERR);
	assert_int_equal(command(k, CONTROL, VIRTIO_NET_CTRL_ANNOUNCE, 0, NULL, 0), OK);
	assert_int_equal(command(k, CONTROL, VIRTIO_NET_CTRL_MAC, 1, mac, 6), OK);
	kit_config_read(k, 0, config, 6);
	assert_true(memcmp(config, mac, 6) == 0 || kit_has_kills(k));
	kit_reset(k);
	kit_config_read(k, 0, config, 6);
	assert_memory_equal(config, "\x52\x54\0\0\0\1", 6);
}

static void test_malformed(struct kit *k)
{
	kit_start(k, "--backend=null", NULL);
	kit_send(k, CONTROL, "", 1, 1);
	kit_wait_broken(k, "shorter than 2 bytes");
}

static void test_no_result(struct kit *k)
{
	kit_start(k, "--backend=null", NULL);
	kit_send(k, CONTROL, "\0\0\0", 3, 0);
	kit_wait_broken(k, "no room for its result");
}

/* Returns whether a frame to this address, in this VLAN (0: none), gets to the guest. */
static bool passes(struct kit *k, struct net_peer *p, const char *to, uint16_t vlan)
{
	uint8_t frame[LEN], end[LEN];
	struct kit_request *r[2];
	bool passed, sent = false;

	make_frame(frame, LEN, 1);
	memcpy(frame, to, 6);
	if (vlan)
		memcpy(frame + 12, (uint8_t[]){ 0x81, 0, (uint8_t)(vlan >> 8), (uint8_t)vlan }, 4);
	memset(end, 0xff, LEN);
	r[0] = give_buffer(k, LEN);
	assert_true(peer_send(p, frame, LEN));
	WAIT_UNTIL(peer_gives(k, p, r[0], end, LEN, &sent));
	passed = memcmp(r[0]->in + HEADER, end, LEN) != 0;
	if (!passed)
		return false;
	check_received(k, &r[0], 1, frame, LEN);
	r[1] = give_buffer(k, LEN);
	check_received(k, &r[1], 1, end, LEN);
	return true;
}

static void test_filter(struct kit *k)
{
	static const char own[] = "\x52\x54\0\0\0\1", listed[] = "\x52\x54\0\0\1\1",
			  other[] = "\x52\x54\0\0\1\x50", group[] = "\x01\0\x5e\0\0\1",
			  other_group[] = "\x01\0\x5e\0\0\2", all[] = "\xff\xff\xff\xff\xff\xff";
	struct net_peer *p = peer_new(k, "peer");
	g_autofree char *option = g_strconcat("--stream=unix:", kit_path(k, "peer"), NULL);

	kit_start(k, option, "--mac=" MAC_TEXT, NULL);
	WAIT_UNTIL(peer_accept(p));
	/* Until the driver says something, all pass. */
	assert_true(passes(k, p, other, 0) && passes(k, p, own, 5));
	assert_int_equal(set_mode(k, VIRTIO_NET_CTRL_RX_PROMISC, 0), OK);
	assert_true(passes(k, p, own, 0) && passes(k, p, all, 0));
	assert_false(passes(k, p, other, 0) || passes(k, p, group, 0) || passes(k, p, own, 5));
	assert_int_equal(counter(k, "rx_filtered"), 3);
	assert_int_equal(set_table(k, 2), OK);
	assert_true(passes(k, p, listed, 0) && passes(k, p, group, 0));
	assert_false(passes(k, p, other, 0) || passes(k, p, other_group, 0));
	assert_int_equal(set_table(k, 70), OK);
	assert_true(passes(k, p, other, 0));
	assert_int_equal(set_table(k, 0), OK);
	assert_int_equal(set_mode(k, VIRTIO_NET_CTRL_RX_ALLMULTI, 1), OK);
	assert_true(passes(k, p, other_group, 0) && !passes(k, p, other, 0));
	assert_int_equal(set_mode(k, VIRTIO_NET_CTRL_RX_ALLUNI, 1), OK);
	assert_true(passes(k, p, other, 0));
	assert_int_equal(set_mode(k, VIRTIO_NET_CTRL_RX_NOMULTI, 1), OK);
	assert_false(passes(k, p, other_group, 0));
	assert_int_equal(set_vlan(k, VIRTIO_NET_CTRL_VLAN_ADD, 5), OK);
	assert_true(passes(k, p, own, 5) && !passes(k, p, own, 6));
	assert_int_equal(set_vlan(k, VIRTIO_NET_CTRL_VLAN_DEL, 5), OK);
	assert_false(passes(k, p, own, 5));
	assert_int_equal(set_mode(k, VIRTIO_NET_CTRL_RX_PROMISC, 1), OK);
	assert_true(passes(k, p, own, 5) && passes(k, p, other_group, 0));
	peer_free(p);
}

/* However much comes that the driver does not take, its commands have their turn. */
static void test_unwanted(struct kit *k)
{
	struct kit_request *r;

	kit_start(k, "--backend=null", "--generate=100", NULL);
	assert_int_equal(set_mode(k, VIRTIO_NET_CTRL_RX_PROMISC, 0), OK);
	assert_int_equal(set_mode(k, VIRTIO_NET_CTRL_RX_NOBCAST, 1), OK);
	r = give_buffer(k, 100);
	WAIT_UNTIL(kit_is_done(k, r) || counter(k, "rx_filtered") > 5000);
	assert_int_equal(counter(k, "rx_frames"), 0);
	assert_int_equal(set_mode(k, VIRTIO_NET_CTRL_RX_NOBCAST, 0), OK);
	assert_int_equal(kit_wait(k, r), HEADER + 100);
}

static void test_link(struct kit *k)
{
	uint8_t frame[LEN];

	make_frame(frame, LEN, 1);
	kit_start(k, "--backend=null", NULL);
	assert_int_equal(config_status(k), VIRTIO_NET_S_LINK_UP);
	assert_non_null(strstr(kit_call(k, "link", "\"state\":\"down\""), "\"up\":false"));
	kit_wait_config(k, 1);
	assert_int_equal(config_status(k), 0);
	kit_wait(k, send_frame(k, NULL, frame, LEN));
	assert_int_equal(counter(k, "tx_dropped"), 1);
	assert_non_null(strstr(kit_call(k, "link", ""), "\"set\":\"down\""));
	assert_non_null(strstr(kit_call(k, "link", "\"state\":\"away\""), "'away' (up or down)"));
	assert_non_null(strstr(kit_call(k, "link", "\"state\":\"up\""), "\"up\":true"));
	kit_wait_config(k, 2);
	assert_true(config_status(k) & VIRTIO_NET_S_LINK_UP);
	kit_wait(k, send_frame(k, NULL, frame, LEN));
	assert_int_equal(counter(k, "tx_dropped"), 1);
}

static void test_announce(struct kit *k)
{
	static const uint8_t mac[] = { 0x52, 0x54, 0, 1, 2, 3 };
	struct net_peer *p = peer_new(k, "peer");
	g_autofree char *option = g_strconcat("--stream=unix:", kit_path(k, "peer"), NULL);
	uint8_t frame[NET_ANNOUNCEMENT];

	net_announcement(mac, frame);
	kit_start(k, option, NULL);
	WAIT_UNTIL(peer_accept(p));
	assert_true(kit_announce(k, mac));
	WAIT_UNTIL(peer_has(k, p, NULL, frame, sizeof(frame)));
	peer_free(p);
}

static void test_mtu(struct kit *k)
{
	struct virtio_net_config config;

	kit_start(k, "--backend=null", "--mtu=9000", NULL);
	kit_config_read(k, 0, &config, offsetof(struct virtio_net_config, speed));
	assert_int_equal(le16toh(config.mtu), 9000);
	assert_false(kit_mtu(k, 67));
	assert_true(kit_mtu(k, 1400));
	kit_config_read(k, 0, &config, offsetof(struct virtio_net_config, speed));
	assert_int_equal(le16toh(config.mtu), 1400);
}

/* Two pairs: frames come in the second one once the driver wants that. */
static void test_pairs(struct kit *k)
{
	const uint16_t pairs[] = { htole16(2), htole16(1), 0, htole16(3) };
	const unsigned control = 4;
	struct virtio_net_config config;
	struct kit_request *r;
	uint8_t frame[LEN];

	make_frame(frame, LEN, 1);
	kit_start(k, "--backend=null", "--queue-pairs=2", "--generate=100", NULL);
	kit_config_read(k, 0, &config, offsetof(struct virtio_net_config, speed));
	assert_int_equal(le16toh(config.max_virtqueue_pairs), 2);
	for (unsigned i = 0; i < G_N_ELEMENTS(pairs); i++)
		assert_int_equal(command(k, control, VIRTIO_NET_CTRL_MQ,
					 VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs[i], 2),
			i < 2 ? OK : ERR);
	for (unsigned pair = 0; pair < 2; pair++) {
		assert_int_equal(kit_wait(k, kit_send(k, 2 * pair + 1, frame, LEN, 0)), 0);
		r = kit_send(k, 2 * pair, NULL, 0, HEADER + 200);
		assert_int_equal(kit_wait(k, r), HEADER + 100);
	}
}

static void test_pcap(struct kit *k)
{
	const char *path = kit_path(k, "frames.pcap");
	g_autofree char *option = g_strconcat("--pcap=", path, NULL);
	uint8_t frame[LEN];
	GStatBuf st;

	make_frame(frame, LEN, 1);
	kit_start(k, "--backend=null", option, NULL);
	kit_wait(k, send_frame(k, NULL, frame, LEN));
	kit_wait(k, send_frame(k, NULL, frame, LEN));
	WAIT_UNTIL(g_stat(path, &st) == 0 && st.st_size == 24 + 2 * (16 + LEN));
	assert_int_equal(counter(k, "pcap_dropped"), 0);
}

static void test_options(struct kit *k)
{
	char option[32];

	kit_start_fails(k, "is missing", NULL);
	kit_start_fails(k, "there is one other end", "--backend=null", "--tap=x", NULL);
	kit_start_fails(k, "--backend: the only one is null", "--backend=nul", NULL);
	kit_start_fails(k, "--stream: unix:PATH", "--stream=/a", NULL);
	kit_start_fails(k, "--stream has one", "--stream=unix:/a", "--queue-pairs=2", NULL);
	kit_start_fails(k, "invalid --mac=x", "--backend=null", "--mac=x", NULL);
	kit_start_fails(k, "invalid --mac=", "--backend=null", "--mac=01:00:00:00:00:01", NULL);
	kit_start_fails(k, "1 files for 2 pairs", "--tap-fd=0", "--queue-pairs=2", NULL);
	g_snprintf(option, sizeof(option), "--tap-fd=%d", dup(0));
	kit_start_fails(k, "is no tap", option, NULL);
	kit_start_fails(k, "numbers of open files", "--tap-fd=0,a", NULL);
	kit_start_fails(k, "cannot write to '/no/'", "--backend=null", "--pcap=/no/", NULL);
	kit_start_fails(k, "/no/folder", "--vhost-pair=unix:/no/folder", NULL);
}

static const struct kit_test tests[] = {
	{ "commands", test_commands },
	{ "malformed command", test_malformed, .skip = KIT_NO_KILL },
	{ "no room for a result", test_no_result, .skip = KIT_NO_KILL },
	{ "filter", test_filter, .skip = KIT_NO_KILL },
	{ "unwanted", test_unwanted, .skip = KIT_NO_KILL },
	{ "link", test_link, .skip = KIT_NO_KILL },
	{ "announcement", test_announce, .skip = KIT_NO_KILL },
	{ "mtu", test_mtu, .skip = KIT_NO_KILL },
	{ "pairs", test_pairs },
	{ "pcap", test_pcap, .skip = KIT_NO_KILL },
	{ "options", test_options,
		.skip = KIT_NO_KILL | KIT_NO_PAUSE | KIT_NO_HOSTILE | KIT_NO_PROCESS },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
