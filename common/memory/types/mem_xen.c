/* SPDX-License-Identifier: Apache-2.0 */
/* The calls to the kernel's Xen interface, and their counters. */
#include "memory/types/mem_xen.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd_kind.h"
#include "base/xen_abi.h"

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg);
}

static const struct xen_ops kernel = { kernel_ioctl, mmap, munmap };
static const struct xen_ops *ops = &kernel;
static struct mem_xen_stats stats;

#define count(member, n) __atomic_fetch_add(&stats.member, n, __ATOMIC_RELAXED)

void mem_xen_set_ops(const struct xen_ops *replacement)
{
	ops = replacement ? replacement : &kernel;
}

int mem_xen_ioctl(int fd, unsigned long request, void *arg)
{
	count(calls, 1);
	return ops->ioctl(fd, request, arg);
}

/* Maps: the kernel keeps these mappings out of core dumps. */
void *mem_xen_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
	count(calls, 1);
	return ops->mmap(addr, size, prot, flags, fd, offset);
}

void mem_xen_munmap(void *addr, size_t size)
{
	count(calls, 1);
	if (ops->munmap(addr, size) < 0)
		count(failures, 1);
}

void mem_xen_count_pages(int64_t pages)
{
	uint64_t live = __atomic_add_fetch(&stats.live, pages, __ATOMIC_RELAXED);
	uint64_t most = __atomic_load_n(&stats.high_water, __ATOMIC_RELAXED);

	if (pages < 0) {
		count(unmaps, 1);
		return;
	}
	count(maps, 1);
	count(pages, pages);
	while (live > most &&
		!__atomic_compare_exchange_n(
			&stats.high_water, &most, live, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

void mem_xen_count_copies(uint64_t copies)
{
	count(copies, copies);
}

void mem_xen_count_failures(uint64_t failures)
{
	count(failures, failures);
}

void mem_xen_get_stats(struct mem_xen_stats *to)
{
	*to = (struct mem_xen_stats){
		.calls = __atomic_load_n(&stats.calls, __ATOMIC_RELAXED),
		.maps = __atomic_load_n(&stats.maps, __ATOMIC_RELAXED),
		.unmaps = __atomic_load_n(&stats.unmaps, __ATOMIC_RELAXED),
		.pages = __atomic_load_n(&stats.pages, __ATOMIC_RELAXED),
		.copies = __atomic_load_n(&stats.copies, __ATOMIC_RELAXED),
		.failures = __atomic_load_n(&stats.failures, __ATOMIC_RELAXED),
		.live = __atomic_load_n(&stats.live, __ATOMIC_RELAXED),
		.high_water = __atomic_load_n(&stats.high_water, __ATOMIC_RELAXED),
	};
}

bool mem_xen_fail(const struct mem_region_desc *desc, const char *what, int err, GError **error)
{
	g_set_error(error, G_FILE_ERROR, err ? g_file_error_from_errno(err) : G_FILE_ERROR_INVAL,
		"memory region at 0x%" PRIx64 " (size 0x%" PRIx64 ", Xen flags 0x%" PRIx32
		", domain %" PRIu32 "): %s%s%s",
		desc->guest_addr, desc->size, desc->xen_flags, desc->xen_domid, what,
		err ? ": " : "", err ? g_strerror(err) : "");
	return false;
}

bool mem_xen_check(const struct mem_region_desc *desc, int fd, GError **error)
{
	uint32_t flags = desc->xen_flags;
	const char *wrong = NULL;

	if (flags & ~(MEM_XEN_FOREIGN | MEM_XEN_GRANT | MEM_XEN_NO_ADVANCE))
		wrong = "unknown flags";
	else if ((flags & MEM_XEN_FOREIGN) && (flags & MEM_XEN_GRANT))
		wrong = "foreign memory and grants exclude each other";
	else if ((flags & MEM_XEN_FOREIGN) && (flags & MEM_XEN_NO_ADVANCE))
		wrong = "only grants can be left unmapped";
	else if (desc->xen_domid > XEN_MAX_DOMID)
		wrong = "no such domain";
	else if (desc->mmap_offset)
		wrong = "its offset is not 0";
	else if (fd_kind(fd) != FD_DEVICE)
		wrong = "it comes without a Xen device";
	else if (sysconf(_SC_PAGESIZE) != XEN_PAGE_SIZE)
		wrong = "this host's pages are larger than Xen's";
	return !wrong || mem_xen_fail(desc, wrong, 0, error);
}
