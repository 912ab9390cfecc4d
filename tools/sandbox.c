/* SPDX-License-Identifier: Apache-2.0 */
/* See sandbox.h. */
#include "tools/sandbox.h"

#include <asm/termbits.h>
#include <errno.h>
#include <malloc.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#include "base/error.h"
#include "base/fd_kind.h"
#include "base/sock_maker.h"
#include "priv/privileges.h"

static const struct resource_limit limits[] = {
	{ RLIMIT_CORE, 0 },
	{ RLIMIT_NOFILE, 4096 },
};

static const struct syscall_rule own_calls[] = {
	/* is it a terminal, and how wide? */
	SYSCALL_IOCTL(TCGETS),
	SYSCALL_IOCTL(TCGETS2),
	SYSCALL_IOCTL(TIOCGWINSZ),
	/* bench: the CPU time of the back-end, punctual threads */
	SYSCALL(clock_getres),
	SYSCALL_IF(prctl, 0, UINT32_MAX, PR_SET_TIMERSLACK),
	SYSCALL_END,
};

/* Has libraries open now what they open when something is first used. */
static void prepare(void)
{
#ifdef M_ARENA_MAX
	/* A thread's own arena opens a file when it shrinks. */
	mallopt(M_ARENA_MAX, 1);
#endif
	g_random_int(); /* from /dev/urandom */
	fd_kind_keep_proc();
}

bool ctl_sandbox_enter_many(enum sandbox_mode mode, const char *const *sockets,
	const struct syscall_rule *more, GError **error)
{
	const struct syscall_rule *const calls[] = { syscall_core, own_calls, more, NULL };
	bool any = *sockets;
	struct privileges p = {
		.root = -1,
		.sandbox = mode,
		.sockets = any ? sockets : NULL,
		.limits = limits,
		.n_limits = G_N_ELEMENTS(limits),
		.calls = calls,
	};

	if (mode != SANDBOX_NONE)
		prepare();
	/* Nothing waits for the process that connects, unless it connects again. */
	if (mode != SANDBOX_NONE && any && !sock_maker_keep_pair())
		return error_errno(error, errno, "cannot make a socket");
	return privileges_drop(&p, error) && privileges_seal(&p, error);
}

bool ctl_sandbox_enter(enum sandbox_mode mode, const char *socket, GError **error)
{
	const char *const sockets[] = { socket, NULL };

	return ctl_sandbox_enter_many(mode, sockets, NULL, error);
}
