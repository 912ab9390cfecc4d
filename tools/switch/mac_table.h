/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Behind which port an address is, by VLAN: learned from frames, and forgotten in time. The table
 * is of a fixed size, in sets of eight entries; a key that no frame shows chooses the set of an
 * address. Of a full set the entry that has not been seen for longest makes room, if its port has
 * more entries than the one that learns: a port that invents addresses displaces none of a port
 * that has few.
 *
 * Pure: who calls tells the time, in seconds that do not go back. Ports are numbers.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "net/ethernet.h"

#define MAC_TABLE_WAYS 8
#define MAC_TABLE_MAX (1u << 20)

struct mac_table;

/* entries: rounded up to a power of two, and to one set; ports: each is a number below this. */
struct mac_table *mac_table_new(unsigned entries, unsigned ports, uint32_t ageing_s, uint64_t key);
void mac_table_free(struct mac_table *t);

enum mac_learned {
	MAC_LEARNED_NOTHING, /* it was known to be there */
	MAC_LEARNED_NEW,
	MAC_LEARNED_MOVE, /* it was behind another port */
	MAC_LEARNED_REFUSED, /* there is no room */
};
enum mac_learned mac_table_learn(struct mac_table *t, unsigned vlan,
	const uint8_t mac[NET_MAC_SIZE], unsigned port, uint32_t now);
/* Returns the port, or -1: not known. */
int mac_table_find(
	const struct mac_table *t, unsigned vlan, const uint8_t mac[NET_MAC_SIZE], uint32_t now);
/* Forgets all addresses of a port: it has left. */
void mac_table_forget(struct mac_table *t, unsigned port);

struct mac_row {
	uint8_t mac[NET_MAC_SIZE];
	unsigned vlan, port;
	uint32_t age; /* seconds since it was seen */
};
/*
 * Finds the next address that is known, from place *at on, which is 0 at first. False: there are no
 * more.
 */
bool mac_table_next(const struct mac_table *t, unsigned *at, uint32_t now, struct mac_row *row);
