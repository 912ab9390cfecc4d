/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See connector.h. It stays in the host's namespaces and root directory, where the sockets are; as
 * root it may connect to sockets of other users, as everything of root's may.
 */
#include "priv/connector.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sock.h"
#include "base/start.h"
#include "base/util.h"
#include "priv/capabilities.h"
#include "priv/landlock.h"
#include "priv/resource_limits.h"
#include "priv/syscall_filter.h"
#include "priv/user.h"

static const struct syscall_rule own_calls[] = {
	SYSCALL_IF(socket, 0, UINT32_MAX, AF_UNIX),
	SYSCALL_IF(socketpair, 0, UINT32_MAX, AF_UNIX),
	SYSCALL(connect),
	SYSCALL_END,
};

/* Does what it can: what is missing here is missing in the process that reports it, too. */
static bool confine(uid_t uid, gid_t gid)
{
	static const struct syscall_rule *const calls[] = { syscall_core, own_calls, NULL };

	/*
	 * It opens few files, but can send none while sockets of any process of its user hold
	 * more than this.
	 */
	static const struct resource_limit limits[] = { { RLIMIT_CORE, 0 },
		{ RLIMIT_NOFILE, 16384 } };

	for (unsigned i = 0; i < G_N_ELEMENTS(limits); i++)
		resource_limit_lower(&limits[i], NULL);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return false;
	capabilities_unbind();
	if (uid && user_become(uid, gid))
		return false;
	if (!capabilities_keep(CAP_DAC_OVERRIDE, NULL))
		return false;
	landlock_enter(NULL, 0);
	syscall_filter_load(calls);
	return true;
}

/* Leaves all files to the other process, but for the log. */
static void leave_to_parent(int fd)
{
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	prctl(PR_SET_NAME, "connector");
	dup2(nothing, STDIN_FILENO);
	dup2(nothing, STDOUT_FILENO);
	start_close_fds((char *[]){ NULL }, (const int[]){ fd, -1 });
}

static void run(int fd, const struct sock_maker_paths *paths, uid_t uid, gid_t gid)
{
	leave_to_parent(fd);
	send(fd, "", 1, MSG_NOSIGNAL);
	if (confine(uid, gid))
		sock_maker_serve(fd, paths);
	_exit(0);
}

bool connector_start(const struct sock_maker_paths *paths, uid_t uid, gid_t gid, GError **error)
{
	sigset_t all, before;
	int sockets[2];
	pid_t pid;

	if (!sock_pair_records(sockets))
		return error_errno(error, errno, "cannot make a socket");
	/* Signals of the terminal are for the other process. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		run(sockets[1], paths, uid, gid);
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(sockets[1]);
	sock_maker_use(sockets[0]);
	return pid > 0 || error_errno(error, errno, "cannot start the process that connects");
}

void connector_wait(void)
{
	char byte;

	while (recv(sock_maker_fd(), &byte, 1, 0) < 0 && errno == EINTR)
		;
}
