/* SPDX-License-Identifier: Apache-2.0 */
/* Standard error that is not read: log lines do not block; they are dropped and counted. */
#include "tests/lib/test.h"

#include <pty.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/util.h"

#define LINES 20000 /* more than anything below holds */

enum kind { PIPE, TERMINAL, SOCKET };

struct log_full {
	int saved, reader;
};

static int setup(void **state)
{
	struct log_full *w = g_new0(struct log_full, 1);

	w->saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	w->reader = -1;
	log_set_program("test");
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct log_full *w = *state;

	fd_close(&w->saved);
	fd_close(&w->reader);
	g_free(w);
	return 0;
}

/* Makes standard error one of these, blocking, and w->reader its other end. */
static void replace_stderr(struct log_full *w, enum kind kind)
{
	int fds[2] = { -1, -1 };

	if (kind == PIPE)
		assert_int_equal(pipe(fds), 0);
	else if (kind == TERMINAL)
		assert_int_equal(openpty(&fds[0], &fds[1], NULL, NULL, NULL), 0);
	else
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	w->reader = fds[0];
	fcntl(w->reader, F_SETFL, O_NONBLOCK);
}

/* Appends what the reader has to read. */
static void drain(struct log_full *w, GString *text)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(w->reader, buf, sizeof(buf))) > 0)
		g_string_append_len(text, buf, n);
}

static bool came(struct log_full *w, GString *text, const char *words)
{
	drain(w, text);
	return strstr(text->str, words);
}

/* Counts the lines that came, and adds up the numbers of those dropped. */
static void count_lines(const char *text, unsigned *whole, unsigned *dropped, unsigned *reports)
{
	g_auto(GStrv) lines = g_strsplit_set(text, "\r\n", -1);

	*whole = *dropped = *reports = 0;
	for (char **line = lines; *line; line++) {
		unsigned n;

		if (g_str_equal(*line, "test: line 12345"))
			++*whole;
		if (!g_str_has_suffix(
			    *line, " log lines were dropped: standard error was not read") ||
			sscanf(*line, "test: warning: %u", &n) != 1)
			continue;
		*dropped += n;
		++*reports;
	}
}

/* Checks it; opened: as programs do, with log_open(); or by poll() alone. */
static void check_never_blocks(struct log_full *w, enum kind kind, bool opened)
{
	g_autoptr(GString) text = g_string_new(NULL);
	unsigned whole, dropped, reports;

	replace_stderr(w, kind);
	if (opened)
		log_open();
	/* Only the calling thread would notice: no time limit but the test's own. */
	for (unsigned i = 0; i < LINES; i++)
		log_info(NULL, "line 12345");
	assert_false(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK);
	drain(w, text);
	log_info(NULL, "again");
	WAIT_UNTIL(came(w, text, "test: again"));
	dup2(w->saved, STDERR_FILENO);
	log_open();
	count_lines(text->str, &whole, &dropped, &reports);
	assert_true(dropped > 0 && reports > 0);
	/* A line may be cut just before its end, and be ended by the next. */
	assert_in_range(whole + dropped, LINES, LINES + reports);
	fd_close(&w->reader);
}

static void test_log_never_blocks_on_pipe(void **state)
{
	check_never_blocks(*state, PIPE, false);
	check_never_blocks(*state, PIPE, true);
}

static void test_log_never_blocks_on_terminal(void **state)
{
	check_never_blocks(*state, TERMINAL, true);
}

static void test_log_never_blocks_on_socket(void **state)
{
	check_never_blocks(*state, SOCKET, true);
}

/* Another process fills the pipe in one write, so that there is never room for a line. */
static void test_log_never_blocks_beside_others(void **state)
{
	struct log_full *w = *state;
	g_autofree char *text = g_strnfill(65536, 'x');
	autofd other = -1;

	replace_stderr(w, PIPE);
	other = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	log_open();
	assert_int_equal(write(other, text, 65536), 65536);
	log_info(NULL, "no room");
	/* Nor for a whole line: 4095 bytes are left of the pipe's last page. */
	assert_int_equal(read(w->reader, text, 4095), 4095);
	log_info(NULL, "no room");
	dup2(w->saved, STDERR_FILENO);
	log_open();
	log_flush();
}

/* A process that logs too much: in a child, as it is for good. */
static void test_log_limit_of_process(void **state)
{
	struct log_full *w = *state;
	g_autoptr(GString) text = g_string_new(NULL);
	pid_t pid;
	int status;

	replace_stderr(w, PIPE);
	fcntl(w->reader, F_SETPIPE_SZ, 1 << 20);
	pid = fork();
	if (pid == 0) {
		log_open();
		log_limit_process();
		log_set_level(LOG_LEVEL_DEBUG);
		for (unsigned i = 0; i < 1500; i++)
			log_warning(NULL, "line %u", i);
		log_debug(NULL, "is let through");
		_exit(0);
	}
	dup2(w->saved, STDERR_FILENO);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	drain(w, text);
	assert_non_null(strstr(text->str, "test: warning: line 999\n"));
	assert_null(strstr(text->str, "line 1000\n"));
	assert_true(g_str_has_suffix(text->str,
		"line 999\ntest: warning: 500 log lines were dropped: more than 1000 came within "
		"five seconds\ntest: debug: is let through\n"));
	fd_close(&w->reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_log_never_blocks_on_pipe),
		TEST(test_log_never_blocks_on_terminal),
		TEST(test_log_never_blocks_on_socket),
		TEST(test_log_never_blocks_beside_others),
		TEST(test_log_limit_of_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
