/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-echo: what it answers, and what it refuses. */
#include "tests/lib/kit.h"

static void test_echo(struct kit *k)
{
	struct kit_request *r;

	kit_start(k, NULL);
	r = kit_send(k, 0, "Hello", 5, 16);
	assert_int_equal(kit_wait(k, r), 5);
	assert_memory_equal(r->in, "Hello", 5);
}

static void test_upper(struct kit *k)
{
	struct kit_request *r;

	kit_start(k, "--upper", NULL);
	r = kit_send(k, 0, "Hello", 5, 4);
	assert_int_equal(kit_wait(k, r), 4);
	assert_memory_equal(r->in, "HELL", 4);
}

static void test_too_long(struct kit *k)
{
	static const char text[4097];

	kit_start(k, NULL);
	kit_send(k, 0, text, sizeof(text), 16);
	kit_wait_broken(k, "4097 bytes");
}

static const struct kit_test tests[] = {
	{ "echo", test_echo },
	{ "upper", test_upper },
	{ "too long", test_too_long },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
