/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiod-metrics: options, the socket, the sandbox, and then clients. A program of its own:
 * virtiod stays small, as libmicrohttpd brings GnuTLS with it, and reads nothing from a network.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "base/option.h"
#include "base/service.h"
#include "base/sock.h"
#include "base/start.h"
#include "base/tcp.h"
#include "base/util.h"
#include "tools/control/asked.h"
#include "tools/metrics/collect.h"
#include "tools/metrics/server.h"
#include "tools/sandbox.h"

#define MAX_SOCKETS 1024

static struct tcp_address address;
/* Where the table puts values. */
static struct {
	char *listen;
	int fd;
	unsigned sandbox;
	enum log_level log_level;
	bool version;
} options = { .fd = -1 };

static bool parse_listen(const char *text, GError **error)
{
	g_free(options.listen);
	options.listen = g_strdup(text);
	return tcp_address_parse(text, &address, error);
}

static const struct option_entry entries[] = {
	{ "listen", "ADDRESS:PORT", .parse = parse_listen, .excludes = { "fd" },
		.help = "Serve HTTP at this address of this host: 127.0.0.1:9464, [::1]:9464" },
	{ "fd", "N", .fd = &options.fd,
		.help = "Serve it at this inherited socket, which listens" },
	{ "sandbox", .word = &options.sandbox, .words = sandbox_words, .initial = SANDBOX_DEFAULT,
		.help = "Give up what is not needed: what this machine permits, or all, or "
			"nothing" },
	OPTION_LOG_LEVEL(&options.log_level),
	{ "version", .flag = &options.version, .help = "Print the version and exit" },
	{ NULL },
};

static const struct option_syntax syntax = {
	.summary = "Serves what daemons that were started with --control=SOCKET count, as "
		   "OpenMetrics text at /metrics by HTTP, for Prometheus.",
	.arguments = "[SOCKET|FOLDER ...]",
	.max_arguments = MAX_SOCKETS,
	.tables = { entries },
};

static volatile sig_atomic_t ended;

static void on_signal(int signum)
{
	ended = 1;
}

/* Lets the signals come only while the program waits; *waiting is the mask for that. */
static void catch_signals(sigset_t *waiting)
{
	const struct sigaction action = { .sa_handler = on_signal };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigprocmask(SIG_BLOCK, &set, waiting);
}

static char *get_text(void *opaque)
{
	return collector_text(opaque);
}

static bool serve(int listener, char *const *paths, GError **error)
{
	static const struct syscall_rule calls[] = { SYSCALL(accept4), SYSCALL_END };
	struct collector *c = collector_new(paths);
	struct metrics_server *s = metrics_server_new(listener, get_text, c, error);
	sigset_t waiting;
	bool ok;

	tzset(); /* it reads a file, and would do so for the first header that has a date */
	ok = s && ctl_sandbox_enter_many(options.sandbox, (const char *const *)paths, calls, error);

	catch_signals(&waiting);
	if (ok)
		service_ready();
	while (ok && !ended) {
		struct pollfd pfd = { .fd = metrics_server_fd(s), .events = POLLIN };
		int ms = metrics_server_timeout(s);
		struct timespec limit = { ms / 1000, ms % 1000 * 1000000L };

		ppoll(&pfd, 1, ms < 0 ? NULL : &limit, &waiting);
		metrics_server_run(s);
	}
	if (s)
		metrics_server_free(s);
	collector_free(c);
	return ok;
}

/* Returns the socket; -1: an error. */
static int get_listener(GError **error)
{
	if (options.listen)
		return tcp_listen(&address, options.listen, error);
	if (options.fd < 0)
		option_bad(error, "--listen or --fd is missing: where to serve HTTP");
	else if (!sock_is_listening(options.fd))
		option_bad(error, "invalid --fd=%d: a socket that listens", options.fd);
	else
		return options.fd;
	return -1;
}

static bool start(char **args, GError **error)
{
	const int keep[] = { options.fd, -1 };
	g_auto(GStrv) paths = NULL;
	int listener;

	service_listen_fds(); /* it takes none */
	start_close_fds(args, keep);
	log_set_level(options.log_level);
	listener = get_listener(error);
	if (listener < 0)
		return false;
	paths = asked_paths(args + 1, error);
	return paths && serve(listener, paths, error);
}

int main(int argc, char **argv)
{
	g_auto(GStrv) args = g_strdupv(argv);
	g_autoptr(GError) error = NULL;
	bool ok;

	start_program("virtiod-metrics", (const int[]){ 0 });
	signal(SIGPIPE, SIG_IGN);
	ok = option_parse(&syntax, &args, &error);
	if (ok && options.version)
		printf("virtiod-metrics %s\n", VIRTIOD_VERSION);
	else if (ok)
		ok = start(args, &error);
	if (!ok)
		log_error(NULL, "%s", error->message);
	g_free(options.listen);
	return option_exit_status(error);
}
