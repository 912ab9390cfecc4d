/* SPDX-License-Identifier: Apache-2.0 */
/* Going on with a connection: whatever its front-end had just done when it died. */
#include "front_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>

#include "base/sock.h"
#include "base/util.h"
#include "kept.h"

/* Sends a request of the front-end that died. */
static void send_request(uint32_t request, uint32_t flags, uint64_t payload)
{
	struct vu_msg *msg = g_new0(struct vu_msg, 1);

	vu_msg_init(msg, request);
	msg->header.flags |= flags;
	if (payload != UINT64_MAX)
		vu_msg_set_u64(msg, payload);
	assert_true(vu_msg_write(kept.fd, msg, 0, NULL));
	g_free(msg);
}

static void wait_for_answer(void)
{
	struct pollfd pfd = { .fd = kept.fd, .events = POLLIN };

	assert_int_equal(poll(&pfd, 1, 30000), 1);
}

/* Checks that no answer of ours waits for the back-end. */
static void expect_no_more_answers(void)
{
	struct pollfd pfd = { .fd = fake_channel_fd(b), .events = POLLIN };

	assert_int_equal(poll(&pfd, 1, 0), 0);
	fake_channel_fd(b);
}

static void test_nothing_under_way(void **state)
{
	unsigned n;

	kept_connect();
	n = count_fds();
	for (unsigned i = 0; i < 3; i++) {
		kept_adopt();
		kept_check();
		g_clear_pointer(&f, vu_front_free);
		assert_int_equal(count_fds(), n);
	}
	kept_finish();
	/* A fence each, after the one of negotiation, and nothing else. */
	assert_int_equal(fake_count(b, VU_GET_PROTOCOL_FEATURES), 4);
	assert_int_equal(fake_count(b, VU_GET_FEATURES), 1);
	assert_int_equal(fake_count(b, VU_SET_OWNER), 1);
	assert_int_equal(b->connections, 1);
}

static void test_both_at_a_time(void **state)
{
	struct vu_front *old;

	kept_start();
	old = f;
	kept_adopt();
	vu_front_free(old);
	kept_check();
	kept_finish();
}

static void test_answer_is_unread(void **state)
{
	kept_connect();
	send_request(VU_GET_STATUS, 0, UINT64_MAX);
	wait_for_answer();
	kept_adopt();
	kept_check();
	g_clear_pointer(&f, vu_front_free);
	send_request(VU_SET_STATUS, VU_FLAG_NEED_REPLY, 3);
	wait_for_answer();
	kept_adopt();
	kept_check();
	kept_finish();
}

static void test_answer_is_in_parts(void **state)
{
	kept_connect();
	fake_quirk(b, VU_GET_STATUS, FAKE_IN_TWO);
	send_request(VU_GET_STATUS, 0, UINT64_MAX);
	wait_for_answer();
	kept_adopt();
	kept_check();
	kept_finish();
}

static void test_back_end_waits_on_the_channel(void **state)
{
	kept_connect();
	fake_quirk(b, VU_GET_STATUS, FAKE_CHANNEL_FIRST);
	send_request(VU_GET_STATUS, 0, UINT64_MAX);
	kept_adopt();
	kept_check();
	expect_no_more_answers();
	kept_finish();
}

static void test_channel_request_is_pending(void **state)
{
	kept_connect();
	assert_int_equal(
		fake_channel_send(b, VU_BACKEND_CONFIG_CHANGE_MSG, VU_FLAG_NEED_REPLY, 0), 0);
	/* Seen but not taken; or not even seen. */
	for (unsigned seen = 0; seen < 2; seen++) {
		if (seen) {
			g_clear_pointer(&f, vu_front_free);
			kept.state->owed = VU_BACKEND_CONFIG_CHANGE_MSG;
			assert_int_equal(fake_channel_send(b, VU_BACKEND_CONFIG_CHANGE_MSG,
						 VU_FLAG_NEED_REPLY, 0),
				0);
		}
		kept_adopt();
		assert_int_equal(fake_channel_ack(b), 0);
		expect_no_more_answers();
		assert_int_equal(kept.state->owed, 0);
		kept_check();
	}
	kept_finish();
}

static void test_channel_request_is_owed(void **state)
{
	kept_connect();
	kept.state->owed = VU_BACKEND_CONFIG_CHANGE_MSG;
	kept_adopt();
	assert_int_equal(fake_channel_ack(b), 0);
	assert_int_equal(kept.state->owed, 0);
	kept_check();
	g_clear_pointer(&f, vu_front_free);
	/* What is there are others. */
	for (unsigned i = 0; i < 2; i++) {
		uint32_t flags = i ? VU_FLAG_NEED_REPLY : 0;

		kept.state->owed = VU_BACKEND_SHARED_OBJECT_LOOKUP;
		assert_int_equal(fake_channel_send(b, VU_BACKEND_CONFIG_CHANGE_MSG, flags, 0), 0);
		kept_adopt();
		assert_true(fake_channel_ack(b) > 0);
		if (flags)
			assert_int_equal(fake_channel_ack(b), 0);
		expect_no_more_answers();
		if (!i)
			g_clear_pointer(&f, vu_front_free);
	}
	kept_check();
	/* One that is answered in time is not owed. */
	assert_int_equal(
		fake_channel_send(b, VU_BACKEND_SHARED_OBJECT_ADD, VU_FLAG_NEED_REPLY, 16), 0);
	assert_true(vu_front_backend_event(f, &kept_events, NULL));
	assert_int_equal(fake_channel_ack(b), 0);
	assert_int_equal(kept.state->owed, 0);
	kept_finish();
}

static void test_channel_is_closed(void **state)
{
	kept_connect();
	pthread_mutex_lock(&b->lock);
	fd_close(&b->channel);
	pthread_mutex_unlock(&b->lock);
	kept_adopt();
	assert_false(vu_front_backend_event(f, &kept_events, NULL));
	assert_true(vu_front_is_alive(f));
	kept_finish();
}

static void test_no_channel(void **state)
{
	b->protocol &= ~VU_BIT(VU_F_BACKEND_REQ);
	kept_connect();
	kept_adopt();
	assert_int_equal(vu_front_backend_fd(f), -1);
	kept_finish();
	assert_int_equal(fake_count(b, VU_SET_BACKEND_REQ_FD), 0);
}

static void expect_no_adoption(enum vu_front_error code, const char *part)
{
	GError *error = NULL;

	assert_null(vu_front_adopt(
		&(struct vu_front_sockets){ kept_dup(kept.fd), kept_dup(kept.channel), -1 }, "peer",
		&options, &error));
	expect_error(&error, code, part);
	assert_int_equal(kept.state->adoptable, 0);
}

static void test_back_end_is_silent(void **state)
{
	gint64 before;

	kept_connect();
	fake_quirk(b, VU_GET_PROTOCOL_FEATURES, FAKE_SILENT);
	options.deadline_ms = 300;
	before = g_get_monotonic_time();
	expect_no_adoption(VU_FRONT_ERROR_GONE, "no answer to GET_PROTOCOL_FEATURES within 300 ms");
	assert_true(g_get_monotonic_time() - before >= 300 * G_TIME_SPAN_MILLISECOND);
	expect_no_adoption(VU_FRONT_ERROR_GONE, "no connection to go on with");
	kept_finish();
}

static void test_back_end_leaves(void **state)
{
	kept_connect();
	fake_quirk(b, VU_GET_PROTOCOL_FEATURES, FAKE_CLOSE);
	expect_no_adoption(VU_FRONT_ERROR_GONE, "closed the connection");
	kept_finish();
}

static void test_connection_was_lost_before(void **state)
{
	uint8_t status;

	kept_start();
	assert_int_equal(kept.state->adoptable, 1);
	fake_quirk(b, VU_GET_STATUS, FAKE_CLOSE);
	assert_false(vu_front_get_status(f, &status, NULL));
	g_clear_pointer(&f, vu_front_free);
	expect_no_adoption(VU_FRONT_ERROR_GONE, "no connection to go on with");
	kept_finish();
}

static void test_without_protocol_features(void **state)
{
	b->features &= ~VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	kept_connect();
	expect_no_adoption(VU_FRONT_ERROR_GONE, "no connection to go on with");
	kept_finish();
}

static void test_state_is_damaged(void **state)
{
	kept_connect();
	kept.state->properties.probe.config_size = VU_MAX_CONFIG + 1;
	expect_no_adoption(VU_FRONT_ERROR_PROTOCOL, "damaged");
	kept_finish();
}

/* Sends what the back-end sends unasked, from this thread: its own waits for a request. */
static void send_stale(unsigned n)
{
	autofd null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct {
		struct vu_header header;
		uint32_t payload;
	} wire = { { VU_GET_STATUS, VU_VERSION | VU_FLAG_REPLY, 4 }, 0 };

	for (unsigned i = 0; i < n; i++)
		assert_int_equal(sock_send(b->conn, &wire, sizeof(wire), &null, 1, 0), 0);
}

static void test_stale_answers_are_thrown_away(void **state)
{
	unsigned n;

	kept_connect();
	n = count_fds();
	send_stale(5);
	kept_adopt();
	kept_check();
	g_clear_pointer(&f, vu_front_free);
	assert_int_equal(count_fds(), n);
	send_stale(200);
	expect_no_adoption(VU_FRONT_ERROR_PROTOCOL, "no answer among");
	kept_finish();
}

static void send_fence(unsigned repeats)
{
	send_request(VU_GET_PROTOCOL_FEATURES, 0, UINT64_MAX);
	for (unsigned i = 0; i < repeats; i++)
		send_request(VU_GET_FEATURES, 0, UINT64_MAX);
}

static void test_adopters_that_died(void **state)
{
	kept_connect();
	/* Each of the first three may have sent its fence, or have died before. */
	for (unsigned sent = 0; sent < 8; sent++) {
		send_request(VU_GET_FEATURES, 0, UINT64_MAX);
		for (unsigned i = 0; i < 3; i++) {
			if (sent & 1 << i)
				send_fence(i);
		}
		kept.state->fences = 3;
		kept_adopt();
		assert_int_equal(kept.state->fences, 0);
		kept_check();
		g_clear_pointer(&f, vu_front_free);
	}
	kept.state->fences = 16;
	expect_no_adoption(VU_FRONT_ERROR_GONE, "16 processes in a row died");
	kept_finish();
}

static void test_memory_is_replaced(void **state)
{
	struct mem_region_desc desc[9] = { 0 };
	int fds[9], file = memfd_create("a", MFD_CLOEXEC);

	for (unsigned i = 0; i < 9; i++) {
		desc[i].guest_addr = i;
		fds[i] = file;
	}
	kept_start();
	assert_true(vu_front_set_memory(f, desc, fds, 9, NULL));
	g_clear_pointer(&f, vu_front_free);
	kept_adopt();
	__atomic_store_n(&b->n_notes, 0, __ATOMIC_RELEASE);
	assert_true(vu_front_set_memory(f, desc, fds, 9, NULL));
	assert_true(vu_front_set_memory(f, desc, fds, 9, NULL));
	kept_finish();
	close(file);
	/* What the predecessor had told is forgotten, at first. */
	assert_int_equal(b->n_notes, 2);
	assert_int_equal(b->notes[0].request, VU_SET_MEM_TABLE);
	assert_int_equal(b->notes[0].n_fds, 8);
	assert_int_equal(b->notes[1].request, VU_ADD_MEM_REG);
	assert_int_equal(b->notes[1].u64[1], 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(kept, test_nothing_under_way),
		TEST_WITH(kept, test_both_at_a_time),
		TEST_WITH(kept, test_answer_is_unread),
		TEST_WITH(kept, test_answer_is_in_parts),
		TEST_WITH(kept, test_back_end_waits_on_the_channel),
		TEST_WITH(kept, test_channel_request_is_pending),
		TEST_WITH(kept, test_channel_request_is_owed),
		TEST_WITH(kept, test_channel_is_closed),
		TEST_WITH(kept, test_no_channel),
		TEST_WITH(kept, test_back_end_is_silent),
		TEST_WITH(kept, test_back_end_leaves),
		TEST_WITH(kept, test_connection_was_lost_before),
		TEST_WITH(kept, test_without_protocol_features),
		TEST_WITH(kept, test_state_is_damaged),
		TEST_WITH(kept, test_stale_answers_are_thrown_away),
		TEST_WITH(kept, test_adopters_that_died),
		TEST_WITH(kept, test_memory_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
