/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio_device_ops.any_order: without an in-flight area, a split vring publishes in the order of
 * the requests, unless the device says that they do not wait for each other.
 */
#include "ask.h"

static void test_order(struct kit *k)
{
	struct kit_request *held, *echo, *release;
	bool in_order = !CONTRACT_ANY_ORDER && !kit_is_packed(k);

	kit_without_inflight(k);
	kit_start(k, NULL);
	held = ask(k, CONTRACT_HOLD, 0);
	echo = ask(k, CONTRACT_ECHO, 0);
	if (!in_order)
		assert_int_equal(result(k, echo), 0);
	assert_false(kit_is_done(k, held));
	assert_int_equal(kit_is_done(k, echo), !in_order);
	release = ask(k, CONTRACT_RELEASE, 0);
	assert_int_equal(result(k, release), 0);
	assert_int_equal(result(k, held), 0);
	assert_int_equal(held->order < echo->order, in_order);
}

/* With one, in any order. */
static void test_area(struct kit *k)
{
	struct kit_request *held;

	kit_start(k, NULL);
	held = ask(k, CONTRACT_HOLD, 0);
	assert_int_equal(result(k, ask(k, CONTRACT_ECHO, 0)), 0);
	assert_false(kit_is_done(k, held));
	assert_int_equal(result(k, ask(k, CONTRACT_RELEASE, 0)), 0);
	assert_int_equal(result(k, held), 0);
}

/* Without an in-flight area, requests are lost with a process. */
static const struct kit_test tests[] = {
	{ "order", test_order, .skip = KIT_NO_KILL | KIT_NO_PAUSE },
	{ "area", test_area },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
