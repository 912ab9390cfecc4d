/* SPDX-License-Identifier: Apache-2.0 */
/* See bridge.h. A tag is classified once; each frame has at most one form with another tag. */
#include "tools/switch/bridge.h"

#include <endian.h>
#include <glib.h>
#include <linux/if_ether.h>
#include <string.h>

#define AT_SOURCE NET_MAC_SIZE
#define AT_TYPE (2 * NET_MAC_SIZE)
#define AT_TCI NET_MIN_FRAME
#define AT_INNER_TYPE (AT_TYPE + NET_VLAN_TAG)
#define VLAN_BITS (NET_VLANS - 1)

#define SCRATCH_SIZE (128u << 10)
/* A shorter frame with another tag is copied whole: copying costs less than one more piece. */
#define COPY_MAX 256
#define SCRATCH_FRAME (NET_STREAM_HEAD + COPY_MAX + NET_VLAN_TAG)

const char *const bridge_drop_names[BRIDGE_DROPS] = {
	[BRIDGE_DROP_SHORT] = "short",
	[BRIDGE_DROP_LONG] = "long",
	[BRIDGE_DROP_RESERVED] = "reserved",
	[BRIDGE_DROP_VLAN] = "vlan",
	[BRIDGE_DROP_ISOLATED] = "isolated",
	[BRIDGE_DROP_NESTED] = "nested",
	[BRIDGE_DROP_FULL] = "full",
	[BRIDGE_DROP_FAILED] = "failed",
};

/* A frame on its way. */
struct passage {
	struct bridge_member *from;
	uint8_t *frame;
	uint32_t len;
	unsigned vlan;
	bool tagged; /* with the VLAN */
	bool nested; /* another tag follows that one */
	struct bridge_frame as_it_is, other; /* other.n 0: not made yet */
};

void bridge_init(struct bridge *b, bridge_send *send, unsigned max, unsigned macs,
	uint32_t ageing_s, uint64_t key)
{
	*b = (struct bridge){
		.send = send,
		.max = MIN(max, BRIDGE_MAX_MEMBERS),
		.macs = mac_table_new(macs, BRIDGE_MAX_MEMBERS, ageing_s, key),
		.scratch = g_malloc(SCRATCH_SIZE),
	};
}

void bridge_clear(struct bridge *b)
{
	g_clear_pointer(&b->macs, mac_table_free);
	g_clear_pointer(&b->scratch, g_free);
}

bool bridge_add(struct bridge *b, struct bridge_member *m)
{
	unsigned number = 0;

	if (b->n == b->max)
		return false;
	while (b->members[number])
		number++;
	b->members[number] = m;
	m->number = number;
	m->trunk = !vlan_set_is_empty(&m->tagged);
	m->place = b->n;
	b->list[b->n++] = m;
	return true;
}

void bridge_remove(struct bridge *b, struct bridge_member *m)
{
	mac_table_forget(b->macs, m->number);
	b->members[m->number] = NULL;
	b->list[m->place] = b->list[--b->n];
	b->list[m->place]->place = m->place;
}

bool bridge_has_room(const struct bridge *b)
{
	return SCRATCH_SIZE - b->used >= SCRATCH_FRAME;
}

void bridge_release(struct bridge *b)
{
	b->used = 0;
}

static uint16_t get16(const uint8_t *from)
{
	return (uint16_t)(from[0] << 8 | from[1]);
}

static void put16(uint8_t *to, uint16_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static void drop(struct bridge_member *m, enum bridge_drop why)
{
	m->stats.drops[why]++;
}

/*
 * Finds the VLAN. A tag of VLAN 0, which says a priority and no VLAN, becomes one of the native
 * VLAN. Returns false if the frame is dropped.
 */
static bool classify(struct passage *p)
{
	struct bridge_member *from = p->from;
	unsigned vlan;

	p->vlan = from->native;
	if (get16(p->frame + AT_TYPE) == ETH_P_8021Q) {
		if (p->len < NET_MIN_FRAME + NET_VLAN_TAG) {
			drop(from, BRIDGE_DROP_SHORT);
			return false;
		}
		vlan = get16(p->frame + AT_TCI) & VLAN_BITS;
		p->tagged = true;
		p->nested = get16(p->frame + AT_INNER_TYPE) == ETH_P_8021Q;
		if (!vlan)
			put16(p->frame + AT_TCI, get16(p->frame + AT_TCI) | p->vlan);
		else if (from->trunk && (vlan == from->native || vlan_set_has(&from->tagged, vlan)))
			p->vlan = vlan;
		else
			p->vlan = 0;
	}
	if (!p->vlan)
		drop(from, BRIDGE_DROP_VLAN);
	return p->vlan;
}

/* Makes the form without the tag, or with one. */
static void make_other(struct bridge *b, struct passage *p)
{
	uint32_t len = p->tagged ? p->len - NET_VLAN_TAG : p->len + NET_VLAN_TAG;
	uint32_t rest_at = p->tagged ? AT_INNER_TYPE : AT_TYPE, rest = p->len - rest_at;
	uint8_t *to = b->scratch + b->used;
	uint32_t head = htobe32(len), made = NET_STREAM_HEAD + len - rest;

	memcpy(to, &head, sizeof(head));
	memcpy(to + NET_STREAM_HEAD, p->frame, AT_TYPE);
	if (!p->tagged) {
		put16(to + NET_STREAM_HEAD + AT_TYPE, ETH_P_8021Q);
		put16(to + NET_STREAM_HEAD + AT_TCI, p->vlan);
	}
	p->other = (struct bridge_frame){ .n = 1, .len = len };
	if (len <= COPY_MAX) {
		memcpy(to + made, p->frame + rest_at, rest);
		made += rest;
	} else {
		p->other.iov[p->other.n++] = (struct iovec){ p->frame + rest_at, rest };
	}
	p->other.iov[0] = (struct iovec){ to, made };
	b->used += made;
}

/* Returns the form of the frame that a member gets, or NULL, with the reason. */
static const struct bridge_frame *form_for(
	struct bridge *b, struct passage *p, const struct bridge_member *to, enum bridge_drop *why)
{
	bool with_tag = p->vlan != to->native;

	if (!with_tag && p->nested) {
		*why = BRIDGE_DROP_NESTED;
		return NULL;
	}
	if (with_tag == p->tagged)
		return &p->as_it_is;
	if (with_tag && p->len > NET_MAX_FRAME - NET_VLAN_TAG) {
		*why = BRIDGE_DROP_LONG;
		return NULL;
	}
	if (!p->other.n)
		make_other(b, p);
	return &p->other;
}

static bool is_in(const struct bridge_member *m, unsigned vlan)
{
	return m->native == vlan || vlan_set_has(&m->tagged, vlan);
}

static void deliver(struct bridge *b, struct passage *p, struct bridge_member *to)
{
	enum bridge_drop why;
	const struct bridge_frame *f = form_for(b, p, to, &why);

	if (f)
		b->send(to, p->from, f);
	else
		drop(to, why);
}

static void flood(struct bridge *b, struct passage *p)
{
	for (unsigned i = 0; i < b->n; i++) {
		struct bridge_member *to = b->list[i];

		if (to != p->from && !(to->isolated && p->from->isolated) && is_in(to, p->vlan))
			deliver(b, p, to);
	}
}

/*
 * Tells whether the destination is of those that no bridge forwards (802.1Q, table 8-1). The first
 * of them, of the spanning tree, passes, as this switch knows none: so others find loops.
 */
static bool is_reserved(const uint8_t *mac)
{
	return memcmp(mac, "\x01\x80\xc2\0\0", 5) == 0 && mac[5] >= 1 && mac[5] <= 0x0f;
}

static void learn(struct bridge *b, const struct passage *p, uint32_t now)
{
	const uint8_t *source = p->frame + AT_SOURCE;

	if (net_mac_is_group(source) || net_mac_is_zero(source))
		return;
	switch (mac_table_learn(b->macs, p->vlan, source, p->from->number, now)) {
	case MAC_LEARNED_MOVE:
		b->moves++;
		break;
	case MAC_LEARNED_REFUSED:
		b->refused++;
		break;
	case MAC_LEARNED_NEW:
	case MAC_LEARNED_NOTHING:
		break;
	}
}

void bridge_input(
	struct bridge *b, struct bridge_member *from, uint8_t *frame, uint32_t len, uint32_t now)
{
	struct passage p = { .from = from, .frame = frame, .len = len };
	int number = -1;

	from->stats.rx_frames++;
	from->stats.rx_bytes += len;
	if (len < NET_MIN_FRAME) {
		drop(from, BRIDGE_DROP_SHORT);
		return;
	}
	if (is_reserved(frame)) {
		drop(from, BRIDGE_DROP_RESERVED);
		return;
	}
	if (!classify(&p))
		return;
	p.as_it_is = (struct bridge_frame){
		.iov = { { frame - NET_STREAM_HEAD, NET_STREAM_HEAD + len } },
		.n = 1,
		.len = len,
	};
	learn(b, &p, now);
	if (!net_mac_is_group(frame))
		number = mac_table_find(b->macs, p.vlan, frame, now);
	if (number < 0)
		flood(b, &p);
	else if (b->members[number]->isolated && from->isolated && b->members[number] != from)
		drop(from, BRIDGE_DROP_ISOLATED);
	else if (b->members[number] != from)
		deliver(b, &p, b->members[number]);
}
