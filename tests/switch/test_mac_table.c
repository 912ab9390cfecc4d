/* SPDX-License-Identifier: Apache-2.0 */
/* What is learned, and when it is forgotten. */
#include "tools/switch/mac_table.h"

#include "tests/lib/test.h"

#define AGEING 300
#define PORTS 8
#define KEY UINT64_C(0x0123456789abcdef)

static const uint8_t *mac(unsigned n)
{
	static uint8_t m[NET_MAC_SIZE];

	for (unsigned i = 0; i < 4; i++)
		m[5 - i] = n >> 8 * i;
	m[0] = 2;
	return m;
}

static int setup(void **state)
{
	*state = mac_table_new(64, PORTS, AGEING, KEY);
	return 0;
}

static int teardown(void **state)
{
	mac_table_free(*state);
	return 0;
}

static unsigned count(const struct mac_table *t, uint32_t now, unsigned port)
{
	struct mac_row row;
	unsigned at = 0, n = 0;

	while (mac_table_next(t, &at, now, &row))
		n += row.port == port;
	return n;
}

static void test_learn(void **state)
{
	struct mac_table *t = *state;

	assert_int_equal(mac_table_find(t, 1, mac(1), 0), -1);
	assert_int_equal(mac_table_learn(t, 1, mac(1), 3, 0), MAC_LEARNED_NEW);
	assert_int_equal(mac_table_learn(t, 1, mac(1), 3, 0), MAC_LEARNED_NOTHING);
	assert_int_equal(mac_table_find(t, 1, mac(1), 0), 3);
	assert_int_equal(mac_table_find(t, 1, mac(2), 0), -1);
}

static void test_vlans_are_apart(void **state)
{
	struct mac_table *t = *state;

	mac_table_learn(t, 1, mac(1), 3, 0);
	assert_int_equal(mac_table_find(t, 2, mac(1), 0), -1);
	assert_int_equal(mac_table_learn(t, 2, mac(1), 4, 0), MAC_LEARNED_NEW);
	assert_int_equal(mac_table_find(t, 1, mac(1), 0), 3);
	assert_int_equal(mac_table_find(t, 2, mac(1), 0), 4);
}

static void test_ageing(void **state)
{
	struct mac_table *t = *state;
	uint32_t start = UINT32_MAX - 100; /* the clock may wrap */

	mac_table_learn(t, 1, mac(1), 3, start);
	assert_int_equal(mac_table_find(t, 1, mac(1), start + AGEING), 3);
	assert_int_equal(mac_table_find(t, 1, mac(1), start + AGEING + 1), -1);
	assert_int_equal(count(t, start + AGEING + 1, 3), 0);
	mac_table_learn(t, 1, mac(1), 3, start + 200);
	assert_int_equal(mac_table_find(t, 1, mac(1), start + 200 + AGEING), 3);
	/* Of one that has aged a new place is no move. */
	assert_int_equal(mac_table_learn(t, 1, mac(1), 4, start + 201 + AGEING), MAC_LEARNED_NEW);
}

static void test_move(void **state)
{
	struct mac_table *t = *state;

	mac_table_learn(t, 1, mac(1), 3, 0);
	assert_int_equal(mac_table_learn(t, 1, mac(1), 4, 1), MAC_LEARNED_MOVE);
	assert_int_equal(mac_table_find(t, 1, mac(1), 1), 4);
	assert_int_equal(count(t, 1, 3), 0);
	assert_int_equal(count(t, 1, 4), 1);
}

static void test_forget(void **state)
{
	struct mac_table *t = *state;

	for (unsigned i = 0; i < 8; i++)
		mac_table_learn(t, 1, mac(i), i % 2, 0);
	mac_table_forget(t, 0);
	mac_table_forget(t, 5);
	assert_int_equal(count(t, 0, 0), 0);
	assert_int_equal(count(t, 0, 1), 4);
}

static void test_row(void **state)
{
	struct mac_table *t = *state;
	struct mac_row row;
	unsigned at = 0;

	mac_table_learn(t, 4094, mac(0x12345678), 7, 10);
	assert_true(mac_table_next(t, &at, 15, &row));
	assert_memory_equal(row.mac, mac(0x12345678), NET_MAC_SIZE);
	assert_int_equal(row.vlan, 4094);
	assert_int_equal(row.port, 7);
	assert_int_equal(row.age, 5);
	assert_false(mac_table_next(t, &at, 15, &row));
}

/* A port that invents addresses fills the table, and no more; the last ones are refused. */
static void test_full(void **state)
{
	struct mac_table *t = *state;
	unsigned refused = 0;

	for (unsigned i = 0; i < 10000; i++)
		refused += mac_table_learn(t, 1, mac(i), 2, 0) == MAC_LEARNED_REFUSED;
	assert_int_equal(count(t, 0, 2), 64);
	assert_int_equal(refused, 10000 - 64);
	assert_int_equal(mac_table_find(t, 1, mac(9999), 0), -1);
	/* Those that have aged make room. */
	assert_int_equal(mac_table_learn(t, 1, mac(9999), 2, AGEING + 1), MAC_LEARNED_NEW);
}

/* A port with few addresses is known, whatever one with many does, before or after. */
static void test_few_against_many(void **state)
{
	struct mac_table *t = *state;

	for (unsigned i = 0; i < 10000; i++)
		mac_table_learn(t, 1, mac(i), 2, 1);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(mac_table_learn(t, 1, mac(20000 + i), 3, 0), MAC_LEARNED_NEW);
	for (unsigned i = 30000; i < 40000; i++)
		mac_table_learn(t, 1, mac(i), 2, 2);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(mac_table_find(t, 1, mac(20000 + i), 2), 3);
	assert_int_equal(count(t, 2, 2), 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_learn), TEST(test_vlans_are_apart),
		TEST(test_ageing), TEST(test_move), TEST(test_forget), TEST(test_row),
		TEST(test_full), TEST(test_few_against_many) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
