/* SPDX-License-Identifier: Apache-2.0 */
/* Tags: which are accepted, which are added, and frames that are none. */
#include "tests/switch/bridge_world.h"

/*
 * Adds 0, 1: access, VLAN 10; 2: access, 20; 3: trunk 10:20; 4: trunk 20, native 10; 5: trunk 30.
 */
static void add_vlans(struct bridge_world *w)
{
	w->members[0].native = w->members[1].native = w->members[4].native = 10;
	w->members[2].native = 20;
	vlan_set_parse(&w->members[3].tagged, "10:20", NULL);
	vlan_set_parse(&w->members[4].tagged, "20", NULL);
	vlan_set_parse(&w->members[5].tagged, "30", NULL);
	add(w, 6);
}

static void test_vlans_out(void **state)
{
	static const uint32_t lengths[] = { 18, 60, 255, 256, 257, 1500 };
	struct bridge_world *w = *state;

	add_vlans(w);
	for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
		uint32_t len = lengths[i];

		send_tagged(w, 0, -1, 1, -1, -1, len);
		expect(0x1a);
		expect_form(1, -1, 14, len);
		expect_form(3, 10, 14, len);
		expect_form(4, -1, 14, len);
		send_tagged(w, 3, -1, 1, 0xa014, -1, len); /* a priority stays where a tag does */
		expect(0x14);
		expect_form(2, -1, 18, len);
		expect_form(4, 0xa014, 18, len);
		send_tagged(w, 3, -1, 1, 0x600a, -1, len);
		expect(0x13);
		expect_form(0, -1, 18, len);
		expect_form(4, -1, 18, len);
		send_tagged(w, 4, -1, 1, -1, -1, len);
		expect(0xb);
		expect_form(3, 10, 14, len);
	}
}

struct vlan_case {
	unsigned from;
	int tci;
	unsigned to; /* a bit for each; 0: it is dropped */
};

static void test_vlans_in(void **state)
{
	static const struct vlan_case cases[] = {
		{ 0, -1, 0x1a },
		{ 0, 10, 0 }, /* an access port takes no tags, of its own VLAN either */
		{ 0, 20, 0 },
		{ 0, 0, 0x1a }, /* but those that say a priority alone */
		{ 2, 0x6000, 0x18 },
		{ 3, -1, 0 }, /* no native VLAN */
		{ 3, 0x2000, 0 },
		{ 3, 10, 0x13 },
		{ 3, 20, 0x14 },
		{ 3, 30, 0 },
		{ 3, 4095, 0 },
		{ 4, 10, 0xb }, /* its native one, with a tag */
		{ 4, 0, 0xb },
		{ 4, 20, 0xc },
		{ 5, 30, 0x20 }, /* nobody else: see below */
		{ 5, 1, 0 },
	};
	struct bridge_world *w = *state;

	add_vlans(w);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct vlan_case *c = &cases[i];
		uint64_t before = w->members[c->from].stats.drops[BRIDGE_DROP_VLAN];

		send_tagged(w, c->from, -1, 1, c->tci, -1, 60);
		expect(c->to & ~(1u << c->from));
		assert_int_equal(drops(w, c->from, BRIDGE_DROP_VLAN), before + (c->to ? 0 : 1));
	}
}

/* A tag of priority becomes one of the native VLAN where tags are. */
static void test_priority(void **state)
{
	struct bridge_world *w = *state;

	add_vlans(w);
	send_tagged(w, 0, -1, 1, 0xe000, -1, 60);
	expect_form(1, -1, 18, 60);
	expect_form(3, 0xe00a, 18, 60);
}

/* Taking the outer tag off must not make an inner one count. */
static void test_nested(void **state)
{
	struct bridge_world *w = *state;

	add_vlans(w);
	send_tagged(w, 0, -1, 1, 0, 20, 60);
	expect(0x8); /* to the trunk, where the outer one stays */
	assert_int_equal(drops(w, 1, BRIDGE_DROP_NESTED), 1);
	assert_int_equal(drops(w, 4, BRIDGE_DROP_NESTED), 1);
	send_tagged(w, 4, -1, 1, 20, 10, 60);
	expect(0x8);
	assert_int_equal(drops(w, 2, BRIDGE_DROP_NESTED), 1);
}

static void test_learning_by_vlan(void **state)
{
	struct bridge_world *w = *state;

	add_vlans(w);
	send_tagged(w, 3, -1, 1, 10, -1, 60);
	send_tagged(w, 0, 1, 2, -1, -1, 60);
	expect(0x8);
	send_tagged(w, 2, 1, 3, -1, -1, 60);
	expect(0x18); /* not known in VLAN 20 */
}

static void test_hostile_lengths(void **state)
{
	struct bridge_world *w = *state;

	add_vlans(w);
	for (uint32_t len = 0; len < NET_MIN_FRAME; len++) {
		send_tagged(w, 0, -1, 1, -1, -1, 60);
		input(w, 0, len);
		expect(0);
	}
	assert_int_equal(drops(w, 0, BRIDGE_DROP_SHORT), NET_MIN_FRAME);
	for (uint32_t len = NET_MIN_FRAME; len < NET_MIN_FRAME + NET_VLAN_TAG; len++) {
		send_tagged(w, 3, -1, 1, 10, -1, 60);
		input(w, 3, len); /* the tag is at the end, in part */
		expect(0);
	}
	assert_int_equal(drops(w, 3, BRIDGE_DROP_SHORT), NET_VLAN_TAG);
	send_tagged(w, 3, -1, 1, 10, -1, 60);
	input(w, 3, 18); /* nothing but header and tag */
	expect(0x13);
	assert_int_equal(sent_to(0)->len, 14);
	send_tagged(w, 0, -1, 1, -1, -1, NET_MAX_FRAME);
	expect(0x12); /* no room for a tag */
	assert_int_equal(w->members[3].stats.drops[BRIDGE_DROP_LONG], 1);
	send_tagged(w, 0, -1, 1, -1, -1, NET_MAX_FRAME - NET_VLAN_TAG);
	expect(0x1a);
	assert_int_equal(sent_to(3)->len, NET_MAX_FRAME);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST_WITH(bridge, test_vlans_out),
		TEST_WITH(bridge, test_vlans_in), TEST_WITH(bridge, test_priority),
		TEST_WITH(bridge, test_nested), TEST_WITH(bridge, test_learning_by_vlan),
		TEST_WITH(bridge, test_hostile_lengths) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
