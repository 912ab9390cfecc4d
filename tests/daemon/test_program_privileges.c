/* SPDX-License-Identifier: Apache-2.0 */
/* A whole daemon that has dropped its privileges. argv[1] is virtiod-toy. */
#include "base/option.h"
#include "tests/daemon/program.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"

#define NOBODY "65534"
#define LESS "--run-as=" NOBODY ":" NOBODY

static char *chroot_option;

/* Makes a folder where the daemon may do nothing. */
static int setup(void **state)
{
	program_setup(state);
	chroot_option = g_strconcat("--chroot=", dir, NULL);
	return 0;
}

static int teardown(void **state)
{
	g_free(chroot_option);
	return program_teardown(state);
}

static char *read_proc(pid_t pid, const char *name)
{
	g_autofree char *file = g_strdup_printf("/proc/%d/%s", (int)pid, name);
	char *text = NULL;

	assert_true(g_file_get_contents(file, &text, NULL, NULL));
	return text;
}

static void assert_line(const char *text, const char *line)
{
	if (!strstr(text, line))
		fail_msg("not there: %s\n%s", line, text);
}

static void assert_all_threads_have_none(pid_t pid)
{
	g_autofree char *tasks = g_strdup_printf("/proc/%d/task", (int)pid);
	g_autoptr(GDir) threads = g_dir_open(tasks, 0, NULL);
	const char *name;
	unsigned n = 0;

	while ((name = g_dir_read_name(threads))) {
		g_autofree char *text = read_proc(atoi(name), "status");

		assert_line(text, "\nUid:\t" NOBODY "\t" NOBODY "\t" NOBODY "\t" NOBODY "\n");
		assert_line(text, "\nGid:\t" NOBODY "\t" NOBODY "\t" NOBODY "\t" NOBODY "\n");
		assert_line(text, "\nGroups:\t \n");
		assert_line(text, "\nNoNewPrivs:\t1\n");
		assert_line(text, "\nCapEff:\t0000000000000000\n");
		assert_line(text, "\nCapPrm:\t0000000000000000\n");
		n++;
	}
	assert_true(n > 1); /* GLib has one for signals */
}

static struct running start_less(const char *option)
{
	/* The leak checker cannot look into a process without privileges. */
	return START(-1, "ASAN_OPTIONS=detect_leaks=0", path_option, LESS, option);
}

/* Everything still works; what is left of the socket is replaced by the next one. */
static void test_chroot(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		struct running c = start_less(chroot_option);
		g_autofree char *root = g_strdup_printf("/proc/%d/root", (int)c.pid), *seen = NULL;
		int fd = dial();

		assert_true(is_served(fd));
		assert_all_threads_have_none(c.pid);
		seen = g_file_read_link(root, NULL);
		assert_string_equal(seen, dir);
		assert_int_equal(kill(c.pid, SIGHUP), 0);
		assert_int_equal(kill(c.pid, SIGUSR1), 0);
		assert_true(is_served(fd));
		close(fd);
		fd = dial();
		assert_true(is_served(fd));
		assert_int_equal(kill(c.pid, SIGTERM), 0);
		assert_ends(&c, 0, "Xen memory: ");
		close(fd);
		assert_int_equal(access(path, F_OK), 0);
	}
	assert_int_equal(unlink(path), 0);
}

/* Where it may, it removes its socket; where it may not, that is no trouble. */
static void test_socket_file(void **state)
{
	for (unsigned may = 0; may < 2; may++) {
		struct running c;
		g_autofree char *err = NULL;
		int fd;

		assert_int_equal(chown(dir, may ? 65534 : 0, 0), 0);
		c = start_less(NULL);
		fd = dial();
		assert_true(is_served(fd));
		assert_int_equal(kill(c.pid, SIGTERM), 0);
		assert_int_equal(end(&c, NULL, &err), 0);
		assert_null(strstr(err, "remove"));
		close(fd);
		assert_int_equal(access(path, F_OK), may ? -1 : 0);
	}
}

static void test_refused(void **state)
{
	struct running c = START(-1, NULL, path_option, LESS, "--chroot=/no/such/folder");

	assert_ends(&c, 1, "--chroot=/no/such/folder: ");
	c = START(-1, NULL, path_option, LESS, "--chroot=/etc/passwd");
	assert_ends(&c, 1, "--chroot=/etc/passwd: ");
	c = START(-1, NULL, path_option, "--run-as=4000000000");
	assert_ends(&c, EXIT_USAGE, "--run-as=4000000000: ");
	/* Nobody dials a daemon that ends before it listens. */
	assert_int_equal(access(path, F_OK), -1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_chroot),
		TEST(test_socket_file),
		TEST(test_refused),
	};

	if (geteuid() != 0) {
		print_message("SKIPPED: dropping privileges takes root\n");
		return 77;
	}
	program = argv[1];
	return cmocka_run_group_tests_name("program-privileges", tests, NULL, NULL);
}
