/* SPDX-License-Identifier: Apache-2.0 */
/* How serving ends, with requests in flight too. */
#include "tests/daemon/peer.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/loop.h"
#include "base/sock.h"
#include "daemon/session/server.h"

/* Serves a connected socket, whose ring 0 has a request in flight, or in its way. */
static struct server *serve_loaded(struct peer *p, enum toy_mode mode)
{
	struct server *s;
	int pair[2];

	peer_disconnect(p);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	p->sock = pair[0];
	s = server_new(p->backend, false);
	server_start(s, pair[1]);
	peer_start(p);
	toy.mode = mode;
	driver_submit(p, 0);
	driver_kick(p, 0);
	WAIT_IN_LOOP(toy.held || toy.hangs);
	return s;
}

static void release_soon(void *opaque)
{
	eventfd_write(toy.release[0], 1);
}

/* One request is waited for. */
static void test_terminated(void **state)
{
	struct peer *p = *state;
	struct server *s = serve_loaded(p, TOY_HOLD);
	struct loop_watch *soon = loop_watch_soon(release_soon, NULL);

	raise(SIGTERM);
	assert_true(server_run(s));
	assert_int_equal(driver_used(p, 0), 1);
	assert_true(peer_is_closed(p));
	loop_watch_free(soon);
	server_free(s);
}

/* The front-end leaves: so does a server that was given its connection. */
static void test_front_end_leaves(void **state)
{
	struct peer *p = *state;
	struct server *s = serve_loaded(p, TOY_HOLD);
	struct loop_watch *soon = loop_watch_soon(release_soon, NULL);

	fd_close(&p->sock);
	assert_true(server_run(s));
	assert_int_equal(driver_used(p, 0), 1);
	loop_watch_free(soon);
	server_free(s);
}

/* The host never finishes: not for ever; and a second signal does not wait at all. */
static void test_gives_up(void **state)
{
	struct peer *p = *state;
	struct server *s = serve_loaded(p, TOY_HOLD);

	raise(SIGTERM);
	assert_false(server_run(s));
	assert_logged("requests are still in flight after");
	raise(SIGINT);
	assert_false(server_run(s));
	assert_int_equal(toy.held, 1);
	eventfd_write(toy.release[0], 1);
	peer_run();
	server_free(s);
}

/* Nor does the verb of the device that asked it. */
static void test_gives_up_verb(void **state)
{
	struct peer *p = *state;
	struct server *s = serve_loaded(p, TOY_HANG);

	toy.mode = TOY_ECHO;
	raise(SIGTERM);
	assert_false(server_run(s));
	assert_true(toy.hangs);
	eventfd_write(toy.gate, 1);
	peer_run();
	server_free(s);
}

/* Returns the lowest fd that is free, which is the limit that lets no more be opened. */
static rlim_t lowest_free_fd(void)
{
	autofd fd = fcntl(0, F_DUPFD_CLOEXEC, 0);

	return fd;
}

/* A connection that cannot be accepted is waited for, without spinning, and told of once. */
static void test_ends_of_fds_at_accept(void **state)
{
	struct peer *p = *state;

	/* valgrind has fds of its own, and another idea of the limit. */
	if (test_under_valgrind())
		skip();
	struct server *s = server_new(p->backend, false);
	g_autofree char *path = g_strdup_printf("/tmp/virtiod-accept-%d", (int)getpid());
	int listener = sock_listen(path, 0600, (gid_t)-1, NULL);
	autofd front_end = sock_connect(path, NULL);
	struct rlimit before, none;

	peer_disconnect(p);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = lowest_free_fd();
	server_start(s, listener);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	WAIT_IN_LOOP(log_has("accept: Too many open files"));
	log_clear();
	for (int i = 0; i < 3; i++) {
		assert_false(g_main_context_pending(NULL));
		g_main_context_iteration(NULL, TRUE); /* until the next try */
		test_run_loop();
	}
	assert_string_equal(log_text(), "");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	WAIT_IN_LOOP(backend_state(p->backend) == BACKEND_SERVING);
	fd_close(&front_end);
	WAIT_IN_LOOP(backend_state(p->backend) == BACKEND_IDLE);
	unlink(path);
	server_free(s);
}

static void on_signal(void *opaque)
{
}

/* Makes what stays for good: the main loop has fds of its own. */
static int group_setup(void **state)
{
	loop_watch_free(loop_watch_signal(SIGTERM, on_signal, NULL));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(peer, test_terminated),
		TEST_WITH(peer, test_front_end_leaves),
		TEST_WITH(peer, test_gives_up),
		TEST_WITH(peer, test_gives_up_verb),
		TEST_WITH(peer, test_ends_of_fds_at_accept),
	};

	return cmocka_run_group_tests_name("server", tests, group_setup, NULL);
}
