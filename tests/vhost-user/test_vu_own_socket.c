/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A back-end that sends its own ends of socket and channel, and ends. While they wait to be read,
 * also in a socket that another process has open (as a supervisor has), its end is not seen: the
 * front-end must not wait for it as long as for an answer.
 */
#include "front_fixture.h"

#include "base/sock.h"
#include "base/util.h"
#include "kept.h"

/* Some more than one: what is not read any more after an error must not stay, either. */
#define MESSAGES 3

struct place {
	const char *name;
	bool channel, half;
};

static const struct place places[] = {
	{ "replies" },
	{ "half a reply", .half = true },
	{ "requests on the channel", .channel = true },
	{ "half a request on the channel", .channel = true, .half = true },
};

static void send_own_sockets(const struct place *p)
{
	const struct {
		struct vu_header header;
		uint64_t value;
	} __attribute__((packed))
	reply = { { VU_GET_STATUS, VU_VERSION | VU_FLAG_REPLY, sizeof(uint64_t) }, 0 };
	const struct vu_header request = { VU_BACKEND_CONFIG_CHANGE_MSG,
		VU_VERSION | VU_FLAG_NEED_REPLY, p->half ? 8 : 0 };
	const int fds[] = { b->conn, fake_channel_fd(b) };
	int to = p->channel ? fds[1] : fds[0];

	for (unsigned i = 0; i < (p->half ? 1 : MESSAGES); i++)
		if (p->channel)
			assert_int_equal(sock_send(to, &request, sizeof(request), fds, 2, 0), 0);
		else
			assert_int_equal(
				sock_send(to, &reply,
					p->half ? sizeof(reply.header) : sizeof(reply), fds, 2, 0),
				0);
}

/* Checks that since then it took much less than one answer may take. */
static void expect_soon(gint64 start, const struct place *p, GError **error)
{
	gint64 ms = (g_get_monotonic_time() - start) / 1000;

	assert_non_null(*error);
	if (ms > options.deadline_ms / 3)
		fail_msg("%s: %d ms: %s", p->name, (int)ms, (*error)->message);
	g_clear_error(error);
}

static void test_in_a_call(void **state)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
		GError *error = NULL;
		uint8_t status;
		gint64 start;

		kept_start();
		send_own_sockets(&places[i]);
		fake_down(b);
		start = g_get_monotonic_time();
		while (vu_front_get_status(f, &status, &error))
			continue;
		expect_soon(start, &places[i], &error);
		g_clear_pointer(&f, vu_front_free);
		fd_close(&kept.fd);
		fd_close(&kept.channel);
	}
}

/* Its front-end died, too. */
static void test_at_adoption(void **state)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
		struct vu_front_sockets sockets = { .channel_peer = -1 };
		GError *error = NULL;
		gint64 start;

		kept_connect();
		send_own_sockets(&places[i]);
		fake_down(b);
		start = g_get_monotonic_time();
		sockets.fd = kept_dup(kept.fd);
		sockets.channel = kept_dup(kept.channel);
		assert_null(vu_front_adopt(&sockets, "peer", &options, &error));
		expect_soon(start, &places[i], &error);
		fd_close(&kept.fd);
		fd_close(&kept.channel);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(kept, test_in_a_call),
		TEST_WITH(kept, test_at_adoption),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
