/* SPDX-License-Identifier: Apache-2.0 */
/* The back-end channel: what is answered, what is told, and what happens during other calls. */
#include "front_fixture.h"

#include <poll.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sock.h"

static unsigned changes;

static void count_change(void *opaque)
{
	assert_ptr_equal(opaque, &changes);
	changes++;
}

static const struct vu_front_events events = { .config_changed = count_change };

static bool has_event(int timeout_ms)
{
	struct pollfd pfd = { .fd = vu_front_backend_fd(f), .events = POLLIN };

	return poll(&pfd, 1, timeout_ms) == 1 && (pfd.revents & POLLIN);
}

/* Sends this as the back-end; the front-end handles it. */
static void send_and_serve(uint32_t request, uint32_t flags, uint32_t size)
{
	assert_int_equal(fake_channel_send(b, request, flags, size), 0);
	assert_true(has_event(60000));
	assert_true(vu_front_backend_event(f, &events, &changes));
	assert_false(has_event(0));
}

static void connect_silent(void)
{
	changes = 0;
	connect_pair();
	assert_false(has_event(0));
}

static void test_config_change(void **state)
{
	connect_silent();
	send_and_serve(VU_BACKEND_CONFIG_CHANGE_MSG, VU_FLAG_NEED_REPLY, 0);
	assert_int_equal(fake_channel_ack(b), 0);
	assert_int_equal(changes, 1);
	/* Two at once are one to the caller; without need_reply there is no answer. */
	assert_int_equal(fake_channel_send(b, VU_BACKEND_CONFIG_CHANGE_MSG, 0, 0), 0);
	send_and_serve(VU_BACKEND_CONFIG_CHANGE_MSG, 0, 0);
	assert_int_equal(changes, 2);
	send_and_serve(VU_BACKEND_SHARED_OBJECT_ADD, VU_FLAG_NEED_REPLY, 16);
	assert_int_equal(fake_channel_ack(b), 0);
	finish();
}

static void test_shared_objects(void **state)
{
	connect_silent();
	send_and_serve(VU_BACKEND_SHARED_OBJECT_ADD, VU_FLAG_NEED_REPLY, 16);
	assert_int_equal(fake_channel_ack(b), 0);
	send_and_serve(VU_BACKEND_SHARED_OBJECT_REMOVE, 0, 16);
	/* Always answered, and never with success. */
	send_and_serve(VU_BACKEND_SHARED_OBJECT_LOOKUP, 0, 16);
	assert_true(fake_channel_ack(b) > 0);
	send_and_serve(VU_BACKEND_SHARED_OBJECT_LOOKUP, VU_FLAG_NEED_REPLY, 16);
	assert_true(fake_channel_ack(b) > 0);
	assert_int_equal(changes, 0);
	finish();
}

static void test_what_is_not_done_is_refused(void **state)
{
	const uint32_t requests[] = { VU_BACKEND_IOTLB_MSG, VU_BACKEND_VRING_CALL,
		VU_BACKEND_SHMEM_UNMAP, VU_BACKEND_REQUEST_END, 0, UINT32_MAX };

	connect_silent();
	for (unsigned i = 0; i < G_N_ELEMENTS(requests); i++) {
		send_and_serve(requests[i], VU_FLAG_NEED_REPLY, 8);
		assert_true(fake_channel_ack(b) > 0);
	}
	/* The right number, the wrong size. */
	send_and_serve(VU_BACKEND_CONFIG_CHANGE_MSG, VU_FLAG_NEED_REPLY, 4);
	assert_true(fake_channel_ack(b) > 0);
	assert_int_equal(changes, 0);
	finish();
}

static void test_surplus_fds_are_closed(void **state)
{
	const struct vu_header h = { VU_BACKEND_CONFIG_CHANGE_MSG, VU_VERSION | VU_FLAG_NEED_REPLY,
		0 };
	const int fds[] = { STDERR_FILENO, STDERR_FILENO };
	unsigned n;

	connect_silent();
	n = count_fds();
	assert_int_equal(fake_channel_bytes(b, &h, sizeof(h), fds, 2), 0);
	assert_true(vu_front_backend_event(f, &events, &changes));
	assert_true(fake_channel_ack(b) > 0);
	assert_int_equal(changes, 0);
	assert_int_equal(count_fds(), n);
	finish();
}

static void test_back_end_waits_for_us_first(void **state)
{
	uint8_t status;

	b->quirk[VU_GET_STATUS] = FAKE_CHANNEL_FIRST;
	connect_silent();
	assert_true(vu_front_get_status(f, &status, NULL));
	assert_int_equal(status, 0x4f);
	/* It is answered already, and still to be told. */
	assert_int_equal(changes, 0);
	assert_true(has_event(0));
	assert_true(vu_front_backend_event(f, &events, &changes));
	assert_int_equal(changes, 1);
	assert_false(has_event(0));
	finish();
}

static void test_channel_closed(void **state)
{
	uint8_t status;

	b->quirk[VU_GET_STATUS] = FAKE_CHANNEL_CLOSE;
	connect_silent();
	assert_true(vu_front_get_status(f, &status, NULL));
	/* Whether the call or poll() saw it first, it is told. */
	assert_true(has_event(60000));
	assert_false(vu_front_backend_event(f, &events, &changes));
	assert_int_equal(vu_front_backend_fd(f), -1);
	assert_false(vu_front_backend_event(f, &events, &changes));
	assert_true(vu_front_is_alive(f));
	assert_true(vu_front_get_status(f, &status, NULL));
	finish();
}

static void test_channel_damaged(void **state)
{
	const struct vu_header h = { VU_BACKEND_CONFIG_CHANGE_MSG, 3, 0 };

	connect_silent();
	assert_int_equal(fake_channel_bytes(b, &h, sizeof(h), NULL, 0), 0);
	assert_true(has_event(60000));
	assert_false(vu_front_backend_event(f, &events, &changes));
	assert_int_equal(vu_front_backend_fd(f), -1);
	finish();
}

static void test_answers_are_not_read(void **state)
{
	const struct vu_header h = { VU_BACKEND_CONFIG_CHANGE_MSG, VU_VERSION | VU_FLAG_NEED_REPLY,
		0 };
	gint64 before;
	bool alive = true;

	connect_silent();
	before = g_get_monotonic_time();
	/* Far more answers than a socket holds. */
	for (unsigned i = 0; alive && i < 100000; i++) {
		assert_int_equal(fake_channel_bytes(b, &h, sizeof(h), NULL, 0), 0);
		alive = vu_front_backend_event(f, &events, &changes);
	}
	assert_false(alive);
	assert_int_equal(vu_front_backend_fd(f), -1);
	/* It never waited, where one answer read in each deadline could stretch a call for ever. */
	assert_true(g_get_monotonic_time() - before < 1000 * options.deadline_ms / 2);
	assert_true(vu_front_is_alive(f));
	finish();
}

static unsigned warnings;

static void count_warning(enum log_level level, const char *line, void *opaque)
{
	warnings++;
}

static void test_log_is_not_flooded(void **state)
{
	connect_silent();
	warnings = 0;
	log_set_sink(count_warning, NULL);
	log_set_level(LOG_LEVEL_WARNING);
	for (unsigned i = 0; i < 100; i++)
		send_and_serve(VU_BACKEND_CONFIG_CHANGE_MSG, 0, 4);
	log_set_sink(NULL, NULL);
	assert_in_range(warnings, 1, 20);
	finish();
}

static void test_more_than_is_read_at_once(void **state)
{
	unsigned events_told = 0;

	connect_silent();
	for (unsigned i = 0; i < 150; i++)
		assert_int_equal(fake_channel_send(b, VU_BACKEND_CONFIG_CHANGE_MSG, 0, 0), 0);
	while (has_event(0) && events_told++ < 10)
		assert_true(vu_front_backend_event(f, &events, &changes));
	/* 64 at a time. */
	assert_int_equal(events_told, 3);
	assert_int_equal(changes, 3);
	finish();
}

static void test_half_a_message(void **state)
{
	const struct vu_header h = { VU_BACKEND_CONFIG_CHANGE_MSG, VU_VERSION, 0 };

	connect_silent();
	assert_int_equal(fake_channel_bytes(b, &h, 5, NULL, 0), 0);
	assert_true(has_event(0));
	assert_true(vu_front_backend_event(f, &events, &changes));
	assert_int_equal(changes, 0);
	/* It stays in the socket, and wakes no poll() again. */
	assert_false(has_event(0));
	assert_int_equal(fake_channel_bytes(b, (const char *)&h + 5, 7, NULL, 0), 0);
	assert_true(has_event(0));
	assert_true(vu_front_backend_event(f, &events, &changes));
	assert_int_equal(changes, 1);
	finish();
}

/* Without the rest of it; that bytes still come makes no difference. */
static void test_half_a_message_for_long(void **state)
{
	const struct vu_header h = { VU_BACKEND_SHARED_OBJECT_ADD, VU_VERSION, 64 };
	const uint8_t byte = 0;
	bool alive = true;
	gint64 before;

	options.deadline_ms = 200;
	connect_silent();
	before = g_get_monotonic_time();
	assert_int_equal(fake_channel_bytes(b, &h, sizeof(h), NULL, 0), 0);
	for (unsigned i = 0; alive && i < 60; i++) {
		fake_channel_bytes(b, &byte, 1, NULL, 0);
		alive = vu_front_backend_event(f, &events, &changes);
		has_event(options.deadline_ms / 20);
	}
	assert_false(alive);
	assert_true(g_get_monotonic_time() - before >= 1000 * options.deadline_ms);
	assert_int_equal(vu_front_backend_fd(f), -1);
	finish();
}

/* A timer tells of it; a message that became whole in time leaves none behind. */
static void test_half_a_message_and_silence(void **state)
{
	const struct vu_header h = { VU_BACKEND_CONFIG_CHANGE_MSG, VU_VERSION, 0 };

	options.deadline_ms = 200;
	connect_silent();
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(fake_channel_bytes(b, &h, 5, NULL, 0), 0);
		assert_true(vu_front_backend_event(f, &events, &changes));
		assert_int_equal(
			fake_channel_bytes(b, (const char *)&h + 5, sizeof(h) - 5, NULL, 0), 0);
		assert_true(vu_front_backend_event(f, &events, &changes));
		assert_int_equal(changes, i + 1);
		assert_false(has_event(2 * options.deadline_ms));
	}
	assert_int_equal(fake_channel_bytes(b, &h, 5, NULL, 0), 0);
	assert_true(vu_front_backend_event(f, &events, &changes));
	assert_true(has_event(60000));
	assert_false(vu_front_backend_event(f, &events, &changes));
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(front, test_config_change),
		TEST_WITH(front, test_shared_objects),
		TEST_WITH(front, test_what_is_not_done_is_refused),
		TEST_WITH(front, test_surplus_fds_are_closed),
		TEST_WITH(front, test_back_end_waits_for_us_first),
		TEST_WITH(front, test_channel_closed),
		TEST_WITH(front, test_channel_damaged),
		TEST_WITH(front, test_answers_are_not_read),
		TEST_WITH(front, test_log_is_not_flooded),
		TEST_WITH(front, test_more_than_is_read_at_once),
		TEST_WITH(front, test_half_a_message),
		TEST_WITH(front, test_half_a_message_for_long),
		TEST_WITH(front, test_half_a_message_and_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
