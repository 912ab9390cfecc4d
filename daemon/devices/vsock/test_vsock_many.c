/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-vsock: many connections, and what becomes of them when either side starts afresh. */
#include "daemon/devices/vsock/test_vsock.h"

#include <sys/resource.h>

#define MANY 1000

static void allow_files(void)
{
	struct rlimit files;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
}

/* Takes data for one of many connections, which must be what its host has sent. */
static void take_answer(struct vsock_guest *g, unsigned count, unsigned *got)
{
	const struct vsock_packet *s = guest_next(g);
	unsigned n = le32toh(s->h.dst_port) - GUEST_PORT;
	g_autofree char *text = g_strdup_printf("answer %u", n);

	assert_int_equal(le16toh(s->h.op), OP(RW));
	assert_true(n < count);
	assert_int_equal(s->len, strlen(text));
	assert_memory_equal(s->data, text, s->len);
	++*got;
}

static void test_many(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_STREAM);
	unsigned count = kit_has_pauses(k) || test_under_valgrind() ? 50 : MANY, got = 0;
	g_autofree int *fd = g_new(int, count);

	allow_files();
	for (unsigned i = 0; i < count; i++) {
		g.guest_port = GUEST_PORT + i;
		fd[i] = guest_connect(&g, listener);
	}
	for (unsigned i = 0; i < count; i++) {
		g_autofree char *text = g_strdup_printf("question %u", i);

		g.guest_port = GUEST_PORT + i;
		guest_say(&g, text);
	}
	for (unsigned i = count; i-- > 0;) {
		g_autofree char *text = g_strdup_printf("question %u", i);
		g_autofree char *answer = g_strdup_printf("answer %u", i);

		host_hear(k, fd[i], text);
		host_say(fd[i], answer);
	}
	while (got < count)
		take_answer(&g, count, &got);
	for (unsigned i = 0; i < count; i++) {
		g.guest_port = GUEST_PORT + i;
		guest_send(&g, OP(SHUTDOWN), VSOCK_NEITHER, NULL, 0);
		guest_expect(&g, OP(RST));
		host_expect_end(k, fd[i]);
		close(fd[i]);
	}
	assert_non_null(strstr(kit_call(k, "counters", ""), "\"connections\":0,"));
}

static void test_full(struct kit *k)
{
	struct vsock_guest g = guest_start(k, "--max-connections=2");
	autofd listener = host_listen(k, PORT, SOCK_STREAM), fd = guest_connect(&g, listener);
	autofd fd2 = -1;

	g.guest_port++;
	fd2 = guest_connect(&g, listener);
	g.guest_port++;
	guest_send(&g, OP(REQUEST), 0, NULL, 0);
	guest_expect(&g, OP(RST));
	fd_close(&fd);
	g.guest_port = GUEST_PORT;
	guest_expect_shutdown(&g, VSOCK_NEITHER);
	guest_send(&g, OP(RST), 0, NULL, 0);
	fd = guest_connect(&g, listener);
}

/* The driver starts afresh: the host's ends are told, the driver needs no event. */
static void test_reset(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_STREAM), fd = guest_connect(&g, listener);
	struct kit_request *event;

	kit_reset(k);
	host_expect_end(k, fd);
	guest_listen(&g);
	event = kit_send(k, VSOCK_EVENT, NULL, 0, sizeof(struct virtio_vsock_event));
	fd_close(&fd);
	fd = guest_connect(&g, listener);
	guest_say(&g, "new");
	host_hear(k, fd, "new");
	assert_false(kit_is_done(k, event));
}

static void expect_event(struct kit *k, struct kit_request *r)
{
	struct virtio_vsock_event event;

	assert_int_equal(kit_wait(k, r), sizeof(event));
	memcpy(&event, r->in, sizeof(event));
	assert_int_equal(le32toh(event.id), VSOCK_EVENT_TRANSPORT_RESET);
}

/* Requires that the driver is told that all connections are gone: by another process, say. */
static void check_gone(struct kit *k, void (*happen)(struct kit *k))
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_STREAM), fd = guest_connect(&g, listener);
	struct kit_request *event =
		kit_send(k, VSOCK_EVENT, NULL, 0, sizeof(struct virtio_vsock_event));
	struct kit_request *next;

	assert_false(kit_is_done(k, event));
	happen(k);
	expect_event(k, event);
	host_expect_end(k, fd);
	guest_say(&g, "anybody?");
	guest_expect(&g, OP(RST));
	fd_close(&fd);
	fd = guest_connect(&g, listener);
	guest_say(&g, "new");
	host_hear(k, fd, "new");
	/* Once. */
	next = kit_send(k, VSOCK_EVENT, NULL, 0, sizeof(struct virtio_vsock_event));
	assert_false(kit_is_done(k, next));
}

static void test_restart(struct kit *k)
{
	check_gone(k, kit_restart);
}

static void test_leave(struct kit *k)
{
	check_gone(k, kit_leave);
}

static void test_small_event(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);

	guest_send(&g, OP(REQUEST), 0, NULL, 0);
	guest_expect(&g, OP(RST));
	kit_send(k, VSOCK_EVENT, NULL, 0, 3);
	kit_restart(k);
	kit_wait_broken(k, "an event's buffer has 3 bytes");
}

/* A front-end keeps the event queue. */
static void test_two_queues(struct kit *k)
{
	struct vsock_guest g;
	autofd listener = -1, fd = -1;

	kit_core(k)->n_queues = 2;
	g = guest_start(k, NULL);
	listener = host_listen(k, PORT, SOCK_STREAM);
	fd = guest_connect(&g, listener);
	guest_say(&g, "hello");
	host_hear(k, fd, "hello");
	kit_restart(k);
	host_expect_end(k, fd);
	guest_say(&g, "anybody?");
	guest_expect(&g, OP(RST));
	fd_close(&fd);
	fd = guest_connect(&g, listener);
}

/* Adds a connection's request, and a record that must not arrive twice. */
static void add_record(struct vsock_guest *g, unsigned n)
{
	g_autofree uint8_t *request = NULL, *data = NULL;
	char text[8];

	g_snprintf(text, sizeof(text), "%07u", n);
	g->guest_port = GUEST_PORT + n;
	request = make_packet(g, OP(REQUEST), 0, NULL, 0);
	data = make_packet(g, OP(RW), 0, text, 7);
	kit_add(g->k, VSOCK_TX, request, HEAD, 0);
	kit_wait(g->k, kit_send(g->k, VSOCK_TX, data, HEAD + 7, 0));
}

/* The device is killed at any time. */
static void test_once(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_STREAM);
	unsigned count = kit_has_kills(k) ? kit_rounds(k, 10) : 10, arrived = 0;
	g_autofree unsigned *seen = g_new0(unsigned, count);
	int fd;

	for (unsigned i = 0; i < count; i++) {
		add_record(&g, i);
		while (guest_has_packet(&g))
			guest_next(&g);
	}
	while ((fd = sock_accept(listener)) >= 0) {
		char text[8] = "";

		if (recv(fd, text, 7, MSG_DONTWAIT) == 7) {
			unsigned n = (unsigned)strtoul(text, NULL, 10);

			assert_true(n < count);
			assert_int_equal(seen[n]++, 0);
			arrived++;
		}
		close(fd);
	}
	if (kit_core(k))
		assert_int_equal(arrived, count);
}

static const struct kit_test tests[] = {
	{ "many", test_many, .skip = KIT_NO_KILL | KIT_NO_HOSTILE },
	{ "table full", test_full, .skip = KIT_NO_KILL },
	{ "reset", test_reset, .skip = KIT_NO_KILL },
	{ "restart", test_restart, .skip = KIT_NO_KILL },
	{ "leave", test_leave, .skip = KIT_NO_KILL },
	{ "small event", test_small_event, .skip = KIT_NO_KILL },
	{ "two queues", test_two_queues, .skip = KIT_NO_KILL | KIT_NO_PROCESS },
	{ "once", test_once },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
