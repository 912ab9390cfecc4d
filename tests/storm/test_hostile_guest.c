/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest whose driver of one disk writes what it must not, to every field of its vring and every
 * register in turn, while another disk works: the back-ends and the process of the devices live,
 * the other disk keeps its rate and its data, a reset makes the first one work again.
 *
 * The rate is compared with that in intervals in which the first disk's driver does the same and
 * nothing wrong: both take the same CPU time of the machine.
 */
#include "tests/storm/attack.h"

#include <inttypes.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>

#define FEATURE(bit) (UINT64_C(1) << (bit))
#define FEATURES (FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC))
#define LEAST_RATE 0.8
#define INTERVAL 16u /* attacks */
#define MOST_AGAIN 4u /* times more intervals, if the machine does other things meanwhile */
#define SHORT_STEP 11u /* in the short form one of so many attacks; a prime */
#define RING_BYTES 16384u

static const char *program;
static bool is_long;

/* The other disk, its driver and its thread. */
struct witness {
	struct disk *disk;
	GThread *thread;
	uint32_t generation[DISK_BLOCKS];
	unsigned next;
	/* atomic */
	bool stop;
	uint64_t done;
	const char *failure;
};

struct storm {
	struct test test;
	struct disk *hostile;
	struct witness witness;
	uint64_t features;
	unsigned needed_reset; /* so often */
};

/* Returns what block has, as its first and its last word. */
static uint64_t contents(const struct witness *w, uint64_t block)
{
	return block << 32 | w->generation[block];
}

static const char *check(const struct witness *w, unsigned i, uint64_t block)
{
	const struct disk_request *r = &w->disk->request[i];

	if (*r->status != VIRTIO_BLK_S_OK)
		return "a request failed";
	if (r->data[0] != contents(w, block) ||
		r->data[DISK_BLOCK / sizeof(*r->data) - 1] != contents(w, block))
		return "wrong data";
	return NULL;
}

/* Issues all requests at the same time and waits for them. */
static const char *turn(struct witness *w, uint32_t type, uint64_t first, unsigned *seen)
{
	struct disk *k = w->disk;
	unsigned left = DISK_DEPTH;
	void *token;
	uint32_t len;
	int rc = 0;

	for (unsigned i = 0; i < DISK_DEPTH; i++)
		disk_add(k, i, type, first + i);
	driver_ring_publish(k->ring);
	disk_notify(k);
	while (left && rc >= 0) {
		if (!disk_interrupted(k, seen))
			return "no interrupt";
		while ((rc = driver_ring_reap(k->ring, &token, &len)) > 0)
			left--;
	}
	for (unsigned i = 0; rc >= 0 && i < DISK_DEPTH; i++) {
		const char *wrong = check(w, i, first + i);

		if (wrong)
			return wrong;
	}
	__atomic_add_fetch(&w->done, DISK_DEPTH, __ATOMIC_RELAXED);
	return rc < 0 ? "an answer to what was not asked" : NULL;
}

static const char *write_and_read(struct witness *w, unsigned *seen)
{
	uint64_t first = w->next;
	const char *wrong;

	w->next = (w->next + DISK_DEPTH) % (DISK_BLOCKS - DISK_DEPTH);
	for (unsigned i = 0; i < DISK_DEPTH; i++) {
		uint64_t *data = w->disk->request[i].data;

		w->generation[first + i]++;
		data[0] = data[DISK_BLOCK / sizeof(*data) - 1] = contents(w, first + i);
	}
	wrong = turn(w, VIRTIO_BLK_T_OUT, first, seen);
	for (unsigned i = 0; i < DISK_DEPTH; i++)
		memset(w->disk->request[i].data, 0, DISK_BLOCK);
	return wrong ?: turn(w, VIRTIO_BLK_T_IN, first, seen);
}

static gpointer witness_main(gpointer opaque)
{
	struct witness *w = opaque;
	const char *wrong = NULL;
	unsigned seen = 0;

	while (!wrong && !__atomic_load_n(&w->stop, __ATOMIC_RELAXED))
		wrong = write_and_read(w, &seen);
	__atomic_store_n(&w->failure, wrong, __ATOMIC_RELEASE);
	return NULL;
}

static void issue(struct disk *k)
{
	for (unsigned i = 0; i < DISK_DEPTH; i++)
		disk_add(k, i, i % 2 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, i);
	driver_ring_publish(k->ring);
}

static bool reap_all(struct disk *k, unsigned *left)
{
	void *token;
	uint32_t len;

	while (*left && driver_ring_reap(k->ring, &token, &len) > 0)
		(*left)--;
	return *left == 0;
}

static bool needs_reset(struct disk *k)
{
	return disk_read(k, VIRTIO_MMIO_STATUS, 4) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* Works after a reset, when all is well: a few requests, by an honest driver. */
static void work(struct storm *s)
{
	struct disk *k = s->hostile;
	unsigned left = DISK_DEPTH;

	disk_begin(k, s->features);
	disk_queue(k);
	disk_driver_ok(k);
	issue(k);
	disk_notify(k);
	WAIT_UNTIL(reap_all(k, &left));
	for (unsigned i = 0; i < DISK_DEPTH; i++)
		assert_int_equal(*k->request[i].status, VIRTIO_BLK_S_OK);
	assert_false(needs_reset(k));
}

/* Attacks; a: NULL for nothing wrong. */
static void attack(struct storm *s, const struct attack *a, GRand *rand)
{
	struct disk *k = s->hostile;

	disk_begin(k, s->features);
	disk_queue(k);
	if (a && a->on == ATTACK_SETTING)
		attack_register(k, a);
	disk_driver_ok(k);
	issue(k);
	/* Before the device looks, or while it works. */
	if (g_rand_boolean(rand))
		disk_notify(k);
	if (a && a->on == ATTACK_RUNNING)
		attack_register(k, a);
	else if (a && a->on < ATTACK_SETTING)
		attack_memory(k, a);
	disk_notify(k);
	if (a && a->must_break)
		WAIT_UNTIL(needs_reset(k));
	s->needed_reset += needs_reset(k);
}

static double interval(struct storm *s, GArray *attacks, unsigned *next, unsigned step, GRand *rand)
{
	uint64_t done = __atomic_load_n(&s->witness.done, __ATOMIC_RELAXED);
	gint64 begin = g_get_monotonic_time();

	for (unsigned i = 0; i < INTERVAL; i++) {
		const struct attack *a = NULL;

		if (next) {
			a = &g_array_index(attacks, struct attack, *next % attacks->len);
			*next += step;
		}
		attack(s, a, rand);
		work(s);
	}
	done = __atomic_load_n(&s->witness.done, __ATOMIC_RELAXED) - done;
	if (__atomic_load_n(&s->witness.failure, __ATOMIC_ACQUIRE))
		fail_msg("the other disk: %s", s->witness.failure);
	return (double)done / (double)(g_get_monotonic_time() - begin);
}

static int compare(gconstpointer a, gconstpointer b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(GArray *ratios)
{
	g_array_sort(ratios, compare);
	return g_array_index(ratios, double, ratios->len / 2);
}

/* Does all attacks, or in the short form those that differ from run to run. */
static void storm(struct storm *s, bool packed)
{
	g_autoptr(GArray) attacks = attacks_new(packed);
	g_autoptr(GArray) ratios = g_array_new(FALSE, FALSE, sizeof(double));
	unsigned step = is_long ? 1 : SHORT_STEP;
	unsigned seed = (unsigned)g_random_int(), next = seed % attacks->len;
	unsigned intervals = attacks->len / step / INTERVAL + 1;
	g_autoptr(GRand) rand = g_rand_new_with_seed(seed);

	print_message("seed %u\n", seed);
	s->features = FEATURES | (packed ? FEATURE(VIRTIO_F_RING_PACKED) : 0);
	for (unsigned i = 0; i < MOST_AGAIN * intervals; i++) {
		double honest = i % 2 ? interval(s, attacks, NULL, 0, rand) : 0;
		double hostile = interval(s, attacks, &next, step, rand);
		double ratio;

		if (!honest)
			honest = interval(s, attacks, NULL, 0, rand);
		ratio = hostile / honest;
		g_array_append_val(ratios, ratio);
		if (ratios->len >= intervals && median(ratios) >= LEAST_RATE)
			break;
	}
	attack(s, &g_array_index(attacks, struct attack, attacks->len - 1), rand);
	work(s);
	print_message("%u attacks of %u, %u times NEEDS_RESET: the other disk at %.2f of its rate, "
		      "%" PRIu64 " requests\n",
		ratios->len * INTERVAL, attacks->len, s->needed_reset, median(ratios),
		s->witness.done);
	assert_true(s->needed_reset > 0);
	assert_true(median(ratios) >= LEAST_RATE);
}

static void test_split(void **state)
{
	storm(*state, false);
}

static void test_packed(void **state)
{
	storm(*state, true);
}

static int setup(void **state)
{
	struct storm *s = g_new0(struct storm, 1);
	struct witness *w = &s->witness;
	uint64_t rounds = 4 * MOST_AGAIN * 2500ull / (is_long ? 1 : SHORT_STEP);

	test_begin(&s->test);
	s->hostile = disk_new(&s->test, program, "hostile", rounds * RING_BYTES);
	w->disk = disk_new(&s->test, program, "witness", RING_BYTES);
	disk_begin(w->disk, FEATURES);
	disk_queue(w->disk);
	disk_driver_ok(w->disk);
	w->thread = g_thread_new("witness", witness_main, w);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct storm *s = *state;

	__atomic_store_n(&s->witness.stop, true, __ATOMIC_RELAXED);
	g_thread_join(s->witness.thread);
	assert_null(s->witness.failure);
	disk_free(s->witness.disk);
	disk_free(s->hostile);
	test_end(&s->test);
	g_free(s);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = { TEST(test_split), TEST(test_packed) };

	program = argv[1];
	is_long = argc > 2 && g_str_equal(argv[2], "long");
	return cmocka_run_group_tests_name("hostile_guest", tests, NULL, NULL);
}
