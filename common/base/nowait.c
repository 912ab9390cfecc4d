/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See nowait.h.
 *
 *	the caller					the watcher
 *	a slot = the call		(full barrier)	awake = false	(full barrier)
 *	is the watcher awake? if not: wakes it		does a slot have a call? then awake = true
 *	read(), write()
 *	the slot is free
 *
 * Whichever order the two take, the call is seen by the watcher, or the caller wakes it.
 */
#include "base/nowait.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Calls at a time; more take turns. */
#define SLOTS 64
#define LOOK_MS (NOWAIT_MS / 2)
/* Looks without any call before the watcher sleeps. */
#define IDLE_LOOKS 10
#define WATCHER_STACK (64 << 10)
/* Interrupts a system call, and does nothing else. */
#define INTERRUPT_SIGNAL SIGURG

/* A call: which thread's (high half), and which of them; 0: none. */
struct nowait_slot {
	uint64_t call __attribute__((aligned(64)));
};

static struct nowait_slot slots[SLOTS];
static bool awake;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;

static _Thread_local uint64_t thread, serial;

static void do_nothing(int signum)
{
}

/* Interrupts what was there at the last look, too; returns whether there is any call. */
static bool look(uint64_t *seen)
{
	bool any = false;

	for (unsigned i = 0; i < SLOTS; i++) {
		uint64_t call = __atomic_load_n(&slots[i].call, __ATOMIC_SEQ_CST);

		if (call && call == seen[i])
			syscall(SYS_tgkill, getpid(), (pid_t)(call >> 32), INTERRUPT_SIGNAL);
		seen[i] = call;
		any |= call != 0;
	}
	return any;
}

static void *watch(void *unused)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };
	uint64_t seen[SLOTS] = { 0 };
	unsigned idle = IDLE_LOOKS;

	for (;;) {
		idle = look(seen) ? 0 : idle + 1;
		if (idle >= IDLE_LOOKS) {
			pthread_mutex_lock(&lock);
			__atomic_store_n(&awake, false, __ATOMIC_SEQ_CST);
			if (look(seen))
				__atomic_store_n(&awake, true, __ATOMIC_SEQ_CST);
			while (!__atomic_load_n(&awake, __ATOMIC_SEQ_CST))
				pthread_cond_wait(&wake, &lock);
			pthread_mutex_unlock(&lock);
			idle = 0;
		}
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static void start_watcher(void)
{
	const struct sigaction interrupted = { .sa_handler = do_nothing };
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t watcher;

	sigaction(INTERRUPT_SIGNAL, &interrupted, NULL);
	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, WATCHER_STACK);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	/* Without one (a limit was reached) callers rely on O_NONBLOCK. */
	pthread_create(&watcher, &attr, watch, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
}

static void start_thread(void)
{
	sigset_t set;

	pthread_once(&once, start_watcher);
	sigemptyset(&set);
	sigaddset(&set, INTERRUPT_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	thread = (uint64_t)syscall(SYS_gettid) << 32;
}

static void wake_watcher(void)
{
	pthread_mutex_lock(&lock);
	__atomic_store_n(&awake, true, __ATOMIC_SEQ_CST);
	pthread_cond_signal(&wake);
	pthread_mutex_unlock(&lock);
}

static struct nowait_slot *begin(void)
{
	struct nowait_slot *slot;
	uint64_t none = 0;
	unsigned i;

	if (!thread)
		start_thread();
	serial = (uint32_t)(serial + 1);
	for (i = (unsigned)(thread >> 32);; i++, none = 0) {
		slot = &slots[i % SLOTS];
		if (__atomic_compare_exchange_n(&slot->call, &none, thread | serial, false,
			    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			break;
	}
	if (!__atomic_load_n(&awake, __ATOMIC_SEQ_CST))
		wake_watcher();
	return slot;
}

static ssize_t end(struct nowait_slot *slot, ssize_t n)
{
	__atomic_store_n(&slot->call, 0, __ATOMIC_RELEASE);
	return n;
}

ssize_t nowait_read(int fd, void *buf, size_t n)
{
	struct nowait_slot *slot = begin();

	return end(slot, read(fd, buf, n));
}

ssize_t nowait_write(int fd, const void *buf, size_t n)
{
	struct nowait_slot *slot = begin();

	return end(slot, write(fd, buf, n));
}
