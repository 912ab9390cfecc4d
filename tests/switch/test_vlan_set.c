/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of VLANs: how they are written. */
#include "tools/switch/vlan_set.h"

#include "tests/lib/test.h"

static void test_parse(void **state)
{
	static const char *const texts[][2] = { { "1", "1" }, { "4094:1", "1:4094" },
		{ "10-12", "10-12" }, { "5:3:4", "3-5" }, { "63-64:128", "63-64:128" },
		{ "1-4094", "1-4094" } };

	for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autofree char *text = NULL;
		struct vlan_set s;

		assert_true(vlan_set_parse(&s, texts[i][0], NULL));
		text = vlan_set_print(&s);
		assert_string_equal(text, texts[i][1]);
		assert_false(vlan_set_is_empty(&s));
		assert_false(vlan_set_has(&s, 0) || vlan_set_has(&s, 4095));
	}
}

static void test_refused(void **state)
{
	static const char *const texts[] = { "", "0", "4095", "1:", ":1", "2-1", "1-", "1-2-3", "x",
		"1,2", "-1", "1-4095" };

	for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
		struct vlan_set s;

		assert_false(vlan_set_parse(&s, texts[i], NULL));
	}
}

static void test_empty(void **state)
{
	const struct vlan_set s = { 0 };
	g_autofree char *text = vlan_set_print(&s);

	assert_true(vlan_set_is_empty(&s));
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_parse),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_empty) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
