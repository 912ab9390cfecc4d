/* SPDX-License-Identifier: Apache-2.0 */
/* virtioctl top: what daemons do now, on a terminal. Keys, signals, the terminal's modes. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "tools/control/asked.h"
#include "tools/control/top.h"
#include "tools/sandbox.h"
#include "tools/virtioctl.h"

#define MAX_SOCKETS 1000
#define MIN_INTERVAL 0.1
#define MAX_INTERVAL 3600
/* Answers that come together are drawn together. */
#define GRACE_NS (100 * 1000000)
/* The alternate screen, without a cursor; and back. */
#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"

/* What the bytes of a key that sends several have been until now: ESC, and "[" or "O". */
enum key_state { KEY_NONE, KEY_ESCAPE, KEY_ARROW };

struct top {
	struct top_view view;
	struct top_daemon *daemons;
	struct pollfd *pfds; /* the keyboard, and the daemons */
	struct termios modes; /* as they were */
	enum key_state key;
	bool quit;
};

static volatile sig_atomic_t signalled; /* the last one that is to end the program */

static void on_signal(int signum)
{
	if (signum != SIGWINCH)
		signalled = signum;
}

/* Lets the signals come only while the program waits; *waiting is the mask for that. */
static void catch_signals(sigset_t *waiting)
{
	static const int signals[] = { SIGWINCH, SIGINT, SIGTERM, SIGHUP };
	const struct sigaction action = { .sa_handler = on_signal };
	sigset_t set;

	sigemptyset(&set);
	for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
		sigaction(signals[i], &action, NULL);
		sigaddset(&set, signals[i]);
	}
	sigprocmask(SIG_BLOCK, &set, waiting);
}

static void write_all(const char *text, size_t len)
{
	fwrite(text, 1, len, stdout);
	fflush(stdout);
}

static bool enter_terminal(struct top *t, GError **error)
{
	struct termios modes;

	if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &t->modes) < 0) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"there is no terminal (without one: virtioctl stats)");
		return false;
	}
	modes = t->modes;
	modes.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	modes.c_cc[VSUSP] = modes.c_cc[VQUIT] = _POSIX_VDISABLE;
	modes.c_cc[VMIN] = 1;
	modes.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSANOW, &modes);
	write_all(ENTER, sizeof(ENTER) - 1);
	return true;
}

static void leave_terminal(const struct top *t)
{
	write_all(LEAVE, sizeof(LEAVE) - 1);
	tcsetattr(STDIN_FILENO, TCSANOW, &t->modes);
}

static void draw(struct top *t)
{
	g_autoptr(GString) screen = g_string_new(NULL);
	struct winsize size;
	struct top_view *v = &t->view;
	unsigned room;

	v->rows = 24;
	v->columns = 80;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col) {
		v->rows = size.ws_row;
		v->columns = size.ws_col;
	}
	room = top_room(v);
	v->first = MIN(v->first, v->n > room ? v->n - room : 0);
	top_sort(v);
	top_draw(screen, v);
	write_all(screen->str, screen->len);
}

static void sort_by(struct top *t, unsigned steps)
{
	t->view.sort = (t->view.sort + steps) % TOP_COLUMNS;
}

static void on_arrow(struct top *t, char c)
{
	if (c == 'A' && t->view.first)
		t->view.first--;
	else if (c == 'B')
		t->view.first++; /* draw() limits it */
	else if (c == 'C')
		sort_by(t, 1);
	else if (c == 'D')
		sort_by(t, TOP_COLUMNS - 1);
}

static void on_key(struct top *t, char c)
{
	enum key_state before = t->key;

	t->key = KEY_NONE;
	if (c == '\033')
		t->key = KEY_ESCAPE;
	else if (before == KEY_ESCAPE && (c == '[' || c == 'O'))
		t->key = KEY_ARROW;
	else if (before == KEY_ARROW)
		on_arrow(t, c);
	else if (c == 'q')
		t->quit = true;
	else if (c == 's')
		sort_by(t, 1);
	else if (c == 'h')
		t->view.help = !t->view.help;
}

static void read_keys(struct top *t)
{
	char keys[64];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	/* The terminal is gone. */
	if (n <= 0)
		t->quit = true;
	for (ssize_t i = 0; i < n; i++)
		on_key(t, keys[i]);
}

/* Obeys keys, and takes answers, as they come until end_ns or a signal. */
static void wait_for_events(struct top *t, uint64_t end_ns, const sigset_t *waiting)
{
	uint64_t now = clock_now_ns(), left = end_ns > now ? end_ns - now : 0;
	struct timespec limit = { left / 1000000000, left % 1000000000 };

	t->pfds[0] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
	for (unsigned i = 0; i < t->view.n; i++) {
		const struct round_daemon *d = &t->daemons[i].round;

		t->pfds[i + 1] =
			(struct pollfd){ .fd = d->asked ? d->client.fd : -1, .events = POLLIN };
	}
	if (ppoll(t->pfds, t->view.n + 1, &limit, waiting) <= 0)
		return;
	if (t->pfds[0].revents)
		read_keys(t);
	for (unsigned i = 0; i < t->view.n; i++) {
		if (t->pfds[i + 1].revents)
			top_take(&t->daemons[i]);
	}
}

/* Draws what has come, until it is time to ask again. */
static void wait_until(struct top *t, uint64_t end_ns, const sigset_t *waiting)
{
	uint64_t draw_ns = MIN(clock_now_ns() + GRACE_NS, end_ns);

	while (!t->quit && !signalled) {
		uint64_t now = clock_now_ns();
		bool complete = now >= draw_ns || !top_expects(t->daemons, t->view.n);

		if (complete)
			draw(t);
		if (now >= end_ns)
			return;
		wait_for_events(t, complete ? end_ns : draw_ns, waiting);
	}
}

static int run(struct top *t, double interval, GError **error)
{
	sigset_t waiting;

	if (!enter_terminal(t, error))
		return ctl_report(*error);
	catch_signals(&waiting);
	while (!t->quit && !signalled) {
		uint64_t end_ns = clock_now_ns() + (uint64_t)(interval * 1e9);

		top_ask(t->daemons, t->view.n);
		wait_until(t, end_ns, &waiting);
	}
	leave_terminal(t);
	return signalled ? CTL_SIGNALLED + signalled : CTL_OK;
}

static int top(char *const *paths, unsigned sandbox, double interval, GError **error)
{
	static const struct syscall_rule calls[] = { SYSCALL_IOCTL(TCSETS), SYSCALL_END };
	unsigned n = g_strv_length((GStrv)paths);
	g_autofree struct top_daemon *daemons = g_new0(struct top_daemon, n);
	g_autofree struct top_daemon **order = g_new(struct top_daemon *, n);
	g_autofree struct pollfd *pfds = g_new(struct pollfd, n + 1);
	struct top t = { .daemons = daemons, .pfds = pfds };
	int status;

	t.view = (struct top_view){ .daemons = order, .n = n, .sort = TOP_IOPS };
	for (unsigned i = 0; i < n; i++) {
		daemons[i] = (struct top_daemon){ .round = { .path = paths[i], .client.fd = -1 },
			.state = "" };
		order[i] = &daemons[i];
	}
	if (!ctl_sandbox_enter_many(sandbox, (const char *const *)paths, calls, error))
		return ctl_report(*error);
	status = run(&t, interval, error);
	for (unsigned i = 0; i < n; i++)
		round_leave(&daemons[i].round);
	return status;
}

int top_run(int argc, char **argv)
{
	unsigned sandbox;
	double interval;
	const struct option_entry entries[] = {
		{ "sandbox", .word = &sandbox, .words = sandbox_words, .initial = SANDBOX_DEFAULT,
			.help = "Give up what is not needed: what this machine permits, or all, or "
				"nothing" },
		{ "interval", "SECONDS", .real = &interval, .initial = "1",
			.help = "How often to ask, 0.1 to 3600" },
		{ NULL },
	};
	const struct option_syntax syntax = {
		.summary = "Shows what daemons that were started with --control=SOCKET do now. "
			   "Keys: q quits, s sorts by the next column, h shows all.",
		.arguments = "SOCKET|FOLDER ...",
		.min_arguments = 1,
		.max_arguments = MAX_SOCKETS,
		.tables = { entries },
	};
	g_auto(GStrv) args = g_strdupv(argv), paths = NULL;
	g_autoptr(GError) error = NULL;

	if (!option_parse(&syntax, &args, &error))
		return ctl_report(error);
	if (interval < MIN_INTERVAL || interval > MAX_INTERVAL) {
		option_bad(&error, "invalid --interval=%g: from %g to %d seconds", interval,
			MIN_INTERVAL, MAX_INTERVAL);
		return ctl_report(error);
	}
	paths = asked_paths(args + 1, &error);
	if (!paths)
		return ctl_report(error);
	return top(paths, sandbox, interval, &error);
}
