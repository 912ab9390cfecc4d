/* SPDX-License-Identifier: Apache-2.0 */
/* Negotiation, and the properties of a back-end without PROBE. */
#include "front_fixture.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

static void test_everything(void **state)
{
	const uint32_t order[] = { VU_GET_FEATURES, VU_GET_PROTOCOL_FEATURES,
		VU_SET_PROTOCOL_FEATURES, VU_GET_DEVICE_ID, VU_GET_CONFIG_SIZE, VU_GET_MIN_VQ,
		VU_GET_QUEUE_NUM, VU_GET_MAX_MEM_SLOTS, VU_SET_OWNER, VU_SET_BACKEND_REQ_FD };
	const struct vu_properties *properties;

	b->protocol |= VU_BIT(VU_F_XEN_MMAP) | VU_BIT(VU_F_PAGEFAULT) | VU_BIT(63);
	connect_pair();
	properties = vu_front_properties(f);
	assert_int_equal(properties->probe.device_id, 42);
	assert_int_equal(properties->probe.config_size, 60);
	assert_int_equal(properties->probe.min_queues, 2);
	assert_int_equal(properties->probe.max_queues, 4);
	assert_int_equal(properties->device_id, VU_SOURCE_PROBE);
	assert_int_equal(properties->config_size, VU_SOURCE_PROBE);
	assert_int_equal(properties->min_queues, VU_SOURCE_PROBE);
	assert_int_equal(properties->max_queues, VU_SOURCE_MESSAGE);
	assert_true(properties->features == b->features);
	assert_true(properties->protocol_features == b->protocol);
	assert_int_equal(properties->max_mem_slots, 32);
	assert_true(vu_front_is_alive(f));
	assert_true(vu_front_fd(f) >= 0);
	assert_true(vu_front_backend_fd(f) >= 0);
	finish();
	assert_int_equal(b->n_notes, G_N_ELEMENTS(order));
	expect_order(order, G_N_ELEMENTS(order));
	/* Only what was offered and we implement. */
	assert_true(b->acked ==
		(VU_BIT(0) | VU_BIT(3) | VU_BIT(5) | VU_BIT(9) | VU_BIT(13) | VU_BIT(15) |
			VU_BIT(16) | VU_BIT(18)));
	assert_int_equal(fake_note(b, VU_SET_BACKEND_REQ_FD)->n_fds, 1);
	assert_int_equal(
		fake_note(b, VU_SET_BACKEND_REQ_FD)->flags, VU_VERSION | VU_FLAG_NEED_REPLY);
	assert_int_equal(fake_note(b, VU_GET_FEATURES)->flags, VU_VERSION);
	assert_int_equal(fake_note(b, VU_GET_DEVICE_ID)->size, 0);
}

static void test_guest_features(void **state)
{
	b->features = UINT64_MAX;
	connect_pair();
	/* Device bits, and the harmless ones of the others; never 26 and 30. */
	assert_true(vu_front_properties(f)->features == UINT64_MAX);
	assert_true(vu_front_properties(f)->probe.features ==
		(0xfffc000000ffffff | VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
			VU_BIT(VIRTIO_RING_F_EVENT_IDX) | VU_BIT(VIRTIO_F_VERSION_1) |
			VU_BIT(VIRTIO_F_RING_PACKED) | VU_BIT(VIRTIO_F_IN_ORDER)));
	finish();
}

static void test_guest_features_of_the_caller(void **state)
{
	b->features = UINT64_MAX;
	options.transport_features = VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(40) | VU_BIT(30);
	connect_pair();
	assert_true(vu_front_properties(f)->probe.features ==
		(0xfffc000000ffffff | VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(40)));
	finish();
}

/* Returns what of RING_PACKED is left for the driver. */
static bool is_packed(enum choice mode, bool inflight)
{
	bool packed;

	options.packed = mode;
	options.inflight = inflight;
	connect_pair();
	packed = vu_front_properties(f)->probe.features & VU_BIT(VIRTIO_F_RING_PACKED);
	finish();
	return packed;
}

static void test_packed(void **state)
{
	b->features |= VU_BIT(VIRTIO_F_RING_PACKED);
	assert_true(is_packed(CHOICE_AUTO, false));
	assert_true(is_packed(CHOICE_ON, false));
	assert_false(is_packed(CHOICE_OFF, false));
	/* No later back-end could go on with such a ring. */
	assert_false(is_packed(CHOICE_AUTO, true));
	assert_true(is_packed(CHOICE_ON, true));
	b->protocol |= VU_BIT(VU_F_INFLIGHT_SHMFD);
	assert_true(is_packed(CHOICE_AUTO, true));
	assert_false(is_packed(CHOICE_OFF, true));
	b->features &= ~VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	assert_false(is_packed(CHOICE_AUTO, true));
	assert_true(is_packed(CHOICE_AUTO, false));
}

static void test_not_packed(void **state)
{
	assert_false(is_packed(CHOICE_AUTO, false));
	options.packed = CHOICE_ON;
	expect_failure(VU_FRONT_ERROR_PROPERTIES, "does not offer packed rings");
}

static void test_no_protocol_features(void **state)
{
	const uint32_t order[] = { VU_GET_FEATURES, VU_SET_OWNER };
	const struct vu_properties *properties;

	b->features &= ~VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	connect_pair();
	properties = vu_front_properties(f);
	assert_int_equal(properties->protocol_features, 0);
	assert_int_equal(properties->protocol_acked, 0);
	assert_int_equal(properties->max_mem_slots, 8);
	assert_int_equal(properties->probe.max_queues, 1);
	assert_int_equal(properties->max_queues, VU_SOURCE_ASSUMED);
	assert_int_equal(properties->probe.config_size, 0);
	assert_int_equal(vu_front_backend_fd(f), -1);
	finish();
	assert_int_equal(b->n_notes, G_N_ELEMENTS(order));
	expect_order(order, G_N_ELEMENTS(order));
}

static void test_queues_of_the_user(void **state)
{
	options.queues = 6;
	connect_pair();
	assert_int_equal(vu_front_properties(f)->probe.max_queues, 4);
	finish();
	b->protocol &= ~VU_BIT(VU_F_PROBE);
	connect_pair();
	assert_int_equal(vu_front_properties(f)->probe.max_queues, 6);
	assert_int_equal(vu_front_properties(f)->max_queues, VU_SOURCE_USER);
	finish();
}

static void test_no_queues(void **state)
{
	b->queues = 0;
	expect_failure(VU_FRONT_ERROR_PROTOCOL, "GET_QUEUE_NUM");
}

static void test_busy(void **state)
{
	b->busy = true;
	expect_failure(VU_FRONT_ERROR_BUSY, "serves another front-end");
	assert_int_equal(b->n_notes, 0);
}

static void test_nobody_there(void **state)
{
	g_autoptr(GError) error = NULL;

	assert_null(vu_front_connect(path, &options, &error));
	assert_true(g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT));
}

static void test_silence(void **state)
{
	gint64 start = g_get_monotonic_time();

	options.deadline_ms = 30;
	b->quirk[VU_GET_FEATURES] = FAKE_SILENT;
	expect_failure(VU_FRONT_ERROR_GONE, "no answer to GET_FEATURES within 30 ms");
	assert_true(g_get_monotonic_time() - start >= 30000);
}

static void test_damaged_replies(void **state)
{
	static const struct {
		enum fake_quirk quirk;
		enum vu_front_error code;
		const char *part;
	} cases[] = { { FAKE_OWN_SIZE, VU_FRONT_ERROR_PROTOCOL, "0 bytes of payload instead of 8" },
		{ FAKE_OTHER_NUMBER, VU_FRONT_ERROR_PROTOCOL, "answered by message 140" },
		{ FAKE_HALF_HEADER, VU_FRONT_ERROR_GONE, "7 of a header's 12 bytes" },
		{ FAKE_HALF_PAYLOAD, VU_FRONT_ERROR_GONE, "3 of 8 bytes of payload" },
		{ FAKE_CLOSE, VU_FRONT_ERROR_GONE, "closed the connection" } };

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		b->quirk[VU_GET_QUEUE_NUM] = cases[i].quirk;
		expect_failure(cases[i].code, cases[i].part);
	}
}

static void test_channel_refused(void **state)
{
	b->quirk[VU_SET_BACKEND_REQ_FD] = FAKE_REFUSE;
	connect_pair();
	assert_int_equal(vu_front_backend_fd(f), -1);
	assert_true(vu_front_is_alive(f));
	finish();
}

static void test_config_size_guessed(void **state)
{
	const uint32_t sizes[] = { 0, 1, 8, 60, 61, 255, 256, 300 };

	b->protocol &= ~VU_BIT(VU_F_PROBE);
	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
		b->config_size = sizes[i];
		b->n_notes = 0;
		connect_pair();
		assert_int_equal(vu_front_properties(f)->probe.config_size, MIN(sizes[i], 256));
		assert_int_equal(vu_front_properties(f)->config_size, VU_SOURCE_ASSUMED);
		finish();
		assert_in_range(fake_count(b, VU_GET_CONFIG), 1, 9);
	}
}

static void test_config_size_guessed_by_dialling(void **state)
{
	b->protocol &= ~VU_BIT(VU_F_PROBE);
	b->quirk[VU_GET_CONFIG] = FAKE_CLOSE;
	connect_path();
	assert_int_equal(vu_front_properties(f)->probe.config_size, 60);
	assert_true(vu_front_is_alive(f));
	finish();
	assert_in_range(b->connections, 2, 10);
}

static void test_config_size_not_guessed_without_path(void **state)
{
	b->protocol &= ~VU_BIT(VU_F_PROBE);
	b->quirk[VU_GET_CONFIG] = FAKE_CLOSE;
	expect_failure(VU_FRONT_ERROR_PROPERTIES, "must be told");
}

static void test_config_size_of_the_user_is_too_large(void **state)
{
	b->protocol &= ~VU_BIT(VU_F_PROBE);
	options.config_size = VU_MAX_CONFIG + 1;
	expect_failure(VU_FRONT_ERROR_PROPERTIES, "4097 bytes is larger than 4096");
}

static void test_config_size_of_the_user(void **state)
{
	b->protocol &= ~VU_BIT(VU_F_PROBE);
	options.config_size = 36;
	connect_pair();
	assert_int_equal(vu_front_properties(f)->probe.config_size, 36);
	assert_int_equal(vu_front_properties(f)->config_size, VU_SOURCE_USER);
	finish();
	assert_int_equal(fake_count(b, VU_GET_CONFIG), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(front, test_everything),
		TEST_WITH(front, test_guest_features),
		TEST_WITH(front, test_guest_features_of_the_caller),
		TEST_WITH(front, test_packed),
		TEST_WITH(front, test_not_packed),
		TEST_WITH(front, test_no_protocol_features),
		TEST_WITH(front, test_queues_of_the_user),
		TEST_WITH(front, test_no_queues),
		TEST_WITH(front, test_busy),
		TEST_WITH(front, test_nobody_there),
		TEST_WITH(front, test_silence),
		TEST_WITH(front, test_damaged_replies),
		TEST_WITH(front, test_channel_refused),
		TEST_WITH(front, test_config_size_guessed),
		TEST_WITH(front, test_config_size_guessed_by_dialling),
		TEST_WITH(front, test_config_size_not_guessed_without_path),
		TEST_WITH(front, test_config_size_of_the_user),
		TEST_WITH(front, test_config_size_of_the_user_is_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
