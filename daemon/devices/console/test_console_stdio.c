/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-console: standard input and output, a terminal here. */
#include "test_ports.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>

/* The terminal's end for its user, and what the device has for standard input and output. */
struct user_terminal {
	int user, program;
};

static void set_size(const struct user_terminal *t, unsigned short cols, unsigned short rows)
{
	const struct winsize size = { .ws_col = cols, .ws_row = rows };

	assert_int_equal(ioctl(t->user, TIOCSWINSZ, &size), 0);
}

static void open_terminal(struct user_terminal *t)
{
	t->user = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	assert_true(t->user >= 0);
	assert_int_equal(grantpt(t->user), 0);
	assert_int_equal(unlockpt(t->user), 0);
	t->program = open(ptsname(t->user), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(t->program >= 0);
}

/* Starts the device at the terminal; the test's own output goes where it went. */
static void start(struct kit *k, const struct user_terminal *t)
{
	int own[2];

	for (int fd = 0; fd < 2; fd++) {
		own[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		assert_int_equal(dup2(t->program, fd), fd);
	}
	kit_start(k, "--backend=stdio", NULL);
	for (int fd = 0; fd < 2; fd++) {
		assert_int_equal(dup2(own[fd], fd), fd);
		close(own[fd]);
	}
}

static void close_terminal(struct user_terminal *t)
{
	close(t->user);
	close(t->program);
}

static void expect_size(struct kit *k, uint8_t cols, uint8_t rows)
{
	const uint8_t wanted[] = { cols, 0, rows, 0 };
	uint8_t config[sizeof(wanted)];

	kit_config_read(k, 0, config, sizeof(config));
	assert_memory_equal(config, wanted, sizeof(wanted));
}

/* Nothing is translated on the way, and a change of the size is seen. */
static void test_terminal(struct kit *k)
{
	struct kit_request *r;
	struct user_terminal t;
	struct termios mode;
	char text[5];

	open_terminal(&t);
	set_size(&t, 100, 30);
	start(k, &t);
	expect_size(k, 100, 30);
	assert_int_equal(write(t.user, "a\r\004", 3), 3);
	r = kit_send(k, 0, NULL, 0, 16);
	assert_int_equal(kit_wait(k, r), 3);
	assert_memory_equal(r->in, "a\r\004", 3);
	r = kit_send(k, 1, "x\n\r\tz", 5, 0);
	read_host(k, t.user, text, 5, r);
	assert_memory_equal(text, "x\n\r\tz", 5);
	set_size(&t, 132, 43);
	assert_int_equal(kill(kit_pid(k), SIGWINCH), 0);
	kit_wait_config(k, 1);
	expect_size(k, 132, 43);
	assert_int_equal(tcgetattr(t.program, &mode), 0);
	assert_int_equal(mode.c_lflag & (ICANON | ECHO | ISIG), ISIG);
	close_terminal(&t);
}

static const struct kit_test tests[] = {
	{ "terminal", test_terminal, .skip = KIT_NO_KILL },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
