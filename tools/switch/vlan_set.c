/* SPDX-License-Identifier: Apache-2.0 */
/* See vlan_set.h. */
#include "tools/switch/vlan_set.h"

#include "base/number.h"
#include "base/option.h"

bool vlan_set_is_empty(const struct vlan_set *s)
{
	uint64_t any = 0;

	for (unsigned i = 0; i < G_N_ELEMENTS(s->bits); i++)
		any |= s->bits[i];
	return !any;
}

/* Adds "10" or "30-39". */
static bool add_range(struct vlan_set *s, const char *text)
{
	g_auto(GStrv) ends = g_strsplit(text, "-", 2);
	uint64_t first, last;

	if (!ends[0] || !number_parse(ends[0], VLAN_MIN, VLAN_MAX, &first))
		return false;
	last = first;
	if (ends[1] && !number_parse(ends[1], first, VLAN_MAX, &last))
		return false;
	for (unsigned vlan = first; vlan <= last; vlan++)
		vlan_set_add(s, vlan);
	return true;
}

bool vlan_set_parse(struct vlan_set *s, const char *text, GError **error)
{
	g_auto(GStrv) ranges = g_strsplit(text, ":", -1);
	bool ok = *ranges;

	*s = (struct vlan_set){ 0 };
	for (char **r = ranges; ok && *r; r++)
		ok = add_range(s, *r);
	return ok ||
		option_bad(error, "VLANs from %d to %d such as 10:20:30-39", VLAN_MIN, VLAN_MAX);
}

char *vlan_set_print(const struct vlan_set *s)
{
	GString *text = g_string_new(NULL);

	for (unsigned first = 0; first < NET_VLANS; first++) {
		unsigned last = first;

		if (!vlan_set_has(s, first))
			continue;
		while (last + 1 < NET_VLANS && vlan_set_has(s, last + 1))
			last++;
		g_string_append_printf(text, text->len ? ":%u" : "%u", first);
		if (last > first)
			g_string_append_printf(text, "-%u", last);
		first = last;
	}
	return g_string_free(text, FALSE);
}
