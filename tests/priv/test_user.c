/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Becoming another user: really, and a kernel that says so without doing it is found out. There is
 * no way back, so each case is a process of its own, and tells in shared memory how it went.
 */
#include "tests/lib/test.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "priv/user.h"
#include "tests/lib/deny.h"

#define USER 65534
#define GROUP 65533

struct outcome {
	bool ready; /* what comes before could be done */
	const char *what; /* a literal: at the same place in both processes */
	int err;
	char status[2][8192]; /* of the main thread, of another */
};

static struct outcome *outcome;

static void need_root(void)
{
	if (geteuid() == 0)
		return;
	print_message("SKIPPED: becoming another user takes root\n");
	skip();
}

static void *rest(void *tid)
{
	__atomic_store_n((pid_t *)tid, gettid(), __ATOMIC_RELEASE);
	while (true)
		pause();
	return NULL;
}

/* Starts another thread; it ends with the process. */
static pid_t start_thread(void)
{
	static pid_t tid;
	pthread_t thread;

	if (pthread_create(&thread, NULL, rest, &tid) != 0)
		return 0;
	while (!__atomic_load_n(&tid, __ATOMIC_ACQUIRE))
		sched_yield();
	return tid;
}

static void read_status(pid_t tid, char *text, size_t size)
{
	g_autofree char *path = g_strdup_printf("/proc/self/task/%d/status", (int)tid);
	FILE *file = fopen(path, "re");

	if (!file)
		return;
	text[fread(text, 1, size - 1, file)] = '\0';
	fclose(file);
}

struct attempt {
	bool (*before)(const struct attempt *a);
	bool has_thread;
	uint32_t denied, with; /* for before */
	uid_t uid;
	gid_t gid;
};

static void attempt_in_child(const struct attempt *a)
{
	pid_t tid = 0;

	outcome->ready = a->before(a);
	if (outcome->ready && a->has_thread)
		outcome->ready = (tid = start_thread()) != 0;
	if (!outcome->ready)
		return;
	outcome->what = user_become(a->uid, a->gid);
	outcome->err = errno;
	read_status(getpid(), outcome->status[0], sizeof(outcome->status[0]));
	read_status(tid, outcome->status[1], sizeof(outcome->status[1]));
}

static void attempt(const struct attempt *a)
{
	int status;
	pid_t pid;

	memset(outcome, 0, sizeof(*outcome));
	pid = fork();
	if (pid == 0) {
		attempt_in_child(a);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void assert_left(void)
{
	assert_true(outcome->ready);
	assert_non_null(outcome->what);
	assert_string_equal(outcome->what, "privileges are left");
	assert_int_equal(outcome->err, 0);
}

static void assert_has(const char *status, const char *line)
{
	if (!strstr(status, line))
		fail_msg("no line '%s' in: %s", line, status);
}

/* Joins more groups than one user has. */
static bool join_groups(const struct attempt *a)
{
	return setgroups(2, (const gid_t[]){ 4, 27 }) == 0;
}

static void test_root(void **state)
{
	need_root();
	attempt(&(struct attempt){ join_groups, .has_thread = true, .uid = USER, .gid = GROUP });
	assert_true(outcome->ready);
	assert_null(outcome->what);
	for (unsigned i = 0; i < 2; i++) {
		/* Real, effective, saved, and for files. */
		assert_has(outcome->status[i], "\nUid:\t65534\t65534\t65534\t65534\n");
		assert_has(outcome->status[i], "\nGid:\t65533\t65533\t65533\t65533\n");
		assert_has(outcome->status[i], "\nGroups:\t \n");
		assert_has(outcome->status[i], "\nCapPrm:\t0000000000000000\n");
		assert_has(outcome->status[i], "\nCapEff:\t0000000000000000\n");
	}
}

static bool leave_root(const struct attempt *a)
{
	return geteuid() != 0 ||
		(setgroups(0, NULL) == 0 && setresgid(USER, USER, USER) == 0 &&
			setresuid(USER, USER, USER) == 0);
}

/* Even those who would not change say so: there is no success without having tried. */
static void test_not_root(void **state)
{
	const struct attempt attempts[] = {
		{ leave_root, .uid = 1, .gid = 1 },
		{ leave_root, .uid = USER, .gid = USER },
		{ leave_root, .uid = 0, .gid = 0 },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(attempts); i++) {
		attempt(&attempts[i]);
		assert_true(outcome->ready);
		assert_non_null(outcome->what);
		assert_string_equal(outcome->what, "cannot leave the other groups");
		assert_int_equal(outcome->err, EPERM);
	}
}

static bool keep_capabilities(const struct attempt *a)
{
	return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0;
}

/* Becomes a user with capabilities, as AmbientCapabilities= has it; they outlive another change. */
static bool give_capabilities(const struct attempt *a)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const uint32_t caps = 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_DAC_OVERRIDE;
	const struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{ .effective = caps, .permitted = caps, .inheritable = caps }
	};

	return keep_capabilities(a) && setresuid(1, 1, 1) == 0 &&
		syscall(SYS_capset, &header, data) == 0 &&
		prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SETUID, 0, 0) == 0;
}

static void test_capabilities_go(void **state)
{
	const struct attempt attempts[] = {
		{ keep_capabilities, .uid = USER, .gid = GROUP },
		{ give_capabilities, .uid = USER, .gid = GROUP },
		{ give_capabilities, .uid = 1, .gid = GROUP },
	};

	need_root();
	for (unsigned i = 0; i < G_N_ELEMENTS(attempts); i++) {
		attempt(&attempts[i]);
		assert_true(outcome->ready);
		assert_null(outcome->what);
		assert_has(outcome->status[0], "\nCapInh:\t0000000000000000\n");
		assert_has(outcome->status[0], "\nCapPrm:\t0000000000000000\n");
		assert_has(outcome->status[0], "\nCapEff:\t0000000000000000\n");
		assert_has(outcome->status[0], "\nCapAmb:\t0000000000000000\n");
	}
}

/* Root is no other user, and "no change" no user at all. */
static void test_not_another(void **state)
{
	const struct attempt attempts[] = {
		{ join_groups, .uid = 0, .gid = 0 },
		{ join_groups, .uid = 0, .gid = GROUP },
		{ join_groups, .uid = -1, .gid = GROUP },
		{ join_groups, .uid = USER, .gid = -1 },
	};

	need_root();
	for (unsigned i = 0; i < G_N_ELEMENTS(attempts); i++) {
		attempt(&attempts[i]);
		assert_left();
	}
}

static bool deny(const struct attempt *a)
{
	return join_groups(a) && deny_syscall(a->denied, a->with);
}

static void skip_denied(void)
{
	print_message("SKIPPED: system calls cannot be denied here\n");
	skip();
}

static bool attempt_denied(uint32_t denied, uint32_t with)
{
	attempt(&(struct attempt){
		deny, .denied = denied, .with = with, .uid = USER, .gid = GROUP });
	return outcome->ready;
}

static void test_failures(void **state)
{
	const struct {
		uint32_t call;
		const char *what;
	} steps[] = {
		{ SYS_setgroups, "cannot leave the other groups" },
		{ SYS_setresgid, "cannot change the group" },
		{ SYS_setresuid, "cannot change the user" },
	};

	need_root();
	for (unsigned i = 0; i < G_N_ELEMENTS(steps); i++) {
		if (!attempt_denied(steps[i].call, EAGAIN))
			skip_denied();
		assert_non_null(outcome->what);
		assert_string_equal(outcome->what, steps[i].what);
		assert_int_equal(outcome->err, EAGAIN);
	}
}

/* Success that is none, and what cannot be looked at: no privileges are taken to be gone. */
static void test_found_out(void **state)
{
	const struct {
		uint32_t call, with;
	} lies[] = {
		{ SYS_setgroups, 0 },
		{ SYS_setresgid, 0 },
		{ SYS_setresuid, 0 },
		{ SYS_setuid, 0 },
		{ SYS_getgroups, EPERM },
		{ SYS_getresgid, EPERM },
		{ SYS_getresuid, EPERM },
		{ SYS_capget, EPERM },
		{ SYS_capset, EPERM },
	};

	need_root();
	for (unsigned i = 0; i < G_N_ELEMENTS(lies); i++) {
		if (!attempt_denied(lies[i].call, lies[i].with))
			skip_denied();
		assert_left();
	}
}

/* Denies all rights, and reports that all of it was done. */
static bool deny_all(const struct attempt *a)
{
	return leave_root(a) && deny_syscall(SYS_setgroups, 0) && deny_syscall(SYS_setresgid, 0) &&
		deny_syscall(SYS_setresuid, 0);
}

static void test_still_somebody_else(void **state)
{
	const uid_t uid = geteuid() == 0 ? USER : geteuid();
	const gid_t gid = geteuid() == 0 ? USER : getegid();
	const struct attempt attempts[] = {
		{ deny_all, .uid = uid - 1, .gid = gid },
		{ deny_all, .uid = uid, .gid = gid - 1 },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(attempts); i++) {
		attempt(&attempts[i]);
		if (!outcome->ready)
			skip_denied();
		assert_left();
	}
}

static int make_outcome(void **state)
{
	outcome = mmap(
		NULL, sizeof(*outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return outcome == MAP_FAILED ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_root),
		cmocka_unit_test(test_not_root),
		cmocka_unit_test(test_capabilities_go),
		cmocka_unit_test(test_not_another),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_found_out),
		cmocka_unit_test(test_still_somebody_else),
	};

	return cmocka_run_group_tests(tests, make_outcome, NULL);
}
