/* SPDX-License-Identifier: Apache-2.0 */
/* See rights.h. */
#include "priv/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "priv/user.h"
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

bool rights_drop(struct rights *r, GError **error)
{
	const char *what;

	if (!r->run_as)
		return true;
	if (r->root >= 0 && !change_root(r, error))
		return false;
	what = identity_become(r->uid, r->gid);
	if (what)
		return fail_run_as(r, what, errno, error);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return fail_run_as(r, "cannot forbid to be traced", errno, error);
	return true;
}

void rights_clear(struct rights *r)
{
	fd_close(&r->root);
	g_clear_pointer(&r->run_as, g_free);
	g_clear_pointer(&r->chroot, g_free);
}
