/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs virtiod-kvm (argv[1], with the options from argv[4] on) with the guest of neighbour.c and
 * two devices. The first has hostile back-ends, one after another, argv[3] rounds; the second has
 * virtiod-rng (argv[2]). The guest goes on with the second one all the time. After each hostile
 * back-end an honest one is served, or SIGTERM ends virtiod-kvm while the hostile one is there.
 * Neither takes much longer than with an honest back-end. VIRTIOD_FAKE_KVM: a library to load into
 * virtiod-kvm.
 */
#include "tests/lib/test.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/lib/figures.h"
#include "tests/lib/hostile_backend.h"

/* Of the tricks, in an order that mixes them: no factor of their number. */
#define STRIDE 37
#define DOTS 30 /* two rounds of the guest */

#define MAX_OPTIONS 8

static const char *program, *rng_program; /* virtiod-kvm, virtiod-rng */
static const char *const *options; /* of the former */
static unsigned rounds;
static struct figures served = { "served again" }, ended = { "ended" };

struct kvm_test {
	struct test test;
	struct fake_backend *b;
	const char *console;
	char *devices[2];
	pid_t rng, vm; /* 0: does not run */
};

static pid_t run(const char *const *argv, const char *output)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves no process behind */
	dup2(open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), STDOUT_FILENO);
	execv(argv[0], (char *const *)argv);
	_exit(127);
}

static int setup(void **state)
{
	struct kvm_test *w = g_new0(struct kvm_test, 1);
	const char *odd, *rng;
	g_autofree char *option = NULL;

	test_begin(&w->test);
	odd = test_path(&w->test, "odd.sock");
	rng = test_path(&w->test, "rng.sock");
	w->console = test_path(&w->test, "console");
	w->b = fake_new(odd);
	w->devices[0] = g_strdup_printf("--device=socket=%s", odd);
	w->devices[1] = g_strdup_printf("--device=socket=%s", rng);
	option = g_strdup_printf("--socket-path=%s", rng);
	w->rng = run((const char *[]){ rng_program, option, NULL }, "/dev/null");
	WAIT_UNTIL(g_file_test(rng, G_FILE_TEST_EXISTS));
	*state = w;
	return 0;
}

/* Returns how long SIGTERM takes to end virtiod-kvm. */
static struct figures_time end(struct kvm_test *w)
{
	struct figures_time start = figures_now();

	kill(w->vm, SIGTERM);
	assert_int_equal(test_wait_child(w->vm), 0);
	w->vm = 0;
	return figures_since(start);
}

static int teardown(void **state)
{
	struct kvm_test *w = *state;

	if (w->vm)
		end(w);
	kill(w->rng, SIGTERM);
	assert_int_equal(test_wait_child(w->rng), 0);
	fake_free(w->b);
	g_free(w->devices[0]);
	g_free(w->devices[1]);
	test_end(&w->test);
	g_free(w);
	return 0;
}

/* Returns how many dots the guest has printed. */
static off_t dots(const struct kvm_test *w)
{
	struct stat st = { 0 };

	stat(w->console, &st);
	return st.st_size;
}

/* Waits until the guest has had some bytes more of the second device. */
static void expect_dots(struct kvm_test *w, off_t n)
{
	off_t before = dots(w);

	WAIT_UNTIL(dots(w) >= before + n);
}

static void begin(struct kvm_test *w)
{
	const char *argv[MAX_OPTIONS] = { program, "--memory=16M", w->devices[0], w->devices[1] };
	const char *preload = g_getenv("VIRTIOD_FAKE_KVM");

	for (unsigned i = 0; options[i]; i++)
		argv[4 + i] = options[i];
	if (preload)
		g_setenv("LD_PRELOAD", preload, TRUE);
	w->vm = run(argv, w->console);
	g_unsetenv("LD_PRELOAD");
}

/* Returns how long an honest back-end, from its start, and the guest take to exchange a signal. */
static struct figures_time be_served(struct kvm_test *w)
{
	struct figures_time start = figures_now();
	unsigned kicks = 0;

	if (!w->b->up)
		fake_up(w->b);
	if (!w->vm)
		begin(w);
	else
		kicks = fake_ring(w->b, 0).kicks;
	WAIT_UNTIL(fake_ring(w->b, 0).kicks > kicks);
	start = figures_since(start);
	expect_dots(w, DOTS);
	return start;
}

static void attack(struct kvm_test *w, struct hostile *h, unsigned trick, bool ends)
{
	g_autofree char *name = hostile_name(trick);
	int64_t honest, end_us = 0;

	if (!w->vm)
		be_served(w);
	if (ends) {
		end_us = end(w).us;
		be_served(w);
	}
	fake_down(w->b);
	honest = be_served(w).us;
	fake_down(w->b);
	hostile_begin(h, trick);
	hostile_meet(h, trick);
	hostile_act(h, trick);
	expect_dots(w, 1);
	deaf_file_check_threads(w->vm);
	if (ends)
		figures_add(&ended, name, end(w), end_us);
	hostile_leave(h);
	if (ends) {
		hostile_end(h);
		return;
	}
	hostile_wait(h);
	figures_add(&served, name, be_served(w), honest);
	deaf_file_check_threads(w->vm);
	fake_down(w->b);
	hostile_end(h);
}

static void test_every_trick(void **state)
{
	struct kvm_test *w = *state;
	struct hostile h;

	hostile_init(&h, w->b);
	for (unsigned i = 0; i < rounds; i++)
		attack(w, &h, i * STRIDE % hostile_tricks(), i % 2 == 0);
	hostile_clear(&h);
	figures_print(&served);
	figures_print(&ended);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { TEST(test_every_trick) };

	if (argc < 5 || argc > MAX_OPTIONS)
		return 2;
	program = argv[1];
	rng_program = argv[2];
	rounds = atoi(argv[3]);
	options = (const char *const *)argv + 4;
	return cmocka_run_group_tests_name("kvm_hostile", tests, NULL, NULL);
}
