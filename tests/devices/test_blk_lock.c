/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-blk: who else may use the image. */
#include "tests/lib/test.h"

#include <sys/wait.h>

#include "blk_image.h"

/* Returns the error of another process that opens the image in this mode; "": none. */
static char *try_elsewhere(struct kit_core *here, const char *option)
{
	char answer[512] = "";
	int pipe_fd[2], status;
	ssize_t len;
	pid_t pid;

	assert_int_equal(pipe(pipe_fd), 0);
	pid = fork();
	if (pid == 0) {
		g_autoptr(GError) error = NULL;
		struct kit_core c = { 0 };

		/* The parent keeps the file open, and so the locks. */
		if (here->device.data)
			kit_core_close(here);
		if (!kit_core_open(&c, &error, image_arg, option, NULL))
			(void)!write(pipe_fd[1], error->message, strlen(error->message));
		_exit(0);
	}
	close(pipe_fd[1]);
	len = read(pipe_fd[0], answer, sizeof(answer) - 1);
	assert_true(len >= 0);
	close(pipe_fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return g_strdup(answer);
}

static void assert_refused(struct kit_core *c, const char *option)
{
	g_autofree char *answer = try_elsewhere(c, option);

	assert_non_null(strstr(answer, image_path));
	assert_non_null(strstr(answer, "another virtiod-blk or QEMU"));
}

static void assert_allowed(struct kit_core *c, const char *option)
{
	g_autofree char *answer = try_elsewhere(c, option);

	assert_string_equal(answer, "");
}

static void test_lock_writer(void **state)
{
	struct kit_core *c = *state;

	assert_allowed(c, NULL);
	image_open(c, NULL);
	assert_refused(c, NULL);
	assert_refused(c, "--read-only");
	kit_core_stop(c);
	kit_core_close(c);
	assert_allowed(c, NULL);
}

static void test_lock_reader(void **state)
{
	struct kit_core *c = *state;

	image_open(c, "--read-only");
	assert_allowed(c, "--read-only");
	assert_refused(c, NULL);
}

/* The image goes to another host, and comes back. */
static void test_lock_moves(void **state)
{
	struct kit_core *c = *state;
	g_autoptr(GError) error = NULL;

	image_open(c, NULL);
	assert_refused(c, NULL);
	kit_core_stop(c);
	virtio_device_ops.release(&c->device);
	assert_allowed(c, NULL);
	assert_true(virtio_device_ops.claim(&c->device, &error));
	assert_refused(c, NULL);
	/* The destination starts before the source lets go. */
	assert_allowed(c, "--incoming");
	kit_core_close(c);
}

/* Takes the lock of another process that writes, by QEMU's numbers. */
static int lock_as_writer(void)
{
	struct flock lock = { .l_type = F_RDLCK, .l_start = 101, .l_len = 1 };
	int fd = open(image_path, O_RDWR | O_CLOEXEC);

	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	return fd;
}

static void test_lock_incoming(void **state)
{
	struct kit_core *c = *state;
	g_autoptr(GError) error = NULL;
	int writer = lock_as_writer();

	assert_false(kit_core_open(c, &error, image_arg, NULL));
	g_clear_error(&error);
	assert_true(kit_core_open(c, &error, image_arg, "--incoming", NULL));
	for (unsigned i = 0; i < 2; i++) {
		assert_false(virtio_device_ops.claim(&c->device, &error));
		assert_error_has(&error, "open for writing by another process");
	}
	/* It has not been in the way of others. */
	close(writer);
	assert_allowed(c, NULL);
	kit_core_start(c, 0);
	assert_refused(c, NULL);
}

/* Returns true if qemu-img lets itself read the image_path; its stderr goes to *err. */
static bool qemu_reads(char **err)
{
	g_autofree char *copy = g_strconcat(image_path, ".copy", NULL);
	char *argv[] = { "qemu-img", "convert", "-f", "raw", "-O", "raw", image_path, copy, NULL };
	int status;

	assert_true(g_spawn_sync(
		NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, err, &status, NULL));
	g_unlink(copy);
	return status == 0;
}

/* The same with QEMU on the other side. */
static void test_lock_qemu(void **state)
{
	g_autofree char *qemu_img = g_find_program_in_path("qemu-img"), *err = NULL, *err2 = NULL;
	struct kit_core *c = *state;

	if (!qemu_img)
		skip();
	image_open(c, NULL);
	assert_false(qemu_reads(&err));
	assert_non_null(strstr(err, "Failed to get shared \"write\" lock"));
	kit_core_stop(c);
	kit_core_close(c);
	assert_true(kit_core_open(c, NULL, image_arg, "--read-only", NULL));
	assert_true(qemu_reads(&err2));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lock_writer, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_lock_reader, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_lock_moves, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_lock_incoming, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_lock_qemu, image_setup, kit_core_teardown),
	};

	if (!image_set_engine(argv[1]))
		return 77;
	return cmocka_run_group_tests(tests, image_make_dir, image_remove_dir);
}
