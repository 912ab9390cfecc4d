/* SPDX-License-Identifier: Apache-2.0 */
/* The bus: which device gets an access, and a vCPU that waits for one. */
#include "tests/lib/test.h"

#include "kvm-stub/bus.h"

/* A device that records its accesses and completes them at once, or later on its own thread. */
struct toy_device {
	uint64_t offset, value;
	unsigned size, asked;
	bool write, later;
	void *token;
};

static bool toy_access(
	void *opaque, uint64_t offset, unsigned size, bool write, uint64_t *value, void *token)
{
	struct toy_device *t = opaque;

	t->asked++;
	t->offset = offset;
	t->size = size;
	t->write = write;
	__atomic_store_n(&t->token, token, __ATOMIC_RELEASE);
	if (write)
		t->value = *value;
	else if (!t->later)
		*value = t->value;
	return !t->later;
}

struct bus_test {
	struct bus *bus;
	struct bus_wait *wait;
	struct toy_device toy;
};

static int setup(void **state)
{
	struct bus_test *w = g_new0(struct bus_test, 1);

	w->bus = bus_new();
	w->wait = bus_wait_new();
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct bus_test *w = *state;

	bus_wait_free(w->wait);
	bus_free(w->bus);
	g_free(w);
	return 0;
}

static void test_look_up(void **state)
{
	struct bus_test *w = *state;
	struct toy_device other = { .value = 7 };
	uint64_t value = 0;

	bus_add(w->bus, BUS_MMIO, 0x1000, 0x100, toy_access, &w->toy);
	bus_add(w->bus, BUS_MMIO, 0x1100, 0x100, toy_access, &other);
	assert_true(bus_access(w->bus, w->wait, BUS_MMIO, 0x1100, 4, false, &value));
	assert_int_equal(value, 7);
	assert_int_equal(w->toy.asked, 0);
	assert_int_equal(other.offset, 0);
	value = 0x1234;
	assert_true(bus_access(w->bus, w->wait, BUS_MMIO, 0x10ff, 2, true, &value));
	assert_int_equal(w->toy.offset, 0xff);
	assert_int_equal(w->toy.size, 2);
	assert_int_equal(w->toy.value, 0x1234);
	assert_true(w->toy.write);
	assert_int_equal(other.asked, 1);
}

static void test_no_device(void **state)
{
	struct bus_test *w = *state;
	uint64_t value = 5;

	bus_add(w->bus, BUS_PORT, 0x60, 2, toy_access, &w->toy);
	assert_true(bus_access(w->bus, w->wait, BUS_PORT, 0x5f, 1, false, &value));
	assert_true(value == UINT64_MAX);
	value = 5;
	assert_true(bus_access(w->bus, w->wait, BUS_PORT, 0x62, 1, false, &value));
	assert_true(value == UINT64_MAX);
	/* The same number in the other space is another place. */
	assert_true(bus_access(w->bus, w->wait, BUS_MMIO, 0x60, 1, true, &value));
	assert_int_equal(w->toy.asked, 0);
	assert_true(bus_access(w->bus, w->wait, BUS_PORT, 0x61, 1, false, &value));
	assert_int_equal(w->toy.asked, 1);
	assert_int_equal(w->toy.offset, 1);
}

/* Completes the toy's access as soon as there is one. */
static void *answer(void *opaque)
{
	struct toy_device *t = opaque;
	void *token;

	WAIT_UNTIL((token = __atomic_load_n(&t->token, __ATOMIC_ACQUIRE)));
	bus_access_complete(token, 99);
	return NULL;
}

static void test_later(void **state)
{
	struct bus_test *w = *state;
	uint64_t value = 0;

	w->toy.later = true;
	bus_add(w->bus, BUS_MMIO, 0, 8, toy_access, &w->toy);
	for (unsigned i = 1; i <= 3; i++) {
		GThread *t = g_thread_new("answer", answer, &w->toy);

		value = 0;
		assert_true(bus_access(w->bus, w->wait, BUS_MMIO, 4, 4, false, &value));
		assert_int_equal(value, 99);
		assert_int_equal(w->toy.asked, i);
		g_thread_join(t);
		w->toy.token = NULL;
	}
	/* A write's value is the guest's. */
	GThread *t = g_thread_new("answer", answer, &w->toy);

	value = 3;
	assert_true(bus_access(w->bus, w->wait, BUS_MMIO, 4, 4, true, &value));
	assert_int_equal(value, 3);
	g_thread_join(t);
}

/* Completes before the access has returned. */
static bool hasty_access(
	void *opaque, uint64_t offset, unsigned size, bool write, uint64_t *value, void *token)
{
	bus_access_complete(token, offset);
	return false;
}

static void test_hasty(void **state)
{
	struct bus_test *w = *state;
	uint64_t value = 0;

	bus_add(w->bus, BUS_MMIO, 0, 8, hasty_access, NULL);
	assert_true(bus_access(w->bus, w->wait, BUS_MMIO, 6, 1, false, &value));
	assert_int_equal(value, 6);
}

static void *cancel(void *opaque)
{
	struct bus_test *w = opaque;

	WAIT_UNTIL(__atomic_load_n(&w->toy.token, __ATOMIC_ACQUIRE));
	bus_wait_cancel(w->wait);
	return NULL;
}

static void test_cancel(void **state)
{
	struct bus_test *w = *state;
	uint64_t value = 0;
	GThread *t;

	w->toy.later = true;
	bus_add(w->bus, BUS_MMIO, 0, 8, toy_access, &w->toy);
	t = g_thread_new("cancel", cancel, w);
	assert_false(bus_access(w->bus, w->wait, BUS_MMIO, 0, 4, false, &value));
	g_thread_join(t);
	/* Behind our back, as the header says. */
	assert_false(bus_wait_reuse(w->wait));
	bus_access_complete(w->toy.token, 1);
	assert_false(bus_access(w->bus, w->wait, BUS_MMIO, 0, 4, false, &value));
	assert_int_equal(value, 0);
	bus_access_complete(w->toy.token, 1);
	/* What need not wait still works. */
	w->toy.later = false;
	w->toy.value = 8;
	assert_true(bus_access(w->bus, w->wait, BUS_MMIO, 0, 4, false, &value));
	assert_int_equal(value, 8);
	/* And then everything. */
	assert_true(bus_wait_reuse(w->wait));
	w->toy.later = true;
	w->toy.token = NULL;
	t = g_thread_new("answer", answer, &w->toy);
	assert_true(bus_access(w->bus, w->wait, BUS_MMIO, 0, 4, false, &value));
	assert_int_equal(value, 99);
	g_thread_join(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_look_up),
		TEST(test_no_device),
		TEST(test_later),
		TEST(test_hasty),
		TEST(test_cancel),
	};

	return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}
