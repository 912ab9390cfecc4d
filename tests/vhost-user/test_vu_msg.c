/* SPDX-License-Identifier: Apache-2.0 */
/* The reader and the writer of messages, over a socketpair. */
#include "tests/lib/test.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/util.h"
#include "vhost-user/wire/vu_msg.h"

/* near is under test, far is the peer; msg is what is read. */
static int near, far;
static struct vu_reader reader;
static struct vu_msg msg;
static unsigned fds_before;

static int setup(void **state)
{
	int pair[2];

	fds_before = count_fds();
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	near = pair[0];
	far = pair[1];
	reader = (struct vu_reader){ 0 };
	vu_msg_init(&msg, 0);
	return 0;
}

static int teardown(void **state)
{
	vu_msg_clear(&msg);
	fd_close(&near);
	fd_close(&far);
	return count_fds() == fds_before ? 0 : -1;
}

static void feed(const void *bytes, size_t len, const int *fds, unsigned n_fds)
{
	assert_int_equal(sock_send(far, bytes, len, fds, n_fds, 0), 0);
}

static const struct {
	struct vu_header header;
	uint64_t payload;
} sample = { { 42, VU_VERSION | VU_FLAG_NEED_REPLY, 8 }, 0x1122334455667788 };
#define SAMPLE_SIZE 20

static void wire_sample(uint8_t *wire)
{
	memcpy(wire, &sample.header, 12);
	memcpy(wire + 12, &sample.payload, 8);
}

static void expect(enum vu_read what)
{
	g_autoptr(GError) error = NULL;

	assert_int_equal(vu_msg_read(&reader, near, &msg, &error), what);
	assert_int_equal(error != NULL, what == VU_READ_ERROR);
}

static void expect_error(enum vu_msg_error code, const char *part)
{
	g_autoptr(GError) error = NULL;

	assert_int_equal(vu_msg_read(&reader, near, &msg, &error), VU_READ_ERROR);
	assert_true(g_error_matches(error, VU_MSG_ERROR, code));
	assert_non_null(strstr(error->message, part));
}

static void expect_sample(void)
{
	expect(VU_READ_DONE);
	assert_int_equal(msg.header.request, sample.header.request);
	assert_int_equal(msg.header.flags, sample.header.flags);
	assert_int_equal(msg.header.size, 8);
	assert_true(msg.payload.u64 == sample.payload);
	assert_false(msg.truncated);
}

static void test_init_leaves_payload(void **state)
{
	memset(&msg, 0xa5, sizeof(msg));
	vu_msg_init(&msg, VU_GET_FEATURES);
	assert_int_equal(msg.header.request, VU_GET_FEATURES);
	assert_int_equal(msg.header.flags, VU_VERSION);
	assert_int_equal(msg.header.size, 0);
	assert_int_equal(msg.n_fds, 0);
	assert_false(msg.truncated);
	assert_int_equal(msg.payload.bytes[0], 0xa5);
	assert_int_equal(msg.payload.bytes[VU_MAX_PAYLOAD - 1], 0xa5);
}

static void test_byte_by_byte(void **state)
{
	uint8_t wire[SAMPLE_SIZE];

	wire_sample(wire);
	expect(VU_READ_AGAIN);
	for (unsigned i = 0; i < SAMPLE_SIZE - 1; i++) {
		feed(wire + i, 1, NULL, 0);
		expect(VU_READ_AGAIN);
	}
	feed(wire + SAMPLE_SIZE - 1, 1, NULL, 0);
	expect_sample();
	expect(VU_READ_AGAIN);
}

static void test_one_message_at_a_time(void **state)
{
	uint8_t wire[3 * SAMPLE_SIZE];

	for (unsigned i = 0; i < 3; i++)
		wire_sample(wire + i * SAMPLE_SIZE);
	feed(wire, sizeof(wire), NULL, 0);
	for (unsigned i = 0; i < 3; i++)
		expect_sample();
	expect(VU_READ_AGAIN);
	fd_close(&far);
	expect(VU_READ_CLOSED);
}

static void test_without_payload(void **state)
{
	const struct vu_header h = { VU_GET_FEATURES, VU_VERSION, 0 };

	feed(&h, sizeof(h), NULL, 0);
	expect(VU_READ_DONE);
	assert_int_equal(msg.header.request, VU_GET_FEATURES);
	expect(VU_READ_AGAIN);
}

static void test_fds_with_header_and_payload(void **state)
{
	autofd a = eventfd(1, EFD_CLOEXEC), b = eventfd(2, EFD_CLOEXEC);
	const int first[] = { a }, late[] = { b };
	uint8_t wire[SAMPLE_SIZE];
	uint64_t value;
	int fd;

	wire_sample(wire);
	feed(wire, 12, first, 1);
	feed(wire + 12, 8, late, 1);
	expect_sample();
	assert_int_equal(msg.n_fds, 2);
	fd = vu_msg_take_fd(&msg, 1);
	assert_int_equal(read(fd, &value, 8), 8);
	assert_int_equal(value, 2);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	assert_int_equal(vu_msg_take_fd(&msg, 1), -1);
	assert_int_equal(vu_msg_take_fd(&msg, 2), -1);
	assert_int_equal(msg.n_fds, 2);
	vu_msg_clear(&msg);
	assert_int_equal(vu_msg_take_fd(&msg, 0), -1);
	/* The next one does not inherit them. */
	feed(wire, sizeof(wire), NULL, 0);
	expect_sample();
	assert_int_equal(msg.n_fds, 0);
}

static void test_most_fds_and_payload(void **state)
{
	autofd a = eventfd(0, EFD_CLOEXEC);
	struct vu_msg *out = g_new0(struct vu_msg, 1);
	g_autoptr(GError) error = NULL;

	vu_msg_init(out, VU_SET_MEM_TABLE);
	out->header.size = VU_MAX_PAYLOAD;
	out->payload.bytes[VU_MAX_PAYLOAD - 1] = 77;
	out->n_fds = SOCK_MAX_FDS;
	for (unsigned i = 0; i < SOCK_MAX_FDS; i++)
		out->fds[i] = a;
	assert_true(vu_msg_write(far, out, 0, &error));
	expect(VU_READ_DONE);
	assert_int_equal(msg.n_fds, SOCK_MAX_FDS);
	assert_false(msg.truncated);
	assert_int_equal(msg.header.size, VU_MAX_PAYLOAD);
	assert_int_equal(msg.payload.bytes[VU_MAX_PAYLOAD - 1], 77);
	vu_msg_clear(&msg);

	/* One more, along with the payload, does not fit. */
	feed(&out->header, 12, out->fds, SOCK_MAX_FDS);
	feed(out->payload.bytes, VU_MAX_PAYLOAD, out->fds, 1);
	expect(VU_READ_DONE);
	assert_int_equal(msg.n_fds, SOCK_MAX_FDS);
	assert_true(msg.truncated);
	g_free(out);
}

static void test_bad_version(void **state)
{
	autofd a = eventfd(0, EFD_CLOEXEC);
	const struct vu_header h = { 9, 2, 40 };
	const int fds[] = { a };

	feed(&h, sizeof(h), fds, 1);
	expect_error(VU_MSG_ERROR_FRAMING, "message 9 (40 bytes of payload): protocol version 2");
}

static void test_oversized(void **state)
{
	const struct vu_header h = { 5, VU_VERSION, VU_MAX_PAYLOAD + 1 };

	feed(&h, sizeof(h), NULL, 0);
	expect_error(VU_MSG_ERROR_FRAMING, "message 5: 10129 bytes");
}

static void test_closed_too_early(void **state)
{
	/* How much of the sample comes, its header with an fd, before the end. */
	static const struct {
		unsigned bytes;
		const char *error;
	} rows[] = {
		{ 5, "5 of a header's 12 bytes" },
		{ 12, "0 of 8 bytes" },
		{ 15, "3 of 8 bytes of payload of message 42" },
	};
	uint8_t wire[SAMPLE_SIZE];

	wire_sample(wire);
	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		int a = eventfd(0, EFD_CLOEXEC);

		feed(wire, rows[i].bytes, &(const int){ a }, 1);
		expect(VU_READ_AGAIN);
		fd_close(&far);
		expect_error(VU_MSG_ERROR_GONE, rows[i].error);
		assert_int_equal(msg.n_fds, 1);
		close(a);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

static void expect_peek(enum vu_read what, const char *part)
{
	g_autoptr(GError) error = NULL;
	struct vu_header h;

	assert_int_equal(vu_msg_peek(near, &h, &error), what);
	assert_int_equal(error != NULL, what == VU_READ_ERROR);
	if (error && !strstr(error->message, part))
		fail_msg("%s", error->message);
}

static void test_peek_and_take(void **state)
{
	autofd a = eventfd(0, EFD_CLOEXEC);
	const int fds[] = { a };
	uint8_t wire[SAMPLE_SIZE];
	unsigned n = count_fds();

	wire_sample(wire);
	expect_peek(VU_READ_AGAIN, NULL);
	feed(wire, 12, fds, 1);
	for (unsigned i = 12; i < SAMPLE_SIZE; i++) {
		expect_peek(VU_READ_AGAIN, NULL);
		feed(wire + i, 1, NULL, 0);
	}
	for (unsigned i = 0; i < 5; i++)
		feed(wire + i, 1, NULL, 0);
	for (unsigned i = 0; i < 2; i++)
		expect_peek(VU_READ_DONE, NULL);
	/* Nothing of it was taken. */
	assert_int_equal(count_fds(), n);
	assert_true(vu_msg_take(near, &sample.header, SOCK_MAX_FDS, &msg, NULL));
	assert_int_equal(msg.header.flags, sample.header.flags);
	assert_true(msg.payload.u64 == sample.payload);
	assert_int_equal(msg.n_fds, 1);
	vu_msg_clear(&msg);
	expect_peek(VU_READ_AGAIN, NULL);
	fd_close(&far);
	expect_peek(VU_READ_ERROR, "5 of a header's 12 bytes");
}

static void test_peek_at_the_end(void **state)
{
	feed(&sample.header, 12, NULL, 0);
	feed(&sample.payload, 3, NULL, 0);
	fd_close(&far);
	expect_peek(VU_READ_ERROR, "3 of 8 bytes of payload of message 42");
	assert_true(vu_msg_take(near, &(struct vu_header){ .size = 3 }, 0, &msg, NULL));
	expect_peek(VU_READ_CLOSED, NULL);
}

static void test_peek_damaged(void **state)
{
	const struct vu_header h = { 9, 2, 40 };

	feed(&h, sizeof(h), NULL, 0);
	expect_peek(VU_READ_ERROR, "protocol version 2");
}

static void test_write(void **state)
{
	autofd a = eventfd(3, EFD_CLOEXEC);
	g_autoptr(GError) error = NULL;
	struct vu_msg *out = g_new(struct vu_msg, 1);

	vu_msg_init(out, sample.header.request);
	out->header.flags = sample.header.flags;
	vu_msg_set_u64(out, sample.payload);
	out->n_fds = 1;
	out->fds[0] = a;
	assert_true(vu_msg_write(far, out, 0, &error));
	expect_sample();
	assert_int_equal(msg.n_fds, 1);
	/* The sender's fd is still its own. */
	assert_true(fcntl(a, F_GETFD) >= 0);
	g_free(out);
}

static void test_write_to_closed_peer(void **state)
{
	g_autoptr(GError) error = NULL;

	fd_close(&far);
	vu_msg_init(&msg, VU_SET_OWNER);
	assert_false(vu_msg_write(near, &msg, 0, &error));
	assert_true(g_error_matches(error, VU_MSG_ERROR, VU_MSG_ERROR_GONE));
}

static void test_write_to_peer_that_does_not_read(void **state)
{
	g_autoptr(GError) error = NULL;
	struct vu_msg *out = g_new0(struct vu_msg, 1);
	unsigned n = 0;

	vu_msg_init(out, VU_SET_MEM_TABLE);
	out->header.size = VU_MAX_PAYLOAD;
	while (n < 10000 && vu_msg_write(near, out, 1, &error))
		n++;
	assert_in_range(n, 1, 9999);
	assert_true(g_error_matches(error, VU_MSG_ERROR, VU_MSG_ERROR_GONE));
	g_free(out);
}

static bool reply_is_fine(uint32_t asked)
{
	g_autoptr(GError) error = NULL;
	bool ok = vu_msg_check_reply(&msg, asked, vu_shape(asked), &error);

	assert_int_equal(ok, error == NULL);
	if (error)
		assert_non_null(strstr(error->message, vu_shape(asked)->name));
	return ok;
}

static void test_check_reply(void **state)
{
	vu_msg_init(&msg, VU_GET_FEATURES);
	vu_msg_set_u64(&msg, 1);
	assert_false(reply_is_fine(VU_GET_FEATURES));
	msg.header.flags |= VU_FLAG_REPLY;
	assert_true(reply_is_fine(VU_GET_FEATURES));
	assert_false(reply_is_fine(VU_GET_QUEUE_NUM));
	msg.header.size = 4;
	assert_false(reply_is_fine(VU_GET_FEATURES));
	msg.header.size = 8;
	msg.n_fds = 1;
	msg.fds[0] = -1;
	assert_false(reply_is_fine(VU_GET_FEATURES));
	vu_msg_clear(&msg);
	msg.truncated = true;
	assert_false(reply_is_fine(VU_GET_FEATURES));
	/* An acknowledgement. */
	vu_msg_init(&msg, VU_SET_OWNER);
	msg.header.flags |= VU_FLAG_REPLY;
	assert_false(reply_is_fine(VU_SET_OWNER));
	vu_msg_set_u64(&msg, 0);
	assert_true(reply_is_fine(VU_SET_OWNER));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_init_leaves_payload),
		TEST(test_byte_by_byte),
		TEST(test_one_message_at_a_time),
		TEST(test_without_payload),
		TEST(test_fds_with_header_and_payload),
		TEST(test_most_fds_and_payload),
		TEST(test_bad_version),
		TEST(test_oversized),
		TEST(test_closed_too_early),
		TEST(test_peek_and_take),
		TEST(test_peek_at_the_end),
		TEST(test_peek_damaged),
		TEST(test_write),
		TEST(test_write_to_closed_peer),
		TEST(test_write_to_peer_that_does_not_read),
		TEST(test_check_reply),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
