/* SPDX-License-Identifier: Apache-2.0 */
/* virtio_shm_map(), over the whole matrix of the kit. */
#include "ask.h"

#define PAGE 4096
#define END (CONTRACT_REGION_PAGES * PAGE)

static struct kit_request *map(struct kit *k, unsigned page, uint64_t at)
{
	return ask_at(k, CONTRACT_MAP, page, at, ROOM);
}

static struct kit_request *unmap(struct kit *k, uint64_t at)
{
	return ask_at(k, CONTRACT_UNMAP, 0, at, ROOM);
}

/* The same file, at two places, for reading and writing. */
static void test_map(struct kit *k)
{
	uint8_t *one, *two;

	kit_start(k, NULL);
	assert_int_equal(result(k, map(k, 2, PAGE)), 0);
	assert_int_equal(result(k, map(k, 2, END - PAGE)), 0);
	one = kit_wait_mapped(k, CONTRACT_REGION, PAGE);
	two = kit_wait_mapped(k, CONTRACT_REGION, END - PAGE);
	assert_int_equal(one[0], 'c');
	one[0] = 'z';
	assert_int_equal(two[0], 'z');
	assert_int_equal(two[PAGE - 1], 'c');
}

static void test_unmap(struct kit *k)
{
	kit_start(k, NULL);
	assert_int_equal(result(k, map(k, 0, 0)), 0);
	assert_int_equal(result(k, map(k, 1, PAGE)), 0);
	assert_int_equal(result(k, unmap(k, 0)), 0);
	kit_wait_unmapped(k, CONTRACT_REGION, 0);
	assert_int_equal(kit_wait_mapped(k, CONTRACT_REGION, PAGE)[0], 'b');
	assert_int_equal(result(k, unmap(k, 0)), -EINVAL);
	assert_int_equal(result(k, map(k, 3, 0)), 0);
	assert_int_equal(kit_wait_mapped(k, CONTRACT_REGION, 0)[0], 'd');
}

static void test_invalid(struct kit *k)
{
	static const uint64_t bad[] = { END, END + PAGE, 1, 1ull << 63, UINT64_MAX - PAGE + 1 };

	kit_start(k, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		assert_int_equal(result(k, map(k, 0, bad[i])), -EINVAL);
		assert_int_equal(result(k, unmap(k, bad[i])), -EINVAL);
	}
	assert_int_equal(result(k, map(k, 0, 0)), 0);
}

static void test_overlap(struct kit *k)
{
	kit_start(k, NULL);
	assert_int_equal(result(k, map(k, 0, 0)), 0);
	assert_int_equal(result(k, map(k, 1, 0)), -EINVAL);
	assert_int_equal(kit_wait_mapped(k, CONTRACT_REGION, 0)[0], 'a');
}

static void test_refused(struct kit *k)
{
	kit_start(k, NULL);
	kit_fail_mappings(k, ENOMEM);
	assert_int_equal(result(k, map(k, 0, 0)), -ENOMEM);
	kit_fail_mappings(k, 0);
	assert_int_equal(result(k, map(k, 0, 0)), 0);
}

static void test_absent(struct kit *k)
{
	kit_without_shm(k);
	kit_start(k, NULL);
	assert_int_equal(result(k, map(k, 0, 0)), -EOPNOTSUPP);
	assert_int_equal(result(k, unmap(k, 0)), -EOPNOTSUPP);
}

/* Requests do not wait for each other, and are carried out in their order. */
static void test_queue(struct kit *k)
{
	const struct contract_request requests[] = {
		{ CONTRACT_MAP, 0, 0 },
		{ CONTRACT_UNMAP, 0, 0 },
		{ CONTRACT_MAP, 1, 0 },
		{ CONTRACT_MAP, 2, 0 },
		{ CONTRACT_MAP, 2, PAGE },
	};
	struct kit_request *r[G_N_ELEMENTS(requests)];

	kit_start(k, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++)
		r[i] = kit_add(k, 0, &requests[i], sizeof(requests[i]), ROOM);
	kit_kick(k, 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++)
		assert_int_equal(result(k, r[i]), i == 3 ? -EINVAL : 0);
	assert_int_equal(kit_wait_mapped(k, CONTRACT_REGION, 0)[0], 'b');
	assert_int_equal(kit_wait_mapped(k, CONTRACT_REGION, PAGE)[0], 'c');
}

/* A queue that stops before the answer: done(-ECANCELED), and the request comes again. */
static void test_cancelled(struct kit *k)
{
	struct kit_request *r;
	struct contract_answer a;

	kit_start(k, NULL);
	r = map(k, 4, 0);
	kit_pause(k);
	a = answer(k, r);
	assert_int_equal(a.result, 0);
	if (kit_core(k)) /* elsewhere the answer may have been quicker */
		assert_true(a.retry);
	assert_int_equal(kit_wait_mapped(k, CONTRACT_REGION, 0)[0], 'e');
}

/* Nothing is mapped after a reset, or in the device that follows one that died. */
static void test_dropped(struct kit *k)
{
	void (*const drop[])(struct kit * k) = { kit_reset, kit_restart, kit_leave };

	kit_start(k, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(drop); i++) {
		assert_int_equal(result(k, map(k, i, PAGE)), 0);
		kit_wait_mapped(k, CONTRACT_REGION, PAGE);
		drop[i](k);
		kit_wait_unmapped(k, CONTRACT_REGION, PAGE);
	}
	assert_int_equal(result(k, map(k, 5, PAGE)), 0);
	assert_int_equal(kit_wait_mapped(k, CONTRACT_REGION, PAGE)[0], 'f');
}

/* What is mapped goes with its process (test_dropped): KIT_NO_KILL. */
static const struct kit_test tests[] = {
	{ "map", test_map, .skip = KIT_NO_KILL },
	{ "unmap", test_unmap, .skip = KIT_NO_KILL },
	{ "invalid", test_invalid, .skip = KIT_NO_KILL },
	{ "overlap", test_overlap, .skip = KIT_NO_KILL },
	{ "refused", test_refused },
	{ "absent", test_absent },
	{ "queue", test_queue, .skip = KIT_NO_PAUSE | KIT_NO_KILL },
	{ "cancelled", test_cancelled, .skip = KIT_NO_KILL },
	{ "dropped", test_dropped, .skip = KIT_NO_KILL },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
