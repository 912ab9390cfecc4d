/* SPDX-License-Identifier: Apache-2.0 */
/* See mac_table.h. */
#include "tools/switch/mac_table.h"

#include <glib.h>
#include <string.h>

/* VLAN and address as one number; 0, which is no address with a VLAN, is an empty place. */
#define VLAN_SHIFT 48

struct mac_place {
	uint64_t id;
	uint32_t seen;
	uint32_t port;
};

struct mac_table {
	struct mac_place *places;
	uint32_t *held; /* by port: places with its number */
	unsigned sets; /* a power of two */
	uint32_t ageing;
	uint64_t key;
};

struct mac_table *mac_table_new(unsigned entries, unsigned ports, uint32_t ageing_s, uint64_t key)
{
	struct mac_table *t = g_new0(struct mac_table, 1);

	t->sets = 1;
	while (t->sets * MAC_TABLE_WAYS < MIN(entries, MAC_TABLE_MAX))
		t->sets *= 2;
	t->places = g_new0(struct mac_place, t->sets * MAC_TABLE_WAYS);
	t->held = g_new0(uint32_t, ports);
	t->ageing = ageing_s;
	t->key = key;
	return t;
}

void mac_table_free(struct mac_table *t)
{
	if (!t)
		return;
	g_free(t->places);
	g_free(t->held);
	g_free(t);
}

static uint64_t id_of(unsigned vlan, const uint8_t mac[NET_MAC_SIZE])
{
	uint64_t id = vlan;

	for (unsigned i = 0; i < NET_MAC_SIZE; i++)
		id = id << 8 | mac[i];
	return id;
}

/* Mixes the key in before and between multiplications, so that sets cannot be aimed at. */
static struct mac_place *set_of(const struct mac_table *t, uint64_t id)
{
	uint64_t h = (id ^ t->key) * UINT64_C(0x9e3779b97f4a7c15);

	h = (h ^ h >> 31 ^ (t->key << 32 | t->key >> 32)) * UINT64_C(0xd6e8feb86659fd93);
	return &t->places[((h ^ h >> 32) & (t->sets - 1)) * MAC_TABLE_WAYS];
}

static bool is_old(const struct mac_table *t, const struct mac_place *p, uint32_t now)
{
	return now - p->seen > t->ageing;
}

static struct mac_place *find(const struct mac_table *t, uint64_t id)
{
	struct mac_place *set = set_of(t, id);

	for (unsigned i = 0; i < MAC_TABLE_WAYS; i++) {
		if (set[i].id == id)
			return &set[i];
	}
	return NULL;
}

/* Empties a place. */
static void clear(struct mac_table *t, struct mac_place *p)
{
	if (p->id)
		t->held[p->port]--;
	p->id = 0;
}

/* Returns an empty place for an address of the port, or NULL. */
static struct mac_place *make_room(struct mac_table *t, uint64_t id, unsigned port, uint32_t now)
{
	struct mac_place *set = set_of(t, id), *oldest = NULL;

	for (unsigned i = 0; i < MAC_TABLE_WAYS; i++) {
		struct mac_place *p = &set[i];

		if (p->id && is_old(t, p, now))
			clear(t, p);
		if (!p->id)
			return p;
		if (t->held[p->port] > t->held[port] &&
			(!oldest || now - p->seen > now - oldest->seen))
			oldest = p;
	}
	if (oldest)
		clear(t, oldest);
	return oldest;
}

enum mac_learned mac_table_learn(struct mac_table *t, unsigned vlan,
	const uint8_t mac[NET_MAC_SIZE], unsigned port, uint32_t now)
{
	uint64_t id = id_of(vlan, mac);
	struct mac_place *p = find(t, id);
	bool is_move;

	if (p && p->port == port) {
		/* Most frames: the place is not written to more than once a second. */
		if (p->seen != now)
			p->seen = now;
		return MAC_LEARNED_NOTHING;
	}
	is_move = p && !is_old(t, p, now);
	if (p)
		clear(t, p);
	else
		p = make_room(t, id, port, now);
	if (!p)
		return MAC_LEARNED_REFUSED;
	*p = (struct mac_place){ id, now, port };
	t->held[port]++;
	return is_move ? MAC_LEARNED_MOVE : MAC_LEARNED_NEW;
}

int mac_table_find(
	const struct mac_table *t, unsigned vlan, const uint8_t mac[NET_MAC_SIZE], uint32_t now)
{
	const struct mac_place *p = find(t, id_of(vlan, mac));

	return p && !is_old(t, p, now) ? (int)p->port : -1;
}

void mac_table_forget(struct mac_table *t, unsigned port)
{
	for (unsigned i = 0; t->held[port] && i < t->sets * MAC_TABLE_WAYS; i++) {
		if (t->places[i].id && t->places[i].port == port)
			clear(t, &t->places[i]);
	}
}

bool mac_table_next(const struct mac_table *t, unsigned *at, uint32_t now, struct mac_row *row)
{
	while (*at < t->sets * MAC_TABLE_WAYS) {
		const struct mac_place *p = &t->places[(*at)++];

		if (!p->id || is_old(t, p, now))
			continue;
		row->vlan = p->id >> VLAN_SHIFT;
		row->port = p->port;
		row->age = now - p->seen;
		for (unsigned i = 0; i < NET_MAC_SIZE; i++)
			row->mac[i] = p->id >> 8 * (NET_MAC_SIZE - 1 - i);
		return true;
	}
	return false;
}
