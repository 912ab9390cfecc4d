/* SPDX-License-Identifier: Apache-2.0 */
/* A front-end at work: rings, status, configuration. */
#include "front_fixture.h"

#include <sys/eventfd.h>

#include "base/util.h"

static void test_features(void **state)
{
	connect_fresh();
	assert_true(vu_front_set_features(f, VU_BIT(32), NULL));
	finish();
	assert_true(fake_note(b, VU_SET_FEATURES)->u64[0] == (VU_BIT(32) | VU_BIT(30)));
}

static void test_features_without_bit_30(void **state)
{
	const uint32_t order[] = { VU_GET_FEATURES, VU_SET_OWNER, VU_SET_FEATURES };

	b->features &= ~VU_BIT(30);
	connect_pair();
	assert_true(vu_front_set_features(f, VU_BIT(32), NULL));
	assert_true(vu_front_enable_ring(f, 0, true, NULL));
	finish();
	assert_int_equal(b->n_notes, G_N_ELEMENTS(order));
	expect_order(order, G_N_ELEMENTS(order));
	assert_true(fake_note(b, VU_SET_FEATURES)->u64[0] == VU_BIT(32));
}

static void test_ring(void **state)
{
	const uint32_t order[] = { VU_SET_VRING_NUM, VU_SET_VRING_BASE, VU_SET_VRING_ADDR,
		VU_SET_VRING_CALL, VU_SET_VRING_ERR, VU_SET_VRING_KICK, VU_SET_VRING_ENABLE,
		VU_SET_VRING_ENABLE, VU_GET_VRING_BASE };
	autofd event = eventfd(0, EFD_CLOEXEC);
	const struct vu_ring_setup setup = { .size = 256,
		.base = 5,
		.desc = 0x1000,
		.avail = 0x2000,
		.used = 0x3000,
		.kick = event,
		.call = event,
		.err = event };
	const struct fake_note *note;
	uint32_t base;

	connect_fresh();
	assert_true(vu_front_setup_ring(f, 3, &setup, NULL));
	assert_true(vu_front_enable_ring(f, 3, true, NULL));
	pthread_mutex_lock(&b->lock);
	b->ring[3].base = 0x1234;
	pthread_mutex_unlock(&b->lock);
	assert_true(vu_front_stop_ring(f, 3, &base, NULL));
	assert_int_equal(base, 0x1234);
	finish();
	assert_int_equal(b->n_notes, G_N_ELEMENTS(order));
	expect_order(order, G_N_ELEMENTS(order));
	for (unsigned i = 0; i < b->n_notes - 1; i++)
		assert_int_equal(b->notes[i].flags, VU_VERSION | VU_FLAG_NEED_REPLY);
	assert_true(b->notes[0].u64[0] == (3 | UINT64_C(256) << 32));
	assert_true(b->notes[1].u64[0] == (3 | UINT64_C(5) << 32));
	note = &b->notes[2];
	assert_int_equal(note->size, 40);
	assert_int_equal(note->u64[0], 3);
	assert_int_equal(note->u64[1], 0x1000);
	assert_int_equal(note->u64[2], 0x3000);
	assert_int_equal(note->u64[3], 0x2000);
	for (unsigned i = 3; i < 6; i++) {
		assert_int_equal(b->notes[i].n_fds, 1);
		assert_int_equal(b->notes[i].u64[0], 3);
	}
	assert_true(b->notes[6].u64[0] == (3 | UINT64_C(1) << 32));
	assert_true(b->notes[7].u64[0] == 3);
}

static void test_ring_without_fds(void **state)
{
	const struct vu_ring_setup setup = { .size = 8, .kick = -1, .call = -1, .err = -1 };

	connect_fresh();
	assert_true(vu_front_setup_ring(f, 0, &setup, NULL));
	assert_true(vu_front_set_call(f, 2, -1, NULL));
	finish();
	assert_int_equal(fake_count(b, VU_SET_VRING_ERR), 0);
	assert_int_equal(fake_note(b, VU_SET_VRING_KICK)->u64[0], VU_VRING_FD_NONE);
	assert_int_equal(fake_note(b, VU_SET_VRING_KICK)->n_fds, 0);
	assert_int_equal(b->notes[b->n_notes - 1].u64[0], 2 | VU_VRING_FD_NONE);
}

static void test_refusals_name_what(void **state)
{
	const struct vu_ring_setup setup = { .size = 300, .kick = -1, .call = -1, .err = -1 };
	GError *error = NULL;

	b->quirk[VU_SET_VRING_NUM] = b->quirk[VU_SET_VRING_CALL] = FAKE_REFUSE;
	b->quirk[VU_SET_FEATURES] = FAKE_REFUSE;
	connect_fresh();
	assert_false(vu_front_setup_ring(f, 1, &setup, &error));
	expect_error(&error, VU_FRONT_ERROR_REFUSED, "refused SET_VRING_NUM 300 of ring 1 (22)");
	assert_int_equal(b->n_notes, 1);
	assert_false(vu_front_set_call(f, 2, -1, &error));
	expect_error(&error, VU_FRONT_ERROR_REFUSED, "refused SET_VRING_CALL of ring 2");
	assert_false(vu_front_set_features(f, 1, &error));
	expect_error(&error, VU_FRONT_ERROR_REFUSED, "refused SET_FEATURES 0x40000001");
	/* It lives on. */
	assert_true(vu_front_is_alive(f));
	assert_true(vu_front_enable_ring(f, 0, true, NULL));
	finish();
}

static void test_late_answer(void **state)
{
	GError *error = NULL;
	uint32_t base;

	options.deadline_ms = 1000;
	b->quirk[VU_GET_VRING_BASE] = FAKE_SILENT;
	connect_fresh();
	assert_false(vu_front_stop_ring(f, 1, &base, &error));
	expect_error(&error, VU_FRONT_ERROR_GONE, "no answer to GET_VRING_BASE 0 of ring 1");
	assert_false(vu_front_is_alive(f));
	assert_int_equal(vu_front_fd(f), -1);
	assert_int_equal(vu_front_backend_fd(f), -1);
	assert_false(vu_front_set_features(f, 0, &error));
	expect_error(&error, VU_FRONT_ERROR_GONE, "not connected");
	finish();
}

static void test_answer_of_wrong_size(void **state)
{
	GError *error = NULL;

	b->quirk[VU_SET_FEATURES] = b->quirk[VU_SET_VRING_CALL] = FAKE_OTHER_NUMBER;
	connect_fresh();
	assert_false(vu_front_set_features(f, 0, &error));
	expect_error(&error, VU_FRONT_ERROR_PROTOCOL, "SET_FEATURES: answered by message 140");
	assert_false(vu_front_is_alive(f));
	finish();
}

static void test_back_end_leaves(void **state)
{
	GError *error = NULL;
	uint8_t status;

	b->quirk[VU_GET_STATUS] = FAKE_CLOSE;
	connect_fresh();
	assert_false(vu_front_get_status(f, &status, &error));
	expect_error(&error, VU_FRONT_ERROR_GONE, "closed the connection");
	finish();
}

static void test_barrier_without_acks(void **state)
{
	const uint32_t order[] = { VU_SET_BACKEND_REQ_FD, VU_SET_VRING_ENABLE, VU_GET_FEATURES,
		VU_SET_MEM_TABLE, VU_GET_FEATURES, VU_SET_STATUS };

	b->protocol &= ~VU_BIT(VU_F_REPLY_ACK);
	connect_pair();
	assert_true(vu_front_enable_ring(f, 0, true, NULL));
	assert_true(vu_front_set_memory(f, NULL, NULL, 0, NULL));
	assert_true(vu_front_set_status(f, 4, NULL));
	finish();
	expect_order(order, G_N_ELEMENTS(order));
	for (unsigned i = 0; i < b->n_notes; i++)
		assert_int_equal(b->notes[i].flags, VU_VERSION);
}

static void test_status_and_reset(void **state)
{
	const uint32_t order[] = { VU_SET_STATUS, VU_GET_STATUS, VU_SET_STATUS, VU_RESET_DEVICE };
	uint8_t status;

	connect_fresh();
	assert_true(vu_front_set_status(f, 15, NULL));
	assert_true(vu_front_get_status(f, &status, NULL));
	assert_int_equal(status, 0x4f);
	assert_true(vu_front_reset(f, NULL));
	finish();
	assert_int_equal(b->n_notes, G_N_ELEMENTS(order));
	expect_order(order, G_N_ELEMENTS(order));
	assert_int_equal(b->notes[0].u64[0], 15);
	assert_int_equal(b->notes[2].u64[0], 0);
}

static void test_neither_status_nor_reset(void **state)
{
	uint8_t status = 77;

	b->protocol &= ~(VU_BIT(VU_F_STATUS) | VU_BIT(VU_F_RESET_DEVICE));
	options.config_size = 60;
	connect_fresh();
	assert_true(vu_front_set_status(f, 15, NULL));
	assert_true(vu_front_get_status(f, &status, NULL));
	assert_int_equal(status, 0);
	assert_true(vu_front_reset(f, NULL));
	finish();
	assert_int_equal(b->n_notes, 0);
}

static void test_config(void **state)
{
	uint8_t got[61] = { 0 };
	GError *error = NULL;

	connect_fresh();
	assert_true(vu_front_get_config(f, 0, got, 60, NULL));
	assert_int_equal(got[59], 59);
	/* The fake ignores the offset, as libvhost-user does. */
	assert_true(vu_front_get_config(f, 8, got, 4, NULL));
	assert_int_equal(got[0], 8);
	assert_int_equal(got[3], 11);
	assert_int_equal(b->notes[1].size, 12 + 60);
	assert_true(vu_front_set_config(f, 8, "\xaa\xbb", 2, NULL));
	assert_true(vu_front_get_config(f, 9, got, 1, NULL));
	assert_int_equal(got[0], 0xbb);
	assert_false(vu_front_get_config(f, 0, got, 61, &error));
	expect_error(&error, VU_FRONT_ERROR_REFUSED, "GET_CONFIG of 61 bytes");
	assert_false(vu_front_get_config(f, 4090, got, 7, &error));
	expect_error(&error, VU_FRONT_ERROR_REFUSED, "from 4090 to 4097");
	assert_false(vu_front_set_config(f, UINT32_MAX, got, 2, &error));
	expect_error(&error, VU_FRONT_ERROR_REFUSED, "beyond 4096");
	assert_true(vu_front_is_alive(f));
	finish();
	assert_int_equal(fake_note(b, VU_SET_CONFIG)->flags, VU_VERSION | VU_FLAG_NEED_REPLY);
	assert_int_equal(fake_note(b, VU_SET_CONFIG)->size, 14);
}

static void test_no_config(void **state)
{
	GError *error = NULL;
	uint8_t byte = 0;

	b->protocol &= ~VU_BIT(VU_F_CONFIG);
	connect_fresh();
	assert_false(vu_front_get_config(f, 0, &byte, 1, &error));
	expect_error(&error, VU_FRONT_ERROR_REFUSED, "no configuration space");
	assert_false(vu_front_set_config(f, 0, &byte, 1, &error));
	expect_error(&error, VU_FRONT_ERROR_REFUSED, "no configuration space");
	finish();
	assert_int_equal(b->n_notes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(front, test_features),
		TEST_WITH(front, test_features_without_bit_30),
		TEST_WITH(front, test_ring),
		TEST_WITH(front, test_ring_without_fds),
		TEST_WITH(front, test_refusals_name_what),
		TEST_WITH(front, test_late_answer),
		TEST_WITH(front, test_answer_of_wrong_size),
		TEST_WITH(front, test_back_end_leaves),
		TEST_WITH(front, test_barrier_without_acks),
		TEST_WITH(front, test_status_and_reset),
		TEST_WITH(front, test_neither_status_nor_reset),
		TEST_WITH(front, test_config),
		TEST_WITH(front, test_no_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
