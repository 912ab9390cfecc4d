/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGBUS on guest memory, which is raised when a front-end has truncated a file that is mapped
 * here.
 *
 * The handler runs on the thread that touched the page and may call only what is safe in a signal
 * handler, so it finds the mapping without a lock. The watched ranges are slots in a list of chunks
 * that only grows. A slot is written under a lock and read like a sequence lock, but without a
 * retry: a slot that changes meanwhile is not the one that faulted, because a mapping is not
 * accessed while it is being made or removed.
 *
 * The whole mapping is replaced, not only the page: its contents are useless anyway, one mmap() for
 * each page would exceed the limit of mappings, and hugetlbfs has larger pages. The region's own
 * munmap() removes the replacement.
 *
 * Only BUS_ADRERR is answered: BUS_MCEERR_* reports broken hardware, which must not be hidden.
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

struct fault_watch {
	void *base;
	size_t size; /* 0: a free slot */
	int *region_poisoned;
	int *table_poisoned;
};

struct fault_slot {
	unsigned sequence; /* odd: being written */
	struct fault_watch watch;
};

struct fault_chunk {
	struct fault_slot slot[SLOTS];
	struct fault_chunk *next;
};

G_LOCK_DEFINE_STATIC(writers);
static struct fault_chunk first_chunk;
static struct sigaction previous;

/*
 * Returns the i-th slot of the chunk, or the first of the next one; NULL after the last. Advances.
 */
static struct fault_slot *next_slot(struct fault_chunk **chunk, unsigned *i)
{
	if (*i == SLOTS) {
		*chunk = __atomic_load_n(&(*chunk)->next, __ATOMIC_ACQUIRE);
		*i = 0;
	}
	return *chunk ? &(*chunk)->slot[(*i)++] : NULL;
}

static void slot_write(struct fault_slot *slot, const struct fault_watch *watch)
{
	__atomic_store_n(&slot->sequence, slot->sequence + 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->watch.base, watch->base, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->watch.size, watch->size, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->watch.region_poisoned, watch->region_poisoned, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->watch.table_poisoned, watch->table_poisoned, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->sequence, slot->sequence + 1, __ATOMIC_SEQ_CST);
}

/* Returns false if it is being written. */
static bool slot_read(struct fault_slot *slot, struct fault_watch *watch)
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
	struct fault_watch watch = { base, size, region_poisoned, table_poisoned };
	struct fault_chunk *chunk = &first_chunk, *last = chunk;
	struct fault_slot *slot;
	unsigned i = 0;

	G_LOCK(writers);
	while ((slot = next_slot(&chunk, &i)) && slot->watch.size > 0)
		last = chunk;
	if (!slot) {
		chunk = g_new0(struct fault_chunk, 1);
		__atomic_store_n(&last->next, chunk, __ATOMIC_RELEASE);
		slot = &chunk->slot[0];
	}
	slot_write(slot, &watch);
	G_UNLOCK(writers);
}

void mem_fault_unwatch(void *base)
{
	static const struct fault_watch none;
	struct fault_chunk *chunk = &first_chunk;
	struct fault_slot *slot;
	unsigned i = 0;

	G_LOCK(writers);
	while ((slot = next_slot(&chunk, &i)))
		if (slot->watch.size > 0 && slot->watch.base == base)
			slot_write(slot, &none);
	G_UNLOCK(writers);
}

static bool watched(const void *address, struct fault_watch *watch)
{
	struct fault_chunk *chunk = &first_chunk;
	struct fault_slot *slot;
	unsigned i = 0;

	while ((slot = next_slot(&chunk, &i)))
		if (slot_read(slot, watch) &&
			(uintptr_t)address - (uintptr_t)watch->base < watch->size)
			return true;
	return false;
}

static bool replace_with_zeroes(const void *address)
{
	struct fault_watch watch;

	if (!watched(address, &watch))
		return false;
	/* The flags first: no other thread may mistake the zeroes for the guest's. */
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
		/* It is blocked until this returns, and then has the effect that it had before. */
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
