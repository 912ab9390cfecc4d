/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket of a daemon. argv[1] is virtiod-toy. */
#include "tests/daemon/program.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/sock.h"
#include "base/util.h"

#define CALL(method, params) \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\",\"params\":{" params "}}\n"
#define TIMES20(text)                                                                             \
	text text text text text text text text text text text text text text text text text text \
		text text
#define PATIENCE_MS 60000

/* A sanitizer's runtime calls what the sandbox forbids. */
#ifdef SANITIZED
#define SANDBOX "--sandbox=none"
#else
#define SANDBOX "--sandbox=strict"
#endif

static char *control, *control_option;
static struct running daemon_;

static int setup(void **state)
{
	int fd;

	program_setup(state);
	control = g_build_filename(dir, "control", NULL);
	control_option = g_strconcat("--control=", control, NULL);
	daemon_ = START(-1, NULL, path_option, control_option, SANDBOX);
	fd = dial(); /* it listens at the other one, too, by now */
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	if (daemon_.pid) {
		assert_int_equal(kill(daemon_.pid, SIGTERM), 0);
		assert_int_equal(end(&daemon_, NULL, NULL), 0);
		daemon_.pid = 0;
	}
	g_free(control);
	g_free(control_option);
	return program_teardown(state);
}

static int join(void)
{
	int fd = sock_connect(control, NULL);

	assert_true(fd >= 0);
	return fd;
}

static void tell(int fd, const char *text)
{
	assert_int_equal(sock_send(fd, text, strlen(text), NULL, 0, PATIENCE_MS), 0);
}

/* Returns the next line; NULL: the connection has ended. */
static char *next(int fd)
{
	GString *line = g_string_new(NULL);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char bytes[4096];

	for (;;) {
		const char *end;
		ssize_t n;

		assert_int_equal(poll(&pfd, 1, PATIENCE_MS), 1);
		n = recv(fd, bytes, sizeof(bytes), MSG_PEEK);
		if (n <= 0) {
			g_string_free(line, TRUE);
			return NULL;
		}
		end = memchr(bytes, '\n', n);
		n = end ? end + 1 - bytes : n;
		assert_int_equal(read(fd, bytes, n), n);
		g_string_append_len(line, bytes, end ? n - 1 : n);
		if (end)
			return g_string_free(line, FALSE);
	}
}

static void expect(int fd, const char *wanted)
{
	g_autofree char *line = next(fd);

	assert_non_null(line);
	if (!strstr(line, wanted))
		fail_msg("'%s' is not in '%s'", wanted, line);
}

static void expect_end(int fd)
{
	g_autofree char *line = NULL;

	while ((line = next(fd)))
		g_clear_pointer(&line, g_free);
	close(fd);
}

static void ask(int fd, const char *request, const char *wanted)
{
	tell(fd, request);
	expect(fd, wanted);
}

static void test_answers(void **state)
{
	static const struct {
		const char *request, *wanted;
	} cases[] = {
		{ CALL("status", ""), "\"device\":\"toy\"" },
		{ CALL("status", ""), "\"front_end\":\"absent\"" },
		{ CALL("stats", ""), "\"queues\":[{\"queue\":0,\"requests\":0," },
		{ CALL("stats", ""),
			"\"front_end\":\"absent\",\"connections\":0,\"connected_us\":0," },
		{ CALL("inflight", ""), "\"result\":{\"device\":\"toy\",\"queues\":[]}" },
		{ CALL("help", ""), "{\"name\":\"paint\",\"summary\":\"Paint the toy\"" },
		{ CALL("log-level", ""), "\"result\":{\"level\":\"info\"}" },
		{ CALL("log-level", "\"level\":\"debug\""), "\"level\":\"debug\"" },
		{ CALL("log-level", "\"level\":\"loud\""), "-32602" },
		{ CALL("log-level", ""), "\"level\":\"debug\"" },
		{ CALL("sing", ""), "{\"code\":-32601," },
		{ CALL("status", "\"x\":1"), "\"x: no such parameter\"" },
		{ CALL("paint", "\"color\":\"red\",\"layers\":\"0x10\",\"wet\":true"),
			"\"result\":{\"color\":\"red\",\"layers\":16,\"wet\":true}" },
		{ CALL("paint", "\"color\":7"),
			"\"result\":{\"color\":\"7\",\"layers\":0,\"wet\":false}" },
		{ CALL("paint", "\"layers\":1"), "\"color: missing\"" },
		{ CALL("paint", "\"color\":\"magentas!\""), "not a text of at most 8 bytes" },
		{ CALL("paint", "\"color\":\"red\",\"layers\":256"), "from -1 to 255" },
		{ CALL("paint", "\"color\":\"blue\""),
			"{\"code\":-32000,\"message\":\"there is no" },
		{ "{]\n", "\"id\":null,\"error\":{\"code\":-32700," },
		/* Without an id there is no answer. */
		{ "{\"jsonrpc\":\"2.0\",\"method\":\"sing\"}\n" CALL("status", ""), "\"id\":1," },
	};
	int fd = join();

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
		ask(fd, cases[i].request, cases[i].wanted);
	close(fd);
}

/* Answers come in the order of the requests, however those are cut. */
static void test_pieces(void **state)
{
	const char *text = CALL("paint", "\"color\":\"a\"") CALL("log-level", "")
		CALL("paint", "\"color\":\"b\"");
	int fd = join();

	for (unsigned round = 0; round < 2; round++) {
		for (const char *p = text; round && *p; p++)
			tell(fd, (const char[]){ *p, 0 });
		if (!round)
			tell(fd, text);
		expect(fd, "\"color\":\"a\"");
		expect(fd, "\"level\":\"info\"");
		expect(fd, "\"color\":\"b\"");
	}
	/* Who sends no more gets the answers all the same. */
	tell(fd, text);
	shutdown(fd, SHUT_WR);
	expect(fd, "\"color\":\"a\"");
	expect_end(fd);
}

static void test_events(void **state)
{
	int watcher = join(), other = join();

	ask(watcher, CALL("watch", ""), "\"result\":{}");
	ask(other, CALL("paint", "\"color\":\"red\""), "\"result\":{\"color\":\"red\"");
	expect(watcher,
		"{\"jsonrpc\":\"2.0\",\"method\":\"painted\",\"params\":{\"color\":\"red\"}}");
	/* One that does not read gets as many as there is room for. */
	for (unsigned i = 0; i < 100; i++) {
		tell(other, TIMES20(CALL("paint", "\"color\":\"red\"")));
		for (unsigned j = 0; j < 20; j++)
			expect(other, "\"result\"");
	}
	for (bool lost = false; !lost;) {
		g_autofree char *line = next(watcher);

		lost = strstr(line, "\"method\":\"lost\"");
	}
	close(watcher);
	close(other);
}

/* A client that is too slow, or too many, or sends too much, is its own trouble. */
static void test_hostile(void **state)
{
	g_autofree char *blanks = g_strnfill(100 << 10, ' ');
	int front_end = dial(), fd = join(), clients[40];
	const char *help = CALL("help", "");
	size_t sent = 0;

	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	while (sock_send_some(fd, help, strlen(help)) > 0)
		sent++;
	assert_true(sent > 1);
	for (unsigned i = 0; i < G_N_ELEMENTS(clients); i++)
		clients[i] = join();
	ask(clients[39], CALL("status", ""), "\"front_end\":\"connected\"");
	sock_send(clients[39], blanks, strlen(blanks), NULL, 0, PATIENCE_MS);
	expect_end(clients[39]);
	expect_end(clients[0]);
	assert_true(is_served(front_end));
	for (unsigned i = 1; i + 1 < G_N_ELEMENTS(clients); i++)
		close(clients[i]);
	close(fd);
	fd = join();
	ask(fd, CALL("status", ""), "\"queues\":[\"stopped\"]");
	close(fd);
	close(front_end);
}

static void test_quit(void **state)
{
	int front_end = dial(), fd = join();

	assert_true(is_served(front_end));
	ask(fd, CALL("quit", ""), "\"result\":{}");
	assert_int_equal(end(&daemon_, NULL, NULL), 0);
	daemon_.pid = 0;
	assert_int_equal(access(control, F_OK), -1);
	close(fd);
	close(front_end);
}

/* The test ends if the child, another user, is served. */
static void test_other_user(void **state)
{
	struct stat st;
	int status;
	pid_t pid;

	assert_int_equal(stat(control, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(control, 0666), 0);
	assert_int_equal(chmod(dir, 0755), 0);
	pid = fork();
	if (pid == 0) {
		char c;
		int fd;

		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(1);
		fd = sock_connect(control, NULL);
		_exit(fd < 0 || read(fd, &c, 1) != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_quit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_user, setup, teardown),
	};

	program = argv[1];
	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
