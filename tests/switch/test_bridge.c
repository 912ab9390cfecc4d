/* SPDX-License-Identifier: Apache-2.0 */
/* The forwarding: who gets a frame. */
#include "tests/switch/bridge_world.h"

static void test_learning(void **state)
{
	struct bridge_world *w = *state;

	add(w, 4);
	send_plain(w, 0, 2, 1);
	expect(0xe); /* unknown */
	send_plain(w, 1, 1, 2);
	expect(0x1);
	send_plain(w, 0, 2, 1);
	expect(0x2);
	send_plain(w, 0, -1, 1);
	expect(0xe);
	send_plain(w, 0, 1, 1); /* to itself */
	expect(0);
	assert_int_equal(w->members[0].stats.rx_frames, 4);
	assert_int_equal(w->members[0].stats.rx_bytes, 400);
}

static void test_ageing(void **state)
{
	struct bridge_world *w = *state;

	add(w, 3);
	send_plain(w, 0, -1, 1);
	w->now = AGEING;
	send_plain(w, 1, 1, 2);
	expect(0x1);
	w->now++;
	send_plain(w, 1, 1, 2);
	expect(0x5);
}

static void test_move(void **state)
{
	struct bridge_world *w = *state;

	add(w, 3);
	send_plain(w, 0, -1, 1);
	send_plain(w, 2, -1, 1);
	send_plain(w, 1, 1, 2);
	expect(0x4);
	assert_int_equal(w->bridge.moves, 1);
}

static void test_leaving(void **state)
{
	struct bridge_world *w = *state;

	add(w, 4);
	send_plain(w, 1, -1, 1);
	bridge_remove(&w->bridge, &w->members[1]);
	send_plain(w, 0, 1, 2);
	expect(0xc);
	assert_true(bridge_add(&w->bridge, &w->members[1]));
	assert_int_equal(w->members[1].number, 1);
	send_plain(w, 0, 1, 2);
	expect(0xe);
}

static void test_sources_that_are_none(void **state)
{
	struct bridge_world *w = *state;
	uint8_t *source = w->frame + NET_STREAM_HEAD + NET_MAC_SIZE;

	add(w, 3);
	send_plain(w, 0, -1, -1);
	expect(0x6);
	send_plain(w, 1, -1, 2);
	memset(source, 0, NET_MAC_SIZE);
	input(w, 0, 60);
	send_plain(w, 1, -1, 2);
	assert_int_equal(mac_table_find(w->bridge.macs, 1, (uint8_t[6]){ 0 }, 0), -1);
	assert_int_equal(mac_table_find(w->bridge.macs, 1,
				 (uint8_t[6]){ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, 0),
		-1);
}

static void test_reserved(void **state)
{
	struct bridge_world *w = *state;
	uint8_t *to = w->frame + NET_STREAM_HEAD;

	add(w, 3);
	for (unsigned i = 0; i < 0x20; i++) {
		send_plain(w, 0, -1, 1);
		memcpy(to, (uint8_t[]){ 1, 0x80, 0xc2, 0, 0, i }, NET_MAC_SIZE);
		input(w, 0, 60);
		expect(i == 0 || i > 0xf ? 0x6 : 0);
	}
	assert_int_equal(drops(w, 0, BRIDGE_DROP_RESERVED), 15);
}

static void test_isolated(void **state)
{
	struct bridge_world *w = *state;

	w->members[0].isolated = w->members[1].isolated = true;
	add(w, 3);
	send_plain(w, 0, -1, 1);
	expect(0x4);
	send_plain(w, 1, 1, 2);
	expect(0);
	assert_int_equal(drops(w, 1, BRIDGE_DROP_ISOLATED), 1);
	send_plain(w, 2, -1, 3);
	expect(0x3);
	send_plain(w, 2, 1, 3);
	expect(0x1);
	send_plain(w, 0, 3, 1);
	expect(0x4);
	send_plain(w, 0, 1, 1); /* to itself is no drop */
	assert_int_equal(drops(w, 0, BRIDGE_DROP_ISOLATED), 0);
}

static void test_too_many(void **state)
{
	struct bridge_world *w = *state;
	struct bridge_member one_more = { .native = 1 };

	add(w, MEMBERS);
	assert_false(bridge_add(&w->bridge, &one_more));
	bridge_remove(&w->bridge, &w->members[2]);
	assert_true(bridge_add(&w->bridge, &one_more));
	assert_int_equal(one_more.number, 2);
}

/* A flood of invented sources neither grows anything nor hides who was there. */
static void test_many_sources(void **state)
{
	struct bridge_world *w = *state;
	uint8_t *f = w->frame + NET_STREAM_HEAD;

	add(w, 3);
	send_plain(w, 1, -1, 2);
	for (unsigned i = 0; i < 5000; i++) {
		set_mac(f, -1);
		memcpy(f + 6, (uint8_t[]){ 6, 0, 0, 0, i >> 8, i }, NET_MAC_SIZE);
		put16(f + 12, 0x88b5);
		input(w, 0, 60);
		expect(0x6);
	}
	assert_true(w->bridge.refused > 0);
	send_plain(w, 2, 2, 3);
	expect(0x2);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST_WITH(bridge, test_learning),
		TEST_WITH(bridge, test_ageing), TEST_WITH(bridge, test_move),
		TEST_WITH(bridge, test_leaving), TEST_WITH(bridge, test_sources_that_are_none),
		TEST_WITH(bridge, test_reserved), TEST_WITH(bridge, test_isolated),
		TEST_WITH(bridge, test_too_many), TEST_WITH(bridge, test_many_sources) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
