/* SPDX-License-Identifier: Apache-2.0 */
/* Waits, leak checks and temporary folders of the tests. */
#include "tests/lib/test.h"

#include <dirent.h>
#include <ftw.h>
#include <sys/wait.h>

#include "tests/lib/test_impl.h"

/*
 * Initializes GLib: it makes the lock of its error domains when it is first used, which TSan
 * does not see.
 */
__attribute__((constructor)) static void make_locks(void)
{
	g_error_free(g_error_new_literal(G_FILE_ERROR, 0, ""));
}

bool test_under_valgrind(void)
{
	const char *preload = g_getenv("LD_PRELOAD");

	/* valgrind preloads libraries of its own. */
	return preload && strstr(preload, "vgpreload");
}

static unsigned find_patience(void)
{
	const char *more = g_getenv("VIRTIOD_TEST_PATIENCE");
	unsigned n = 1;

#ifdef SANITIZED
	n = 4;
#endif
	if (test_under_valgrind())
		n = 10;
	if (more && atoi(more) > 0)
		n *= atoi(more);
	return n;
}

unsigned test_patience(void)
{
	static unsigned patience; /* any thread may be the first to ask */
	unsigned n = __atomic_load_n(&patience, __ATOMIC_RELAXED);

	if (!n) {
		n = find_patience();
		__atomic_store_n(&patience, n, __ATOMIC_RELAXED);
	}
	return n;
}

int64_t test_deadline(unsigned ms)
{
	return g_get_monotonic_time() + (int64_t)ms * 1000 * test_patience();
}

static bool poll_until(int fd, short events, int64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t left;
	int n;

	do {
		left = MAX(deadline - g_get_monotonic_time(), 0);
		n = poll(&p, 1, (left + 999) / 1000);
	} while (n < 0 && errno == EINTR);
	return n > 0;
}

void test_wait_fd(int fd, short events)
{
	if (!poll_until(fd, events, test_deadline(TEST_WAIT_MS)))
		fail_msg("waited in vain for events 0x%x of fd %d", events, fd);
}

bool test_readable(int fd, unsigned ms)
{
	return poll_until(fd, POLLIN, test_deadline(ms));
}

int test_wait_child(pid_t pid)
{
	int status = 0;
	pid_t got = 0;

	WAIT_UNTIL((got = waitpid(pid, &status, WNOHANG)) != 0);
	assert_int_equal(got, pid);
	return status;
}

bool test_wait_turn(int64_t deadline)
{
	g_usleep(500);
	return g_get_monotonic_time() < deadline;
}

void test_pause(unsigned us)
{
	g_usleep(us);
}

static gboolean on_turn(gpointer opaque)
{
	return G_SOURCE_CONTINUE;
}

void test_run_loop(void)
{
	while (g_main_context_iteration(NULL, FALSE))
		;
}

bool test_loop_turn(int64_t deadline)
{
	/* Not every condition comes with an event of the loop. */
	guint timer = g_timeout_add(1, on_turn, NULL);

	g_main_context_iteration(NULL, TRUE);
	g_source_remove(timer);
	return g_get_monotonic_time() < deadline;
}

unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Fails, and lists all fds that are open, for want of knowing which are too many. */
static void assert_fds(unsigned expected)
{
	g_autoptr(GString) list = g_string_new(NULL);
	unsigned n = count_fds();
	struct dirent *entry;
	DIR *dir;

	if (n == expected)
		return;
	dir = opendir("/proc/self/fd");
	while ((entry = readdir(dir))) {
		g_autofree char *path = g_build_filename("/proc/self/fd", entry->d_name, NULL);
		g_autofree char *target = g_file_read_link(path, NULL);

		if (target)
			g_string_append_printf(list, " %s=%s", entry->d_name, target);
	}
	closedir(dir);
	fail_msg("%+d file descriptors; open now:%s", (int)(n - expected), list->str);
}

void test_begin(struct test *t)
{
	/* The main loop opens fds of its own when it first runs. */
	g_main_context_iteration(NULL, FALSE);
	*t = (struct test){ .n_fds = count_fds(),
		.strings = g_ptr_array_new_with_free_func(g_free) };
	test_log_begin();
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void test_end(struct test *t)
{
	test_log_end();
	if (t->dir && nftw(t->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS) != 0)
		fail_msg("cannot remove %s: %s", t->dir, g_strerror(errno));
	g_ptr_array_unref(t->strings);
	assert_fds(t->n_fds);
}

int plain_setup(void **state)
{
	*state = g_new0(struct test, 1);
	test_begin(*state);
	return 0;
}

int plain_teardown(void **state)
{
	g_autofree struct test *t = *state;

	test_end(t);
	return 0;
}

char *test_path(struct test *t, const char *name)
{
	char *path;

	if (!t->dir) {
		t->dir = g_dir_make_tmp("virtiod-XXXXXX", NULL); /* short: sun_path has 108 bytes */
		assert_non_null(t->dir);
		g_ptr_array_add(t->strings, t->dir);
	}
	path = g_build_filename(t->dir, name, NULL);
	g_ptr_array_add(t->strings, path);
	return path;
}

void assert_error_has(GError **error, const char *words)
{
	if (!*error)
		fail_msg("no error; expected: %s", words);
	if (!strstr((*error)->message, words))
		fail_msg("the error \"%s\" does not contain \"%s\"", (*error)->message, words);
	g_clear_error(error);
}
