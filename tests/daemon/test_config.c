/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration space, back-end channel, PROBE, and who is answered when. */
#include "tests/daemon/peer.h"

#include <sys/socket.h>

struct config {
	struct vu_config header;
	uint8_t data[256];
};

/* Bytes of payload in the reply; the data is in p->msg. */
static size_t get_config(struct peer *p, uint32_t offset, uint32_t size)
{
	struct config c = { { offset, size, 1 } };

	peer_ask(p, VU_GET_CONFIG, &c, sizeof(c.header) + size);
	return p->msg.header.size;
}

static void test_get(void **state)
{
	struct peer *p = *state;
	const uint8_t *data = p->msg.payload.bytes + sizeof(struct vu_config);
	const uint8_t tail[] = { 20, 21, 22, 23, 0, 0, 0, 0 };

	assert_int_equal(get_config(p, 0, TOY_CONFIG_SIZE), 12 + TOY_CONFIG_SIZE);
	for (unsigned i = 0; i < TOY_CONFIG_SIZE; i++)
		assert_int_equal(data[i], i);
	assert_int_equal(get_config(p, 5, 1), 13);
	assert_int_equal(data[0], 5);
	/* Larger structs than ours are read with zeroes at their end. */
	assert_int_equal(get_config(p, 20, 8), 20);
	assert_int_equal(p->msg.payload.config.offset, 20);
	assert_int_equal(p->msg.payload.config.size, 8);
	assert_memory_equal(data, tail, 8);
	assert_int_equal(get_config(p, 0, 256), 12 + 256);
	assert_int_equal(get_config(p, 0, 0), 12);
	/* Beyond the end there is nothing: no payload. */
	assert_int_equal(get_config(p, TOY_CONFIG_SIZE, 1), 0);
	assert_int_equal(get_config(p, UINT32_MAX, 4), 0);
	assert_false(peer_is_closed(p));
}

static uint64_t set_config(struct peer *p, uint32_t offset, uint32_t size, uint32_t flags)
{
	struct config c = { { offset, size, flags } };

	memset(c.data, 0xee, sizeof(c.data));
	return peer_ack(p, VU_SET_CONFIG, &c, sizeof(c.header) + size, NULL, 0);
}

static void test_set(void **state)
{
	struct peer *p = *state;
	const uint8_t *config = toy.device->config;

	peer_negotiate(p);
	/* Writable are 4 to 7 and 12 to 13; the rest is ignored, not refused. */
	assert_int_equal(set_config(p, 0, 4, 0), 0);
	assert_int_equal(toy.writes, 0);
	assert_int_equal(set_config(p, 6, 1, 0), 0);
	assert_int_equal(toy.writes, 1);
	assert_int_equal(toy.write_offset[0], 6);
	assert_int_equal(toy.write_size[0], 1);
	assert_int_equal(config[6], 0xee);
	assert_int_equal(config[7], 7);
	/* The whole space and more, as QEMU's input device does. */
	toy.writes = 0;
	assert_int_equal(set_config(p, 0, 256, 0), 0);
	assert_int_equal(toy.writes, 2);
	assert_int_equal(toy.write_offset[0], 4);
	assert_int_equal(toy.write_size[0], 4);
	assert_int_equal(toy.write_offset[1], 12);
	assert_int_equal(toy.write_size[1], 2);
	for (unsigned i = 0; i < TOY_CONFIG_SIZE; i++)
		assert_int_equal(config[i], (i >= 4 && i < 8) || i == 12 || i == 13 ? 0xee : i);
	assert_int_equal(set_config(p, 7, 6, 1), 0);
	assert_int_equal(toy.writes, 4);
	/* Beyond the end. */
	assert_int_not_equal(set_config(p, TOY_CONFIG_SIZE, 1, 0), 0);
	assert_logged("refused: SET_CONFIG: offset 24 is past the end");
	assert_int_not_equal(set_config(p, UINT32_MAX, 200, 0), 0);
	assert_int_equal(toy.writes, 4);
	peer_check_served(p);
}

/* A driver may write before its rings run: the reset of the device comes before that, not after. */
static void test_set_by_next_driver(void **state)
{
	struct peer *p = *state;

	peer_start(p);
	driver_round_trip(p, 0);
	assert_int_equal(set_config(p, 4, 1, 0), 0);
	assert_int_equal(toy.resets, 0);
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		peer_get_base(p, i);
		driver_reset(p, i);
	}
	assert_int_equal(set_config(p, 5, 1, 0), 0);
	assert_int_equal(toy.resets, 1);
	assert_int_equal(toy.writes, 2);
	peer_start(p);
	driver_round_trip(p, 0);
	assert_int_equal(toy.resets, 1);
}

/* More or fewer bytes than the header says. */
static void test_length_differs(void **state)
{
	struct peer *p = *state;
	struct config c = { { 0, 8, 0 } };

	peer_negotiate(p);
	assert_int_not_equal(peer_ack(p, VU_SET_CONFIG, &c, 12 + 7, NULL, 0), 0);
	assert_logged("refused: SET_CONFIG: 7 bytes of configuration instead of 8");
	peer_send(p, VU_GET_CONFIG, 0, &c, 12 + 9, NULL, 0);
	assert_true(peer_is_closed(p));
	assert_logged("closing the connection: GET_CONFIG: 9 bytes");
	peer_check_served(p);
}

/* Tells whether CONFIG_CHANGE_MSG came, and nothing else. */
static bool told(struct peer *p)
{
	struct vu_header h[2];
	ssize_t n;

	peer_run();
	n = recv(p->channel, h, sizeof(h), MSG_DONTWAIT);
	if (n < 0)
		return false;
	assert_int_equal(n, sizeof(*h));
	assert_int_equal(h->request, VU_BACKEND_CONFIG_CHANGE_MSG);
	assert_int_equal(h->flags, VU_VERSION); /* in particular no need_reply */
	assert_int_equal(h->size, 0);
	return true;
}

static void test_change(void **state)
{
	struct peer *p = *state;

	toy_config_change(); /* no front-end is connected yet */
	peer_negotiate(p);
	peer_open_channel(p);
	/* A suspended back-end says nothing, and then what is due, once. */
	toy_config_change();
	toy_config_change();
	assert_false(told(p));
	peer_share_memory(p);
	peer_setup_ring(p, 0, 0);
	peer_enable(p, 0, true);
	assert_true(told(p));
	assert_false(told(p));
	backend_reload(p->backend);
	peer_run();
	assert_int_equal(toy.reloads, 1);
	assert_true(told(p));
	peer_get_base(p, 0);
	toy_config_change();
	assert_false(told(p));
	/* What the front-end sends on the channel is dropped, its fds too. */
	assert_int_equal(sock_send(p->channel, "acknowledged", 12, &p->memfd, 1, 0), 0);
	peer_run();
	peer_setup_ring(p, 0, 0);
	assert_true(told(p));
	/* It closes its end: no front-end is left to notify. */
	fd_close(&p->channel);
	peer_run();
	assert_logged("the back-end channel is closed");
	toy_config_change();
	driver_round_trip(p, 0);
	peer_open_channel(p);
	assert_true(told(p));
	/* The next front-end hears of nothing that was before it. */
	peer_get_base(p, 0);
	toy_config_change();
	peer_disconnect(p);
	toy_config_change();
	peer_run();
	peer_connect(p);
	driver_reset(p, 0);
	peer_start(p);
	peer_open_channel(p);
	assert_false(told(p));
}

static void test_change_unwanted(void **state)
{
	struct peer *p = *state;

	peer_start(p);
	peer_open_channel(p);
	assert_int_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, VU_BIT(VU_F_REPLY_ACK)), 0);
	toy_config_change();
	assert_false(told(p));
}

/* The front-end does not read the channel: the main loop must not wait for it. */
static void test_channel_full(void **state)
{
	struct peer *p = *state;
	char bytes[65536];
	unsigned before = 0, after = 0;

	peer_start(p);
	peer_open_channel(p);
	for (int i = 0; i < 5000; i++) {
		toy_config_change();
		peer_run_loop();
	}
	driver_round_trip(p, 0);
	while (recv(p->channel, bytes, 12, MSG_DONTWAIT) == 12)
		before++;
	assert_true(before > 10 && before < 5000);
	/* The last one still comes. */
	peer_run();
	while (recv(p->channel, bytes, 12, MSG_DONTWAIT) == 12)
		after++;
	assert_int_equal(after, 1);
}

/* Both dialects of messages 41 to 43 on one connection. */
static void test_probe(void **state)
{
	struct peer *p = *state;
	const uint8_t uuid[16] = { 1, 2, 3 };

	for (int acked = 0; acked < 2; acked++) {
		assert_int_equal(peer_ask(p, VU_GET_DEVICE_ID, NULL, 0), 42);
		assert_int_equal(p->msg.header.size, 4);
		assert_int_equal(peer_ask(p, VU_GET_CONFIG_SIZE, NULL, 0), TOY_CONFIG_SIZE);
		assert_int_equal(p->msg.header.size, 4);
		assert_int_equal(peer_ask(p, VU_GET_MIN_VQ, NULL, 0), 1);
		assert_int_equal(p->msg.header.size, 4);
		/* "There is no such object." */
		peer_ask(p, VU_GET_SHARED_OBJECT, uuid, sizeof(uuid));
		assert_int_equal(p->msg.header.size, sizeof(uuid));
		peer_negotiate(p);
	}
	/* DEVICE_STATE was not offered. */
	peer_send(p, VU_SET_DEVICE_STATE_FD, 0, uuid, 8, &p->memfd, 1);
	assert_true(peer_is_closed(p));
	assert_logged("closing the connection: SET_DEVICE_STATE_FD: DEVICE_STATE is not offered");
	peer_check_served(p);
}

static void test_no_probe(void **state)
{
	struct peer *p = *state;

	peer_disconnect(p);
	peer_options.probe = false;
	peer_make_backend(p, &toy_ops);
	peer_connect(p);
	assert_int_equal(peer_ask(p, VU_GET_PROTOCOL_FEATURES, NULL, 0),
		ALL_PROTOCOL_FEATURES & ~VU_BIT(VU_F_PROBE));
	peer_send(p, VU_GET_DEVICE_ID, 0, NULL, 0, NULL, 0);
	assert_true(peer_is_closed(p));
	assert_logged("closing the connection: GET_DEVICE_ID: PROBE/SHARED_OBJECT is not offered");
	peer_check_served(p);
}

static void test_acks(void **state)
{
	struct peer *p = *state;
	uint64_t u64 = VU_BIT(VU_F_MQ);

	/* Not negotiated: not a word, right or wrong. */
	peer_send(p, VU_SET_OWNER, VU_FLAG_NEED_REPLY, NULL, 0, NULL, 0);
	assert_false(peer_receive(p));
	peer_send(p, VU_SET_VRING_NUM, VU_FLAG_NEED_REPLY, &(uint64_t){ 0 }, 8, NULL, 0);
	assert_false(peer_receive(p));
	peer_send(p, VU_SET_PROTOCOL_FEATURES, VU_FLAG_NEED_REPLY, &u64, 8, NULL, 0);
	assert_false(peer_receive(p));
	/* This message turns it on for itself, also if it asks for too much. */
	assert_int_not_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES,
				     VU_BIT(VU_F_REPLY_ACK) | VU_BIT(VU_F_PAGEFAULT)),
		0);
	assert_logged("refused: SET_PROTOCOL_FEATURES: 0x100 was not offered");
	assert_int_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, VU_BIT(VU_F_REPLY_ACK)), 0);
	/* Negotiated, but not asked for. */
	peer_tell(p, VU_RESET_OWNER, NULL, 0);
	peer_tell(p, VU_SET_VRING_NUM, &(uint64_t){ 0 }, 8);
	assert_int_equal(peer_ack(p, VU_RESET_OWNER, NULL, 0, NULL, 0), 0);
	/* A message with a reply of its own has that one only. */
	peer_send(p, VU_GET_FEATURES, VU_FLAG_NEED_REPLY, NULL, 0, NULL, 0);
	assert_true(peer_receive(p));
	assert_true(p->msg.payload.u64 & VU_BIT(VIRTIO_F_VERSION_1));
	assert_false(peer_receive(p));
	assert_int_equal(peer_ack_u64(p, VU_SET_FEATURES, VU_BIT(63)), EINVAL);
	assert_logged("refused: SET_FEATURES: 0x8000000000000000 was not offered");
	peer_check_served(p);
}

static void test_open_fails(void **state)
{
	struct peer *p = *state;
	g_autoptr(GError) error = NULL;

	peer_disconnect(p);
	backend_free(g_steal_pointer(&p->backend));
	toy.closes = 0;
	toy.fail_open = true;
	assert_null(backend_new(&toy_ops, &peer_options, &error));
	assert_string_equal(error->message, "no toy");
	assert_int_equal(toy.closes, 1);
	toy.fail_open = false;
	peer_make_backend(p, &toy_ops);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(peer, test_get),
		TEST_WITH(peer, test_set),
		TEST_WITH(peer, test_set_by_next_driver),
		TEST_WITH(peer, test_length_differs),
		TEST_WITH(peer, test_change),
		TEST_WITH(peer, test_change_unwanted),
		TEST_WITH(peer, test_channel_full),
		TEST_WITH(peer, test_probe),
		TEST_WITH(peer, test_no_probe),
		TEST_WITH(peer, test_acks),
		TEST_WITH(peer, test_open_fails),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
