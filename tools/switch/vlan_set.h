/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of VLANs (802.1Q: 1 to 4094). Pure functions. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/ethernet.h"

#define VLAN_MIN 1
#define VLAN_MAX 4094

struct vlan_set {
	uint64_t bits[NET_VLANS / 64];
};

static inline bool vlan_set_has(const struct vlan_set *s, unsigned vlan)
{
	return s->bits[vlan / 64] >> vlan % 64 & 1;
}

static inline void vlan_set_add(struct vlan_set *s, unsigned vlan)
{
	s->bits[vlan / 64] |= UINT64_C(1) << vlan % 64;
}

bool vlan_set_is_empty(const struct vlan_set *s);
/* Parses "10:20:30-39". On error s is undefined, and the error says "what is right". */
bool vlan_set_parse(struct vlan_set *s, const char *text, GError **error);
/* Returns the same as text; the caller frees. */
char *vlan_set_print(const struct vlan_set *s);
