/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by mem_foreign.c and mem_grant*.c: the calls to the kernel, which tests replace, and the
 * counters, which the daemon shows.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "memory/mem_type.h"

/* Regions of a Xen guest, by desc.xen_flags. */
#define MEM_XEN_FOREIGN 0x1u
#define MEM_XEN_GRANT 0x2u
/* "No advance map": 0x100 in vhost-user.rst, 0x8 in rust-vmm and all that is built with it. */
#define MEM_XEN_NO_ADVANCE 0x108u

/* Guest memory by frame number, mapped when it is first touched. */
extern const struct mem_type mem_type_foreign;
/* Grant references, mapped for each borrow and each ring; those of a pool for the region's life. */
extern const struct mem_type mem_type_grant;

/* Counters of this process, all Xen regions together. From any thread. */
struct mem_xen_stats {
	uint64_t calls; /* ioctl(), mmap() and munmap() */
	uint64_t maps, unmaps; /* runs of pages mapped in one go, and unmapped */
	uint64_t pages; /* mapped so far */
	uint64_t copies; /* pages copied from or to the guest */
	uint64_t failures; /* pages that could be neither mapped nor copied; failed unmappings */
	uint64_t live; /* pages mapped now */
	uint64_t high_water; /* the most that were mapped at a time */
};
void mem_xen_get_stats(struct mem_xen_stats *stats);
/* Add to these counters. A negative number of pages: they were unmapped. */
void mem_xen_count_pages(int64_t pages);
void mem_xen_count_copies(uint64_t copies);
void mem_xen_count_failures(uint64_t failures);

/* The calls to the kernel. ioctl() fails with -1 and errno, mmap() with MAP_FAILED. */
struct xen_ops {
	int (*ioctl)(int fd, unsigned long request, void *arg);
	void *(*mmap)(void *addr, size_t size, int prot, int flags, int fd, off_t offset);
	int (*munmap)(void *addr, size_t size);
};
/* Replaces the kernel, for tests, while there is no region. NULL: the kernel again. */
void mem_xen_set_ops(const struct xen_ops *ops);
/*
 * The largest number of pages of one direction of a request whose granted buffers are copied; those
 * of more are mapped. 0: all are mapped. MEM_GRANT_COPY_MAX, the default, is also the maximum. Set
 * it before there is a region.
 *
 * The maximum holds 64 KiB of data that begin anywhere in a page, and a header. To borrow and give
 * back a read of that size took 230 us by copying and 890 us by mapping; of 4 data pages 110 us and
 * 690 us (Xen 4.20 on an emulated arm64, the best of twelve each). Copying is faster beyond that,
 * too, but takes space in the processor's cache, and a buffer here.
 */
#define MEM_GRANT_COPY_MAX 18
void mem_grant_set_copy_max(unsigned pages);
/* Call the kernel (or its replacement) and count the call. */
int mem_xen_ioctl(int fd, unsigned long request, void *arg);
void *mem_xen_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset);
void mem_xen_munmap(void *addr, size_t size);

/* Checks what regions of both types have in common: flags, domain, offset, fd, page size. */
bool mem_xen_check(const struct mem_region_desc *desc, int fd, GError **error);
/*
 * Sets the error "memory region at 0x...: <what>: <errno's text>" (err 0: no text). Returns false.
 */
bool mem_xen_fail(const struct mem_region_desc *desc, const char *what, int err, GError **error);

/* Returns how many pages the bytes [addr, addr + len) touch; len > 0. */
static inline uint64_t mem_xen_pages(uint64_t addr, uint64_t len)
{
	return (addr % 4096 + len - 1) / 4096 + 1;
}
