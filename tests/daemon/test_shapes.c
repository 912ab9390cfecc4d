/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that are not what they should be. Each time: a line in the log that names the message,
 * the right kind of refusal, nothing leaked, and the next connection is served.
 */
#include "tests/daemon/peer.h"

#include <sys/socket.h>

/*
 * Expects what the front-end sees: a reply of its own cannot be given, anything else is
 * acknowledged.
 */
static void expect_refusal(struct peer *p, const struct vu_shape *shape, const char *what)
{
	bool answered = peer_receive(p);

	if (shape && shape->reply == VU_REPLY_ALWAYS) {
		if (answered || !peer_is_closed(p))
			fail_msg(
				"%s (%s): the connection lives\n%s", shape->name, what, log_text());
		assert_logged("closing the connection: ");
	} else {
		if (!answered || p->msg.header.size != 8 || !p->msg.payload.u64)
			fail_msg("%s (%s): not refused\n%s", shape ? shape->name : "unknown", what,
				log_text());
		assert_logged("refused: ");
	}
	if (shape)
		assert_logged(shape->name);
	peer_check_served(p);
}

typedef void bad_fn(struct peer *p, uint32_t request, const struct vu_shape *shape);

/* Runs fn on a new back-end for every request that there is, in both of its dialects. */
static void for_all_requests(bad_fn *fn)
{
	for (uint32_t request = 1; request < VU_REQUEST_END; request++) {
		void *state;

		assert_non_null(vu_shape(request));
		peer_setup(&state);
		assert_int_equal(
			peer_ack_u64(state, VU_SET_PROTOCOL_FEATURES, ALL_PROTOCOL_FEATURES), 0);
		fn(state, request, vu_shape(request));
		peer_teardown(&state);
	}
}

static bool size_is_right(uint32_t request, const struct vu_shape *shape, size_t size)
{
	return (size >= shape->min_size && size <= shape->max_size) ||
		vu_probe_shape(request, size, 0, 0, false);
}

static void wrong_sizes(struct peer *p, uint32_t request, const struct vu_shape *shape)
{
	const size_t sizes[] = { shape->min_size - 1u, shape->max_size + 1u, 0, 4096 };
	/* As many fds as there should be, so that the size alone is wrong. */
	const int fds[] = { p->memfd };

	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
		if (sizes[i] > VU_MAX_PAYLOAD || size_is_right(request, shape, sizes[i]))
			continue;
		log_clear();
		peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, ALL_PROTOCOL_FEATURES);
		peer_send(p, request, VU_FLAG_NEED_REPLY, NULL, sizes[i], fds, shape->min_fds);
		if (request == VU_SET_PROTOCOL_FEATURES) {
			/* Whether acknowledgements are on is not known from such a message. */
			assert_false(peer_receive(p));
			assert_logged("refused: SET_PROTOCOL_FEATURES: ");
			continue;
		}
		expect_refusal(p, shape, "size");
	}
}

static void wrong_fds(struct peer *p, uint32_t request, const struct vu_shape *shape)
{
	const int fds[] = { p->memfd, p->memfd };
	const unsigned counts[] = { shape->min_fds - 1u, shape->max_fds + 1u };

	for (unsigned i = 0; i < G_N_ELEMENTS(counts); i++) {
		uint64_t value = request == VU_SET_PROTOCOL_FEATURES ? ALL_PROTOCOL_FEATURES : 0;

		if (counts[i] > G_N_ELEMENTS(fds))
			continue;
		log_clear();
		peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, ALL_PROTOCOL_FEATURES);
		peer_send(p, request, VU_FLAG_NEED_REPLY, shape->min_size == 8 ? &value : NULL,
			shape->min_size, fds, counts[i]);
		expect_refusal(p, shape, "fds");
	}
}

static void test_sizes(void **state)
{
	for_all_requests(wrong_sizes);
}

static void test_fds(void **state)
{
	for_all_requests(wrong_fds);
}

static void bad_ring_index(struct peer *p, uint32_t request, const struct vu_shape *shape)
{
	struct vu_vring_addr index = { .index = 255, .flags = 0 };
	const uint32_t needs = shape->needs_feature_plus1;

	if (shape->ring == VU_RING_NONE || (needs && !(ALL_PROTOCOL_FEATURES & VU_BIT(needs - 1))))
		return;
	peer_send(p, request, VU_FLAG_NEED_REPLY, &index, shape->min_size, &p->memfd,
		shape->ring == VU_RING_FD);
	expect_refusal(p, shape, "ring index");
	assert_logged("there is no ring 255, only 2");
}

static void test_ring_index(void **state)
{
	for_all_requests(bad_ring_index);
}

/* Sends every message of a feature that is not offered. */
static void not_offered(struct peer *p, uint32_t request, const struct vu_shape *shape)
{
	const uint32_t needs = shape->needs_feature_plus1;

	if (!needs || ALL_PROTOCOL_FEATURES & VU_BIT(needs - 1))
		return;
	if (vu_probe_shape(request, shape->min_size, shape->min_fds, 0, false))
		return;
	peer_send(p, request, VU_FLAG_NEED_REPLY, NULL, shape->min_size, &p->memfd, shape->min_fds);
	expect_refusal(p, shape, "not offered");
	assert_logged("is not offered");
}

static void test_not_offered(void **state)
{
	for_all_requests(not_offered);
}

/* And of what no protocol feature speaks. */
static void test_not_supported(void **state)
{
	const uint32_t requests[] = { VU_IOTLB_MSG, VU_GPU_SET_SOCKET };
	struct peer *p = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(requests); i++) {
		const struct vu_shape *shape = vu_shape(requests[i]);

		log_clear();
		peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, ALL_PROTOCOL_FEATURES);
		peer_send(p, requests[i], VU_FLAG_NEED_REPLY, NULL, shape->min_size, &p->memfd,
			shape->min_fds);
		expect_refusal(p, shape, "not supported");
		assert_logged("is not supported");
	}
}

static void test_unknown(void **state)
{
	const uint32_t requests[] = { 0, VU_REQUEST_END, 1000 };
	struct peer *p = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(requests); i++) {
		log_clear();
		/* Without acknowledgement it is logged, and that is all. */
		peer_send(p, requests[i], VU_FLAG_NEED_REPLY, NULL, 16, &p->memfd, 1);
		assert_false(peer_receive(p));
		assert_logged("is not known");
		peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, ALL_PROTOCOL_FEATURES);
		peer_tell(p, requests[i], NULL, 0);
		peer_send(p, requests[i], VU_FLAG_NEED_REPLY, NULL, 4096, NULL, 0);
		expect_refusal(p, NULL, "unknown");
	}
}

/* More fds than one message may have: they come in two parts of it. */
static void test_too_many_fds(void **state)
{
	struct peer *p = *state;
	struct vu_header header = { VU_SET_MEM_TABLE, VU_VERSION | VU_FLAG_NEED_REPLY, 8 };
	uint8_t wire[20] = { 0 };
	int fds[200];

	peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, ALL_PROTOCOL_FEATURES);
	for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++)
		fds[i] = p->memfd;
	memcpy(wire, &header, sizeof(header));
	assert_int_equal(sock_send(p->sock, wire, 12, fds, 200, 0), 0);
	assert_int_equal(sock_send(p->sock, wire + 12, 8, fds, 200, 0), 0);
	expect_refusal(p, vu_shape(VU_SET_MEM_TABLE), "truncated");
	assert_logged("file descriptors were lost");
}

static void send_raw(struct peer *p, const void *bytes, size_t n)
{
	assert_int_equal(send(p->sock, bytes, n, MSG_NOSIGNAL), n);
	peer_run();
}

static void test_damaged_framing(void **state)
{
	const struct vu_header bad[] = {
		{ VU_GET_FEATURES, 2, 0 }, /* version */
		{ VU_GET_FEATURES, 0, 0 },
		{ VU_GET_FEATURES, VU_VERSION, VU_MAX_PAYLOAD + 1 },
		{ VU_SET_MEM_TABLE, VU_VERSION, UINT32_MAX },
	};
	struct peer *p = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		log_clear();
		send_raw(p, &bad[i], sizeof(bad[i]));
		assert_true(peer_is_closed(p));
		assert_logged("closing the connection: message ");
		peer_check_served(p);
	}
}

/* The connection ends in the middle of a message, which had an fd. */
static void test_ends_inside(void **state)
{
	const size_t lengths[] = { 1, 11, 12, 13, 19 };
	struct vu_header header = { VU_SET_VRING_KICK, VU_VERSION, 8 };
	struct peer *p = *state;
	uint8_t wire[20] = { 0 };

	memcpy(wire, &header, sizeof(header));
	for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
		log_clear();
		assert_int_equal(sock_send(p->sock, wire, lengths[i], &p->memfd, 1, 0), 0);
		peer_run();
		fd_close(&p->sock);
		peer_run();
		assert_logged("closing the connection: closed after ");
		peer_check_served(p);
	}
	/* In pieces it is as good as any. */
	peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, ALL_PROTOCOL_FEATURES);
	header.flags |= VU_FLAG_NEED_REPLY;
	memcpy(wire, &header, sizeof(header));
	assert_int_equal(sock_send(p->sock, wire, 1, &p->kick[0], 1, 0), 0);
	for (unsigned i = 1; i < sizeof(wire); i++)
		send_raw(p, &wire[i], 1);
	assert_true(peer_receive(p));
	assert_int_equal(p->msg.payload.u64, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_fds),
		cmocka_unit_test(test_ring_index),
		cmocka_unit_test(test_not_offered),
		TEST_WITH(peer, test_not_supported),
		TEST_WITH(peer, test_unknown),
		TEST_WITH(peer, test_too_many_fds),
		TEST_WITH(peer, test_damaged_framing),
		TEST_WITH(peer, test_ends_inside),
	};

	return cmocka_run_group_tests_name("shapes", tests, NULL, NULL);
}
