/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See sigbus.h. The signal is synchronous: it comes to the thread that touched the page, and finds
 * that thread's own guard.
 */
#include "base/sigbus.h"

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>

struct guard {
	const void *base;
	size_t size; /* 0: no guard */
	sigjmp_buf escape;
};

static __thread struct guard guard;

/* Unblocks the signal: the handler was left without returning, so its signal is still blocked. */
static void unblock(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGBUS);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

bool sigbus_guard(const void *base, size_t size, void (*f)(void *arg), void *arg)
{
	/* Without the signal mask, which would take a system call each time. */
	if (sigsetjmp(guard.escape, 0)) {
		guard.size = 0;
		unblock();
		return false;
	}
	guard.base = base;
	__atomic_store_n(&guard.size, size, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	f(arg);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&guard.size, 0, __ATOMIC_RELAXED);
	return true;
}

void sigbus_escape(const void *address)
{
	if ((uintptr_t)address - (uintptr_t)guard.base < guard.size)
		siglongjmp(guard.escape, 1);
}
