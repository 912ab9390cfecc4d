/* SPDX-License-Identifier: Apache-2.0 */
/* See report.h. */
#include "tools/switch/report.h"

#include "base/util.h"
#include "tools/switch/port.h"

/* Calls for each port that is up, and each of --port that is down. */
static void for_each(
	const struct switcher *sw, void (*call)(const struct port *p, void *opaque), void *opaque)
{
	for (unsigned i = 0; i < sw->bridge.max; i++) {
		struct bridge_member *m = sw->bridge.members[i];

		if (m)
			call(container_of(m, struct port, member), opaque);
	}
	for (unsigned i = 0; i < sw->ports->len; i++) {
		const struct port *p = sw->ports->pdata[i];

		if (p->fd < 0)
			call(p, opaque);
	}
}

static void log_port(const struct port *p, void *opaque)
{
	const struct bridge_stats *s = &p->member.stats;
	g_autoptr(GString) drops = g_string_new(NULL);

	for (unsigned i = 0; i < BRIDGE_DROPS; i++) {
		if (s->drops[i])
			g_string_append_printf(drops, "%s%" G_GUINT64_FORMAT " %s",
				drops->len ? ", " : "; dropped: ", s->drops[i],
				bridge_drop_names[i]);
	}
	log_info(p->name,
		"%s; received: %" G_GUINT64_FORMAT " frames, %" G_GUINT64_FORMAT
		" bytes; sent: %" G_GUINT64_FORMAT " frames, %" G_GUINT64_FORMAT " bytes%s",
		p->fd < 0 ? "down" : "up", s->rx_frames, s->rx_bytes, s->tx_frames, s->tx_bytes,
		drops->str);
}

static unsigned count_macs(const struct switcher *sw)
{
	struct mac_row row;
	unsigned at = 0, n = 0;
	uint32_t now = switcher_now();

	while (mac_table_next(sw->bridge.macs, &at, now, &row))
		n++;
	return n;
}

void report_log(const struct switcher *sw)
{
	log_info(NULL,
		"%u ports are up, %u addresses are known; %" G_GUINT64_FORMAT
		" moves, %" G_GUINT64_FORMAT " not learned",
		sw->bridge.n, count_macs(sw), sw->bridge.moves, sw->bridge.refused);
	for_each(sw, log_port, NULL);
}

static void write_stats(struct json *j, const struct bridge_stats *s)
{
	json_uint(j, "rx_frames", s->rx_frames);
	json_uint(j, "rx_bytes", s->rx_bytes);
	json_uint(j, "tx_frames", s->tx_frames);
	json_uint(j, "tx_bytes", s->tx_bytes);
	json_open_object(j, "drops");
	for (unsigned i = 0; i < BRIDGE_DROPS; i++)
		json_uint(j, bridge_drop_names[i], s->drops[i]);
	json_close_object(j);
}

static void write_port(const struct port *p, void *opaque)
{
	g_autofree char *trunk = vlan_set_print(&p->member.tagged);
	struct json *j = opaque;

	json_open_object(j, NULL);
	json_string(j, "name", p->name);
	json_bool(j, "up", p->fd >= 0);
	json_string(j, "kind", p->is_tap ? "tap" : "stream");
	json_uint(j, "vlan", p->member.native);
	json_string(j, "trunk", trunk);
	json_bool(j, "isolated", p->member.isolated);
	write_stats(j, &p->member.stats);
	if (p->settings->pcap)
		json_uint(j, "pcap_lost", net_pcap_dropped(p->settings->pcap));
	json_close_object(j);
}

void report_ports(const struct switcher *sw, struct json *j)
{
	json_open_array(j, "ports");
	for_each(sw, write_port, j);
	json_close_array(j);
}

static const char *name_of(const struct switcher *sw, unsigned number)
{
	return container_of(sw->bridge.members[number], struct port, member)->name;
}

void report_macs(const struct switcher *sw, const char *port, struct json *j)
{
	struct mac_row row;
	unsigned at = 0;
	uint32_t now = switcher_now();

	json_open_array(j, "macs");
	while (mac_table_next(sw->bridge.macs, &at, now, &row)) {
		char text[NET_MAC_TEXT];

		if (port && g_strcmp0(port, name_of(sw, row.port)) != 0)
			continue;
		net_mac_print(row.mac, text);
		json_open_object(j, NULL);
		json_string(j, "mac", text);
		json_uint(j, "vlan", row.vlan);
		json_string(j, "port", name_of(sw, row.port));
		json_uint(j, "age", row.age);
		json_close_object(j);
	}
	json_close_array(j);
}

static void add(const struct port *p, void *opaque)
{
	const struct bridge_stats *s = &p->member.stats;
	struct bridge_stats *sum = opaque;

	sum->rx_frames += s->rx_frames;
	sum->rx_bytes += s->rx_bytes;
	sum->tx_frames += s->tx_frames;
	sum->tx_bytes += s->tx_bytes;
	for (unsigned i = 0; i < BRIDGE_DROPS; i++)
		sum->drops[i] += s->drops[i];
}

void report_stats(const struct switcher *sw, struct json *j)
{
	struct bridge_stats sum = { 0 };

	for_each(sw, add, &sum);
	json_uint(j, "ports", sw->bridge.n);
	json_uint(j, "macs", count_macs(sw));
	json_uint(j, "moves", sw->bridge.moves);
	json_uint(j, "not_learned", sw->bridge.refused);
	write_stats(j, &sum);
}
