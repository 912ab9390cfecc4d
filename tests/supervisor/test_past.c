/* SPDX-License-Identifier: Apache-2.0 */
/* What one virtiod leaves to the next: its text, its fds, and processes that go on. */
#include "tests/lib/test.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/util.h"
#include "tools/supervisor/past.h"

static const struct unit_past example = {
	.name = "vm1/disk0",
	.type = "blk",
	.fingerprint = "0123abcd",
	.listener = 5,
	.output = -1,
	.notify = 7,
	.pid = 1234,
	.birth = UINT64_MAX,
	.ready = true,
	.delay_ms = 20,
	.n_restarts = 3,
};

static struct past_state make(const struct unit_past *u)
{
	struct past_state p = { .control = 3,
		.units = g_array_new(FALSE, FALSE, sizeof(struct unit_past)) };

	if (u)
		g_array_append_vals(p.units, u, 1);
	return p;
}

static void test_text(void **state)
{
	g_auto(past_state) p = make(&example), again = { 0 };
	g_autofree char *text = past_text(&p);

	assert_string_equal(text,
		"control 3\nunit vm1/disk0 blk 0123abcd 5 -1 7 1234 "
		"18446744073709551615 1 20 3\n");
	assert_true(past_parse(&again, text));
	assert_int_equal(again.control, 3);
	assert_int_equal(again.units->len, 1);
	assert_memory_equal(again.units->data, &example, sizeof(example));
}

static void test_wrong_texts(void **state)
{
	static const char *const texts[] = { "", "\n", "x", "control", "control x",
		"control 1\nunit", "control 1\nunit a b c 1 2 3 4 5 1 7 8",
		"control 1\nunit ../a b c 1 2 3 4 5 1 7 8",
		"control 1\nunit a/b b c 1 2 3 -4 5 1 7 8", "control 1\nunit a/b b c 1 2 3 4 5" };

	for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_auto(past_state) p = { 0 };

		assert_false(past_parse(&p, texts[i]));
	}
}

static void test_too_many(void **state)
{
	g_autoptr(GString) text = g_string_new("control 1\n");
	g_auto(past_state) p = { 0 };

	for (unsigned i = 0; i < 3000; i++)
		g_string_append(text, "unit a/b b c 1 2 3 4 5 1 7 8\n");
	assert_false(past_parse(&p, text->str));
}

/* By exec(): what is inherited, and only for as long as that is wanted. */
static void test_hand_over(void **state)
{
	struct unit_past u = example;
	g_auto(past_state) p = make(NULL), again = { 0 };
	g_autofree int *fds = NULL;
	GError *error = NULL;
	int ends[2], fd;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	u.listener = ends[0];
	u.output = ends[1];
	u.notify = -1;
	g_array_append_val(p.units, u);
	p.control = -1;
	fd = past_hand_over(&p, &error);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	assert_int_equal(fcntl(ends[0], F_GETFD), 0);
	assert_int_equal(fcntl(ends[1], F_GETFD), 0);
	assert_true(past_take_over(&again, fd, &error));
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
	fds = past_fds(&again);
	assert_int_equal(fds[0], ends[0]);
	assert_int_equal(fds[1], ends[1]);
	assert_int_equal(fds[2], -1);
	close(ends[0]);
	close(ends[1]);
}

static void test_no_hand_over(void **state)
{
	g_auto(past_state) p = { 0 };
	GError *error = NULL;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_false(past_take_over(&p, ends[0], &error));
	assert_error_has(&error, "not what virtiod hands over");
	close(ends[1]);
}

static void test_fingerprint(void **state)
{
	char *one[] = { "--a=b", NULL }, *two[] = { "--a=", "b", NULL };
	struct device_entry a = { .type = "x", .options = one }, b = a;
	g_autofree char *before = past_fingerprint(&a), *same = past_fingerprint(&b);
	g_autofree char *options = NULL, *mode = NULL, *type = NULL;

	assert_string_equal(before, same);
	b.options = two;
	options = past_fingerprint(&b);
	b = a;
	b.socket_mode = 0660;
	mode = past_fingerprint(&b);
	b = a;
	b.type = "y";
	type = past_fingerprint(&b);
	assert_string_not_equal(before, options);
	assert_string_not_equal(before, mode);
	assert_string_not_equal(before, type);
}

static pid_t fork_sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGTERM, SIG_DFL);
		for (;;)
			pause();
	}
	return pid;
}

/* Those of the file end; not one that has the same number and began at another time. */
static void test_left_processes(void **state)
{
	struct test *t = *state;
	struct unit_past u = example;
	g_auto(past_state) p = make(NULL);
	pid_t left = fork_sleeper(), other = fork_sleeper();
	int status;

	u.pid = left;
	u.birth = past_birth(left);
	assert_true(u.birth > 0);
	g_array_append_val(p.units, u);
	u.pid = other;
	u.birth = past_birth(other) + 1;
	g_array_append_val(p.units, u);
	past_end_processes(test_path(t, "none"));
	past_save(&p, t->dir);
	past_end_processes(t->dir);
	status = test_wait_child(left);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	assert_int_equal(past_birth(left), 0);
	assert_int_equal(waitpid(other, NULL, WNOHANG), 0);
	kill(other, SIGKILL);
	test_wait_child(other);
	past_remove(t->dir);
	assert_false(g_file_test(test_path(t, ".state"), G_FILE_TEST_EXISTS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(plain, test_text),
		TEST_WITH(plain, test_wrong_texts),
		TEST_WITH(plain, test_too_many),
		TEST_WITH(plain, test_hand_over),
		TEST_WITH(plain, test_no_hand_over),
		TEST_WITH(plain, test_fingerprint),
		TEST_WITH(plain, test_left_processes),
	};

	return cmocka_run_group_tests_name("past", tests, NULL, NULL);
}
