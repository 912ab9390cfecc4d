/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See child.h. The end of its output and its own end are two events, and come in any order: it may
 * close its output and live on, and children of its own may hold that open when it is dead. So its
 * process is watched for itself, by a pidfd. Linux before 5.3 and valgrind have none: there the fd
 * is a timer's, and we look whether it has ended whenever that is up.
 */
#include "launch/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/sock.h"
#include "base/util.h"
#include "launch/reaper.h"

#define MAX_LINE 1024
#define KEPT_LINES 4
#define TERM_MS 2000
#define PIECE_BYTES 4096
#define LAST_PIECES 16 /* what a pipe holds */
/* Where its socket is for the child. */
#define SOCKET_FD 3

struct child {
	char *binary, *name; /* name: the path's last part */
	char *label; /* for messages */
	struct reaper process; /* no fd: its end is dealt with */
	bool stopped; /* by us */
	bool told; /* how it ended */
	int output; /* its standard output and error; -1: at its end */
	struct loop_watch *process_watch, *output_watch;
	void (*on_end)(void *opaque);
	void *opaque;
	GString *line; /* begun, not ended */
	GQueue kept; /* the last lines */
};

/* Moves behind "word: "; false: the line does not begin so. */
static bool skip_word(const char **line, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*line, word, len) != 0 || strncmp(*line + len, ": ", 2) != 0)
		return false;
	*line += len + 2;
	return true;
}

/* Programs say their names themselves, and those with our log their levels. */
static void end_line(struct child *c)
{
	const char *line = c->line->str;
	enum log_level level = LOG_LEVEL_INFO;

	skip_word(&line, c->name);
	if (skip_word(&line, "error"))
		level = LOG_LEVEL_ERROR;
	else if (skip_word(&line, "warning"))
		level = LOG_LEVEL_WARNING;
	if (*line) {
		log_msg(level, c->label, "%s", line);
		g_queue_push_tail(&c->kept, g_strdup(line));
	}
	if (c->kept.length > KEPT_LINES)
		g_free(g_queue_pop_head(&c->kept));
	g_string_truncate(c->line, 0);
}

static void close_output(struct child *c)
{
	g_clear_pointer(&c->output_watch, loop_watch_free);
	fd_close(&c->output);
	end_line(c);
}

static void close_process(struct child *c)
{
	g_clear_pointer(&c->process_watch, loop_watch_free);
	reaper_close(&c->process);
}

/* Passes on what is there, one piece at a time: a fast writer does not keep us here. */
static void drain(struct child *c)
{
	char buf[PIECE_BYTES];
	ssize_t n;

	if (c->output < 0)
		return;
	n = read(c->output, buf, sizeof(buf));
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_output(c);
	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] != '\n')
			g_string_append_c(c->line, buf[i]);
		if (buf[i] == '\n' || c->line->len == MAX_LINE)
			end_line(c);
	}
}

/*
 * Reads what it said last. Not to the end of the pipe: children of its own may hold that, and
 * write.
 */
static void drain_last(struct child *c)
{
	struct pollfd pfd = { .fd = c->output, .events = POLLIN };

	for (unsigned i = 0; i < LAST_PIECES && c->output >= 0 && poll(&pfd, 1, 0) > 0; i++)
		drain(c);
	end_line(c);
}

static void on_output(void *opaque, uint32_t revents)
{
	drain(opaque);
}

static void on_process(void *opaque, uint32_t revents)
{
	struct child *c = opaque;
	g_autofree char *end = NULL;

	if (!reaper_look(&c->process))
		return;
	close_process(c);
	drain_last(c);
	end = reaper_describe(&c->process);
	if (!c->told)
		log_msg(c->stopped ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING, c->label, "%s", end);
	if (c->on_end)
		c->on_end(c->opaque); /* which may free c */
}

/* Runs in the new process, before exec: nothing but async-signal-safe calls. */
static void set_up_process(void *opaque)
{
	const pid_t *parent = opaque; /* 0: it may outlive us */
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* ^C at the terminal is for the front-end: the back-end serves until the guest is done. */
	setpgid(0, 0);
	if (!*parent)
		return;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	/* It may have died before that. */
	if (getppid() != *parent)
		_exit(EXIT_FAILURE);
}

/* Returns its environment: the service manager that it tells may be us, never the one we have. */
static char **make_environment(const char *notify)
{
	char **env = g_environ_unsetenv(g_get_environ(), "NOTIFY_SOCKET");

	return notify ? g_environ_setenv(env, "NOTIFY_SOCKET", notify, TRUE) : env;
}

static bool spawn(
	const struct child *c, const struct child_setup *s, int output, GPid *pid, GError **error)
{
	g_auto(GStrv) env = make_environment(s->notify);
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	pid_t parent = s->outlives ? 0 : getpid();

	g_ptr_array_add(argv, c->binary);
	for (const char *const *o = s->options; *o; o++)
		g_ptr_array_add(argv, (char *)*o);
	g_ptr_array_add(argv, (char *)"--fd=" G_STRINGIFY(SOCKET_FD));
	g_ptr_array_add(argv, NULL);
	/* Its standard input is /dev/null; it inherits no fd but these. */
	return g_spawn_async_with_pipes_and_fds(NULL, (const char *const *)argv->pdata,
		(const char *const *)env, G_SPAWN_DO_NOT_REAP_CHILD, set_up_process, &parent, -1,
		output, output, &s->fd, &(int){ SOCKET_FD }, 1, pid, NULL, NULL, NULL, error);
}

static struct child *child_new(const char *binary, const char *label)
{
	struct child *c = g_new0(struct child, 1);

	c->binary = g_strdup(binary);
	c->name = g_path_get_basename(binary);
	c->label = g_strdup(label ? label : c->name);
	c->process = REAPER_NONE;
	c->output = -1;
	c->line = g_string_new(NULL);
	g_queue_init(&c->kept);
	return c;
}

/* Watches its process and its output. */
static bool watch(struct child *c, pid_t pid, GError **error)
{
	if (!reaper_init(&c->process, pid))
		return error_errno(error, errno, "%s: cannot watch its process", c->binary);
	fcntl(c->output, F_SETFL, O_NONBLOCK);
	c->output_watch = loop_watch_fd(c->output, EPOLLIN, on_output, c);
	c->process_watch = loop_watch_fd(c->process.fd, EPOLLIN, on_process, c);
	return true;
}

struct child *child_run(const struct child_setup *s, GError **error)
{
	g_autoptr(child) c = child_new(s->binary, s->label);
	int pipe[2] = { -1, -1 };
	bool have_pipe = pipe2(pipe, O_CLOEXEC) == 0;
	autofd output = pipe[1];
	GPid pid;

	c->output = pipe[0];
	if (!have_pipe) {
		error_errno(error, errno, "%s: cannot make its fds", s->binary);
		return NULL;
	}
	if (!spawn(c, s, output, &pid, error)) {
		g_prefix_error(error, "%s: ", s->binary);
		return NULL;
	}
	if (!watch(c, pid, error))
		return NULL;
	log_debug(c->label, "started, process %d", (int)pid);
	return g_steal_pointer(&c);
}

struct child *child_start(const char *binary, const char *const *options, int *fd, GError **error)
{
	int sockets[2] = { -1, -1 };
	bool have_fds = sock_pair(sockets);
	autofd ours = sockets[0], theirs = sockets[1];
	const struct child_setup setup = { .binary = binary, .options = options, .fd = theirs };
	struct child *c;

	if (!have_fds) {
		error_errno(error, errno, "%s: cannot make its fds", binary);
		return NULL;
	}
	c = child_run(&setup, error);
	if (c)
		*fd = fd_steal(&ours);
	return c;
}

struct child *child_adopt(
	const char *binary, const char *label, pid_t pid, int output, GError **error)
{
	g_autoptr(child) c = child_new(binary, label);

	c->output = output;
	return watch(c, pid, error) ? g_steal_pointer(&c) : NULL;
}

pid_t child_pid(const struct child *c)
{
	return c->process.pid;
}

int child_output(const struct child *c)
{
	return c->output;
}

int child_status(const struct child *c)
{
	return c->process.ended ? c->process.status : -1;
}

void child_on_end(struct child *c, void (*cb)(void *opaque), void *opaque)
{
	c->on_end = cb;
	c->opaque = opaque;
}

/* Waits for its end and passes on what it says; false: it lives on. */
static bool wait_for_end(struct child *c, unsigned timeout_ms)
{
	int64_t end = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND, left;

	while (!reaper_look(&c->process)) {
		struct pollfd pfd[] = {
			{ .fd = c->process.fd, .events = POLLIN },
			{ .fd = c->output, .events = POLLIN },
		};

		left = end - g_get_monotonic_time();
		if (left <= 0)
			return false;
		/* Rounded up: the last round waits, too. */
		poll(pfd, G_N_ELEMENTS(pfd), left / G_TIME_SPAN_MILLISECOND + 1);
		drain(c);
	}
	drain_last(c);
	return true;
}

bool child_failed(struct child *c, unsigned timeout_ms, GError **error)
{
	g_autoptr(GString) text = NULL;
	g_autofree char *end = NULL;

	if (!wait_for_end(c, timeout_ms))
		return false;
	c->told = true;
	end = reaper_describe(&c->process);
	text = g_string_new(NULL);
	for (const GList *l = c->kept.head; l; l = l->next)
		g_string_append_printf(text, "%s%s", l->prev ? "; " : ": ", (char *)l->data);
	g_set_error(
		error, G_SPAWN_ERROR, G_SPAWN_ERROR_FAILED, "%s %s%s", c->binary, end, text->str);
	return true;
}

void child_stop(struct child *c)
{
	c->stopped = true;
	reaper_kill(&c->process, SIGTERM);
}

void child_kill(struct child *c)
{
	c->stopped = true;
	reaper_kill(&c->process, SIGKILL);
}

struct syscall_rule child_rule(const struct child *c)
{
	return reaper_kill_rule(&c->process);
}

void child_free(struct child *c)
{
	if (!c)
		return;
	child_stop(c);
	if (!wait_for_end(c, TERM_MS)) {
		log_warning(c->label, "did not end within %d ms, is killed", TERM_MS);
		reaper_kill(&c->process, SIGKILL);
		wait_for_end(c, TERM_MS);
	}
	close_process(c);
	close_output(c);
	g_queue_clear_full(&c->kept, g_free);
	g_string_free(c->line, TRUE);
	g_free(c->label);
	g_free(c->name);
	g_free(c->binary);
	g_free(c);
}
