/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGBUS on guest memory: what happens when a front-end truncates a file that is mapped here.
 *
 * The handler runs on the thread that touched the page and may call only what is safe in a signal
 * handler, so it finds the mapping without a lock. The watched ranges are slots of a list of
 * chunks that only grows. A slot is written under a lock and read as a sequence lock is, but
 * without a retry: one that changes while the handler looks is not the one that faulted, because
 * nobody touches a mapping that is being made or taken away.
 *
 * The whole mapping is replaced, not the page: what it held is void anyhow, one mmap() per page
 * would run into the limit of mappings, and on hugetlbfs a page is no unit. The region's own
 * munmap() takes the replacement away.
 *
 * Only BUS_ADRERR is answered: BUS_MCEERR_* is broken hardware, which nobody may paper over.
 */
#include "memory/mem_fault.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sigbus.h"
#include "memory/guest_mem.h"

#define SLOTS 64

/* The kernel's own call, since sanitizers do more in theirs than a signal handler may. */
#ifdef SYS_mmap2
#define MMAP_CALL SYS_mmap2
#else
#define MMAP_CALL SYS_mmap
#endif

struct watch {
	void *base;
	size_t size; /* 0: a free slot */
	int *region_poisoned;
	int *table_poisoned;
};

struct slot {
	unsigned sequence; /* odd: being written */
	struct watch watch;
};

struct chunk {
	struct slot slot[SLOTS];
	struct chunk *next;
};

G_LOCK_DEFINE_STATIC(writers);
static struct chunk first_chunk;
static struct sigaction previous;

/* The slot after this one, the first for NULL; NULL after the last. */
static struct slot *next_slot(struct chunk **chunk, unsigned *i)
{
	if (*i == SLOTS) {
		*chunk = __atomic_load_n(&(*chunk)->next, __ATOMIC_ACQUIRE);
		*i = 0;
	}
	return *chunk ? &(*chunk)->slot[(*i)++] : NULL;
}

static void slot_write(struct slot *slot, const struct watch *watch)
{
	__atomic_store_n(&slot->sequence, slot->sequence + 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->watch.base, watch->base, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->watch.size, watch->size, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->watch.region_poisoned, watch->region_poisoned, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->watch.table_poisoned, watch->table_poisoned, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->sequence, slot->sequence + 1, __ATOMIC_SEQ_CST);
}

/* False if it is being written. */
static bool slot_read(struct slot *slot, struct watch *watch)
{
	unsigned sequence = __atomic_load_n(&slot->sequence, __ATOMIC_SEQ_CST);

	watch->base = __atomic_load_n(&slot->watch.base, __ATOMIC_SEQ_CST);
	watch->size = __atomic_load_n(&slot->watch.size, __ATOMIC_SEQ_CST);
	watch->region_poisoned = __atomic_load_n(&slot->watch.region_poisoned, __ATOMIC_SEQ_CST);
	watch->table_poisoned = __atomic_load_n(&slot->watch.table_poisoned, __ATOMIC_SEQ_CST);
	return sequence % 2 == 0 && sequence == __atomic_load_n(&slot->sequence, __ATOMIC_SEQ_CST);
}

void mem_fault_watch(void *base, size_t size, int *region_poisoned, int *table_poisoned)
{
	struct watch watch = { base, size, region_poisoned, table_poisoned };
	struct chunk *chunk = &first_chunk, *last = chunk;
	struct slot *slot;
	unsigned i = 0;

	G_LOCK(writers);
	while ((slot = next_slot(&chunk, &i)) && slot->watch.size > 0)
		last = chunk;
	if (!slot) {
		chunk = g_new0(struct chunk, 1);
		__atomic_store_n(&last->next, chunk, __ATOMIC_RELEASE);
		slot = &chunk->slot[0];
	}
	slot_write(slot, &watch);
	G_UNLOCK(writers);
}

void mem_fault_unwatch(void *base)
{
	static const struct watch none;
	struct chunk *chunk = &first_chunk;
	struct slot *slot;
	unsigned i = 0;

	G_LOCK(writers);
	while ((slot = next_slot(&chunk, &i)))
		if (slot->watch.size > 0 && slot->watch.base == base)
			slot_write(slot, &none);
	G_UNLOCK(writers);
}

static bool watched(const void *address, struct watch *watch)
{
	struct chunk *chunk = &first_chunk;
	struct slot *slot;
	unsigned i = 0;

	while ((slot = next_slot(&chunk, &i)))
		if (slot_read(slot, watch) &&
			(uintptr_t)address - (uintptr_t)watch->base < watch->size)
			return true;
	return false;
}

static bool replace_with_zeroes(const void *address)
{
	struct watch watch;

	if (!watched(address, &watch))
		return false;
	/* Flags first: no other thread may take the zeroes for the guest's. */
	__atomic_store_n(watch.region_poisoned, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(watch.table_poisoned, 1, __ATOMIC_SEQ_CST);
	return syscall(MMAP_CALL, watch.base, watch.size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1L, 0L) != -1;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	bool handled;

	if (info->si_code == BUS_ADRERR)
		sigbus_escape(info->si_addr);
	handled = info->si_code == BUS_ADRERR && replace_with_zeroes(info->si_addr);
	errno = saved;
	if (handled)
		return;
	if (previous.sa_flags & SA_SIGINFO) {
		previous.sa_sigaction(sig, info, context);
	} else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
		previous.sa_handler(sig);
	} else {
		/* Blocked until we return: then it does what it would have done without us. */
		sigaction(SIGBUS, &previous, NULL);
		raise(SIGBUS);
	}
}

void guest_mem_catch_sigbus(void)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
	struct sigaction now;

	sigaction(SIGBUS, NULL, &now);
	if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_sigbus)
		return;
	previous = now;
	action.sa_sigaction = on_sigbus;
	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
}
