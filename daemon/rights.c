/* SPDX-License-Identifier: Apache-2.0 */
/* See rights.h. */
#include "daemon/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/util.h"

static bool fail(GError **error, const char *option, const char *value, const char *what, int err)
{
	g_set_error(error, G_FILE_ERROR, err ? g_file_error_from_errno(err) : G_FILE_ERROR_INVAL,
		"%s=%s: %s%s%s", option, value, what, err ? ": " : "", err ? g_strerror(err) : "");
	return false;
}

static bool fail_run_as(const struct rights *r, const char *what, int err, GError **error)
{
	return fail(error, "--run-as", r->run_as, what, err);
}

/* UINT32_MAX means "none" to the system. */
static bool to_id(const char *text, uint32_t *id)
{
	guint64 n;

	if (!g_ascii_string_to_unsigned(text, 10, 0, UINT32_MAX - 1, &n, NULL))
		return false;
	*id = n;
	return true;
}

static bool look_up(struct rights *r, GError **error)
{
	g_auto(GStrv) names = g_strsplit(r->run_as, ":", 2);
	const char *user = names[0] ? names[0] : "", *group = names[0] ? names[1] : NULL;
	const struct passwd *pw;
	const struct group *gr;
	bool is_number = to_id(user, &r->uid);

	pw = is_number ? getpwuid(r->uid) : getpwnam(user);
	if (!pw && !is_number)
		return fail_run_as(r, "there is no such user", 0, error);
	if (pw) {
		r->uid = pw->pw_uid;
		r->gid = pw->pw_gid;
	}
	if (r->uid == 0)
		return fail_run_as(r, "this user keeps all rights", 0, error);
	if (!group && !pw)
		return fail_run_as(
			r, "there is no such user, so its group must be told (UID:GID)", 0, error);
	if (!group || to_id(group, &r->gid))
		return true;
	gr = getgrnam(group);
	if (!gr)
		return fail_run_as(r, "there is no such group", 0, error);
	r->gid = gr->gr_gid;
	return true;
}

bool rights_prepare(struct rights *r, GError **error)
{
	r->root = -1;
	if (r->chroot && !r->run_as)
		return fail(error, "--chroot", r->chroot,
			"is of no use without --run-as: root can leave it", 0);
	if (!r->run_as)
		return true;
	if (!look_up(r, error))
		return false;
	if (r->chroot) {
		r->root = open(r->chroot, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (r->root < 0)
			return fail(error, "--chroot", r->chroot, "cannot open it", errno);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail_run_as(r, "cannot rule new rights out", errno, error);
	return true;
}

/* No directory may stay open: it would be a way out. */
static bool change_root(struct rights *r, GError **error)
{
	if (fchdir(r->root) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return fail(error, "--chroot", r->chroot, "cannot make it the root", errno);
	fd_close(&r->root);
	return true;
}

static bool has_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	if (syscall(SYS_capget, &header, data) < 0)
		return true;
	for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		if (data[i].effective || data[i].permitted)
			return true;
	return false;
}

static bool is_only(const struct rights *r)
{
	uid_t uid[3];
	gid_t gid[3];

	if (getresuid(&uid[0], &uid[1], &uid[2]) < 0 || getresgid(&gid[0], &gid[1], &gid[2]) < 0)
		return false;
	for (unsigned i = 0; i < 3; i++)
		if (uid[i] != r->uid || gid[i] != r->gid)
			return false;
	return getgroups(0, NULL) == 0;
}

bool rights_drop(struct rights *r, GError **error)
{
	if (!r->run_as)
		return true;
	if (r->root >= 0 && !change_root(r, error))
		return false;
	if (setgroups(0, NULL) < 0)
		return fail_run_as(r, "cannot leave the other groups", errno, error);
	if (setresgid(r->gid, r->gid, r->gid) < 0)
		return fail_run_as(r, "cannot change the group", errno, error);
	if (setresuid(r->uid, r->uid, r->uid) < 0)
		return fail_run_as(r, "cannot change the user", errno, error);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return fail_run_as(r, "cannot forbid to be traced", errno, error);
	if (!is_only(r) || has_capabilities() || setuid(0) == 0)
		return fail_run_as(r, "rights are left", 0, error);
	return true;
}

void rights_clear(struct rights *r)
{
	fd_close(&r->root);
	g_clear_pointer(&r->run_as, g_free);
	g_clear_pointer(&r->chroot, g_free);
}
