/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which privileges are dropped, and what --run-as and --chroot mean. */
#include "priv/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>

#include "base/error.h"
#include "base/number.h"
#include "base/option.h"
#include "base/util.h"
#include "priv/capabilities.h"
#include "priv/connector.h"
#include "priv/namespaces.h"
#include "priv/root.h"
#include "priv/user.h"

/* Converts an id: UINT32_MAX means "none" to the system. */
static bool to_id(const char *text, uint32_t *id)
{
	uint64_t n;

	if (!number_parse(text, 0, UINT32_MAX - 1, &n))
		return false;
	*id = n;
	return true;
}

static bool look_up(struct privileges *p, GError **error)
{
	g_auto(GStrv) names = g_strsplit(p->run_as, ":", 2);
	const char *user = names[0] ? names[0] : "", *group = names[0] ? names[1] : NULL;
	const struct passwd *pw;
	const struct group *gr;
	bool is_number = to_id(user, &p->uid);

	pw = is_number ? getpwuid(p->uid) : getpwnam(user);
	if (!pw && !is_number)
		return option_bad(error, "there is no such user");
	if (pw) {
		p->uid = pw->pw_uid;
		p->gid = pw->pw_gid;
	}
	if (p->uid == 0)
		return option_bad(error, "root keeps all privileges (name another user)");
	if (!group && !pw)
		return option_bad(
			error, "the user database has no such user: name its group (UID:GID)");
	if (!group || to_id(group, &p->gid))
		return true;
	gr = getgrnam(group);
	if (!gr)
		return option_bad(error, "there is no such group");
	p->gid = gr->gr_gid;
	return true;
}

static bool refuse_new(GError **error)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ||
		error_errno(error, errno, "cannot refuse new privileges");
}

bool privileges_prepare(struct privileges *p, GError **error)
{
	p->root = -1;
	if (p->chroot && !p->run_as)
		return option_bad(
			error, "--chroot=%s: needs --run-as, as root can leave it", p->chroot);
	if (!p->run_as)
		return true;
	if (!look_up(p, error)) {
		g_prefix_error(error, "--run-as=%s: ", p->run_as);
		return false;
	}
	if (p->chroot) {
		p->root = root_open(p->chroot);
		if (p->root < 0) {
			error_errno(error, errno, "--chroot=%s: cannot open it", p->chroot);
			return false;
		}
	}
	return refuse_new(error);
}

static bool change_user(const struct privileges *p, GError **error)
{
	const char *what = user_become(p->uid, p->gid);

	if (!what)
		return true;
	if (errno)
		return error_errno(error, errno, "%s", what);
	return error_set(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s", what);
}

static bool lower_limits(const struct privileges *p, GError **error)
{
	for (size_t i = 0; i < p->n_limits; i++) {
		/* That would count all processes of the current user. */
		if (p->limits[i].resource == RLIMIT_NPROC && !p->uid)
			continue;
		if (!resource_limit_lower(&p->limits[i], error))
			return false;
	}
	return true;
}

static bool forbid_tracing(GError **error)
{
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ||
		error_errno(error, errno, "cannot forbid tracing");
}

/* Puts the option that asked for it before the message. */
static bool fail_option(GError **error, const char *option, const char *value)
{
	if (value)
		g_prefix_error(error, "%s=%s: ", option, value);
	return false;
}

/* Keeps memory from becoming executable (Linux 6.3). The filter forbids it, too. */
static void forbid_code(const struct privileges *p)
{
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif
	if (!p->keep_code)
		prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0);
}

/* Loads what GLib and the C library open for the first message about an error. */
static void load_messages(void)
{
	const char *volatile message = g_strerror(EPERM);

	(void)message;
}

/* Leaves namespaces: with a user to become there are capabilities for it, or none that help. */
static void leave_host(struct privileges *p)
{
	namespaces_enter(p->keep_network, !p->uid, &p->missing);
	if (p->root < 0 && !p->keep_files && !root_leave())
		sandbox_report(&p->missing, "empty root directory", errno);
}

/* Reports Landlock as missing only if there are files that the process goes on using. */
static void restrict_paths(struct privileges *p)
{
	int err = landlock_enter(p->paths,
		(p->keep_network ? LANDLOCK_NETWORK : 0) |
			(p->keep_signals ? LANDLOCK_SIGNALS : 0));

	if (err && (p->keep_files || (p->paths && p->paths->use)))
		sandbox_report(&p->missing, "Landlock", -err);
}

static bool needs_connector(const struct privileges *p)
{
	return p->sockets || p->socket_stems || p->socket_folders;
}

static bool start_connector(const struct privileges *p, GError **error)
{
	const struct sock_maker_paths paths = { p->sockets, p->socket_stems, p->socket_folders };

	return !needs_connector(p) || connector_start(&paths, p->uid, p->gid, error);
}

bool privileges_drop(struct privileges *p, GError **error)
{
	bool sandboxed = p->sandbox != SANDBOX_NONE;

	/* Before fork(), after which each page that is written is copied. */
	if (sandboxed)
		load_messages();
	if (sandboxed && !start_connector(p, error))
		return false;
	if (sandboxed)
		leave_host(p);
	if (p->root >= 0 && !root_change(&p->root, error))
		return fail_option(error, "--chroot", p->chroot);
	if ((sandboxed || p->uid || p->untraceable) && !refuse_new(error))
		return false;
	if (sandboxed)
		capabilities_unbind();
	if (p->uid && !change_user(p, error))
		return fail_option(error, "--run-as", p->run_as);
	if ((p->uid || p->untraceable) && !forbid_tracing(error))
		return false;
	if (!sandboxed)
		return true;
	restrict_paths(p);
	forbid_code(p);
	if (!capabilities_drop(error) || !lower_limits(p, error))
		return false;
	if (needs_connector(p))
		connector_wait();
	return true;
}

bool privileges_seal(struct privileges *p, GError **error)
{
	int err;

	if (p->sandbox == SANDBOX_NONE)
		return true;
	err = p->calls ? syscall_filter_load(p->calls) : 0;
	if (err)
		sandbox_report(&p->missing, "system call filter", -err);
	return sandbox_check(&p->missing, p->sandbox, error);
}

void privileges_clear(struct privileges *p)
{
	fd_close(&p->root);
	g_clear_pointer(&p->run_as, g_free);
	g_clear_pointer(&p->chroot, g_free);
}
