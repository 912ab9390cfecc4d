/* SPDX-License-Identifier: Apache-2.0 */
/* Privileges are dropped, for good. Each case is a process of its own. */
#include "tests/lib/test.h"

#include <grp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/util.h"
#include "priv/capabilities.h"
#include "priv/privileges.h"

#define NOBODY 65534u

static bool need_root(void)
{
	if (geteuid() == 0)
		return true;
	print_message("SKIPPED: dropping privileges takes root\n");
	return false;
}

/* Runs in a child; what does not hold is its exit status, a line number. */
#define CHECK(what)                                                                             \
	do {                                                                                    \
		if (!(what)) {                                                                  \
			fprintf(stderr, "line %d: %s: %s\n", __LINE__, #what, strerror(errno)); \
			_exit(1);                                                               \
		}                                                                               \
	} while (0)

static void in_child(void (*what)(const char *dir))
{
	g_autofree char *dir = g_dir_make_tmp("virtiod-privileges-XXXXXX", NULL);
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		what(dir);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(rmdir(dir), 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void drop_all(const char *dir)
{
	struct privileges r = {
		.run_as = g_strdup("65534:65533"), .chroot = g_strdup(dir), .sandbox = SANDBOX_NONE
	};
	const gid_t groups[] = { 0, 4, 27 };
	int kept = open("/dev/null", O_RDWR | O_CLOEXEC);
	gid_t gid;

	/* What cannot be seen then is not there: it is not forbidden to look. */
	CHECK(chmod(dir, 0755) == 0 && setgroups(3, groups) == 0);
	CHECK(privileges_prepare(&r, NULL));
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	CHECK(privileges_drop(&r, NULL));

	CHECK(getuid() == NOBODY && geteuid() == NOBODY && getgid() == 65533 && getegid() == 65533);
	CHECK(getgroups(1, &gid) == 0);
	CHECK(setuid(0) < 0 && setreuid(0, 0) < 0 && setresuid(-1, 0, -1) < 0);
	CHECK(setgid(0) < 0 && setgroups(1, &(gid_t){ 0 }) < 0);
	CHECK(prctl(PR_GET_DUMPABLE) == 0);
	CHECK(open("/etc/passwd", O_RDONLY) < 0 && errno == ENOENT);
	CHECK(open("../../../etc/passwd", O_RDONLY) < 0 && errno == ENOENT);
	CHECK(open("/new", O_RDWR | O_CREAT, 0600) < 0);
	CHECK(chroot("/") < 0 && errno == EPERM);
	/* No descriptor leads out. */
	for (int fd = 0; fd < 1024; fd++)
		CHECK(openat(fd, "..", O_PATH) < 0);
	CHECK(write(kept, "x", 1) == 1);
	privileges_clear(&r);
}

static void test_drop(void **state)
{
	if (!need_root())
		skip();
	in_child(drop_all);
}

/* Drops the user without a new root: the file system stays, as that user sees it. */
static void drop_user(const char *dir)
{
	struct privileges r = { .run_as = g_strdup("65534:65534"), .sandbox = SANDBOX_NONE };

	CHECK(privileges_prepare(&r, NULL));
	CHECK(privileges_drop(&r, NULL));
	CHECK(open("/etc/passwd", O_RDONLY) >= 0);
	CHECK(open("/etc/shadow", O_RDONLY) < 0 && errno == EACCES);
	CHECK(open(dir, O_RDONLY) < 0 && errno == EACCES);
	privileges_clear(&r);
}

static void test_drop_user(void **state)
{
	if (!need_root())
		skip();
	in_child(drop_user);
}

/* Capabilities that would survive the change of user are given up, too. */
static void keep_capabilities(const char *dir)
{
	struct privileges r = { .run_as = g_strdup("65534:65534"), .sandbox = SANDBOX_NONE };

	CHECK(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0);
	CHECK(privileges_prepare(&r, NULL));
	CHECK(privileges_drop(&r, NULL));
	CHECK(!capabilities_left());
	privileges_clear(&r);
}

static void test_capabilities(void **state)
{
	if (!need_root())
		skip();
	in_child(keep_capabilities);
}

/* Checks that dropping fails without the privilege to do so. */
static void without_root(const char *dir)
{
	struct privileges r = {
		.run_as = g_strdup("65533:65533"), .chroot = g_strdup("/"), .sandbox = SANDBOX_NONE
	};
	g_autoptr(GError) error = NULL;

	if (geteuid() == 0)
		CHECK(setresuid(NOBODY, NOBODY, NOBODY) == 0);
	CHECK(privileges_prepare(&r, NULL));
	CHECK(!privileges_drop(&r, &error));
	CHECK(g_str_has_prefix(error->message, "--chroot=/: cannot change the root directory: "));
	g_clear_error(&error);
	fd_close(&r.root);
	CHECK(!privileges_drop(&r, &error));
	CHECK(g_str_has_prefix(error->message, "--run-as=65533:65533: cannot leave"));
	privileges_clear(&r);
}

static void test_without_root(void **state)
{
	in_child(without_root);
}

static void test_names(void **state)
{
	const struct {
		const char *text;
		uid_t uid;
		gid_t gid;
	} good[] = {
		{ "1:2", 1, 2 },
		{ "4000000000:4000000001", 4000000000, 4000000001 },
		{ "4000000000:0", 4000000000, 0 },
		{ "4000000000:root", 4000000000, 0 },
		{ "nobody", NOBODY, NOBODY },
		{ "nobody:5", NOBODY, 5 },
		{ "65534", NOBODY, NOBODY },
	};
	const struct {
		const char *run_as, *chroot, *says;
	} bad[] = {
		{ "", NULL, "--run-as=: there is no such user" },
		{ ":5", NULL, "--run-as=:5: there is no such user" },
		{ "no-such-user", NULL, "--run-as=no-such-user: there is no such user" },
		{ "root", NULL, "--run-as=root: root keeps all privileges" },
		{ "0:5", NULL, "--run-as=0:5: root keeps all privileges" },
		{ "nobody:", NULL, "--run-as=nobody:: there is no such group" },
		{ "nobody:no-such", NULL, "--run-as=nobody:no-such: there is no such group" },
		{ "4000000000", NULL, "name its group (UID:GID)" },
		{ "4294967295:1", NULL, "there is no such user" },
		{ "1:4294967295", NULL, "there is no such group" },
		{ "-1:1", NULL, "there is no such user" },
		{ NULL, "/", "--chroot=/: needs --run-as" },
		{ "1:1", "/no/such", "--chroot=/no/such: cannot open it: No such file" },
		{ "1:1", "/etc/passwd", "--chroot=/etc/passwd: cannot open it: Not a directory" },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
		struct privileges r = { .run_as = g_strdup(good[i].text) };

		assert_true(privileges_prepare(&r, NULL));
		assert_int_equal(r.uid, good[i].uid);
		assert_int_equal(r.gid, good[i].gid);
		privileges_clear(&r);
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		struct privileges r = {
			.run_as = g_strdup(bad[i].run_as),
			.chroot = g_strdup(bad[i].chroot),
		};
		g_autoptr(GError) error = NULL;

		assert_false(privileges_prepare(&r, &error));
		if (!strstr(error->message, bad[i].says))
			fail_msg("'%s' and not '%s'", error->message, bad[i].says);
		privileges_clear(&r);
	}
}

/* Lowers limits. The current user has other processes: how many it may have stays. */
static void lower(const char *dir)
{
	static const struct resource_limit limits[] = {
		{ RLIMIT_NPROC, 7 },
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_MSGQUEUE, 33 },
	};
	struct privileges p = {
		.root = -1, .untraceable = true, .limits = limits, .n_limits = G_N_ELEMENTS(limits)
	};
	struct rlimit before[3], after[3];

	for (unsigned i = 0; i < 3; i++)
		CHECK(getrlimit(limits[i].resource, &before[i]) == 0);
	CHECK(privileges_drop(&p, NULL));
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	for (unsigned i = 0; i < 3; i++)
		CHECK(getrlimit(limits[i].resource, &after[i]) == 0);
	CHECK(after[0].rlim_cur == before[0].rlim_cur && after[0].rlim_max == before[0].rlim_max);
	CHECK(after[1].rlim_cur == 0 && after[1].rlim_max == 0);
	CHECK(after[2].rlim_cur == 33 && after[2].rlim_max == 33);
}

static void test_limits(void **state)
{
	in_child(lower);
}

/* Lowers twice: what is lower already stays, also for a process that could raise it. */
static void lower_twice(const char *dir)
{
	struct rlimit after;

	CHECK(resource_limit_lower(&(struct resource_limit){ RLIMIT_MSGQUEUE, 33 }, NULL));
	CHECK(resource_limit_lower(&(struct resource_limit){ RLIMIT_MSGQUEUE, 44 }, NULL));
	CHECK(getrlimit(RLIMIT_MSGQUEUE, &after) == 0 && after.rlim_max == 33);
	CHECK(!resource_limit_lower(&(struct resource_limit){ RLIM_NLIMITS, 1 }, NULL));
}

static void test_limits_only_fall(void **state)
{
	in_child(lower_twice);
}

/* Neither option: nothing happens. */
static void test_none(void **state)
{
	struct privileges r = { .sandbox = SANDBOX_NONE };
	int before = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);

	assert_true(privileges_prepare(&r, NULL));
	assert_true(privileges_drop(&r, NULL));
	assert_int_equal(r.root, -1);
	assert_int_equal(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), before);
	privileges_clear(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_drop_user),
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_without_root),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_limits_only_fall),
	};

	return cmocka_run_group_tests_name("privileges", tests, NULL, NULL);
}
