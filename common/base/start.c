/* SPDX-License-Identifier: Apache-2.0 */
/* See start.h. */
#include "base/start.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/core_dump.h"
#include "base/log.h"

#define FIRST_OTHER_FD (STDERR_FILENO + 1)

static bool standard_fds_are_open(void)
{
	for (int fd = 0; fd < FIRST_OTHER_FD; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			return false;
	}
	return true;
}

/* Opens what is closed: each open() takes the lowest number that is free. */
static void fill_standard_fds(void)
{
	int fd;

	if (standard_fds_are_open())
		return;
	do {
		fd = open("/dev/null", O_RDWR);
		/* A root directory without devices: any fd that nothing can be read from. */
		if (fd < 0)
			fd = epoll_create1(0);
	} while (fd >= 0 && fd < FIRST_OTHER_FD);
	if (fd < 0)
		_exit(EXIT_FAILURE);
	close(fd);
}

static void set_signals(const int *pending)
{
	sigset_t set;

	sigemptyset(&set);
	for (; pending && *pending; pending++)
		sigaddset(&set, *pending);
	sigprocmask(SIG_SETMASK, &set, NULL);
	/* Ignored, it would take away the status of children. */
	signal(SIGCHLD, SIG_DFL);
}

/* Runs after all other handlers, as it is registered first. */
static void check_stdout(void)
{
	bool failed = ferror(stdout);

	errno = 0;
	failed |= fflush(stdout) != 0;
	if (failed)
		log_error(NULL, "cannot write standard output: %s",
			errno ? g_strerror(errno) : "an earlier write failed");
	log_flush();
	if (failed)
		_exit(EXIT_FAILURE);
}

/* Logs what GLib has to say: its own way asks what standard error is, which a sandbox forbids. */
static void log_of_glib(const char *domain, GLogLevelFlags level, const char *text, void *unused)
{
	if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
		log_error(domain, "%s", text);
	else
		log_warning(domain, "%s", text);
}

/* Has GLib take messages about errors as they are: it would load what converts them from ASCII. */
static void take_messages_as_they_are(void)
{
	setenv("CHARSET", "UTF-8", 1);
}

void start_program(const char *name, const int *pending)
{
	fill_standard_fds();
	take_messages_as_they_are();
	core_dump_forbid();
	set_signals(pending);
	g_set_prgname(name);
	log_set_program(name);
	log_find_journal();
	log_limit_process();
	g_log_set_default_handler(log_of_glib, NULL);
	atexit(check_stdout);
}

/* Adds the fds that paths in the argument name. */
static void add_named(GArray *fds, const char *argument)
{
	static const char *const folders[] = { "/dev/fd/", "/proc/self/fd/" };

	for (unsigned i = 0; i < G_N_ELEMENTS(folders); i++) {
		const char *at = argument;

		while ((at = strstr(at, folders[i]))) {
			int fd;

			at += strlen(folders[i]);
			fd = (int)CLAMP(strtol(at, NULL, 10), 0, G_MAXINT);
			g_array_append_val(fds, fd);
		}
	}
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a < *(const int *)b ? -1 : *(const int *)a > *(const int *)b;
}

/* Closes [first, last] where close_range() is missing: Linux before 5.9. */
static void close_listed(unsigned first, unsigned last)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		unsigned long fd = strtoul(entry->d_name, NULL, 10);

		if (fd >= first && fd <= last && *entry->d_name != '.' && (int)fd != dirfd(dir))
			close((int)fd);
	}
	if (dir)
		closedir(dir);
}

static void close_all(unsigned first, unsigned last)
{
	if (first <= last && syscall(SYS_close_range, first, last, 0) < 0 && errno == ENOSYS)
		close_listed(first, last);
}

void start_close_fds(char *const *argv, const int *keep)
{
	g_autoptr(GArray) kept = g_array_new(FALSE, FALSE, sizeof(int));
	unsigned first = FIRST_OTHER_FD;

	for (; keep && *keep >= 0; keep++)
		g_array_append_val(kept, *keep);
	for (; *argv; argv++)
		add_named(kept, *argv);
	g_array_sort(kept, compare);
	for (unsigned i = 0; i < kept->len; i++) {
		int fd = g_array_index(kept, int, i);

		if (fd < (int)first)
			continue;
		close_all(first, (unsigned)fd - 1);
		first = (unsigned)fd + 1;
	}
	close_all(first, G_MAXINT);
	log_open();
}
