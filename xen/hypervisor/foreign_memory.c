/* SPDX-License-Identifier: Apache-2.0 */
/* Maps a guest's pages by libxenforeignmemory. */
#include "xen/hypervisor/foreign_memory.h"

#define __XEN_TOOLS__ 1
#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <xen/memory.h>
#include <xenforeignmemory.h>

#include "base/error.h"
#include "base/util.h"
#include "base/xen_abi.h"

/* Xen's MAX_NR_IOREQ_SERVERS. */
#define MAX_SERVERS 8
/*
 * 1 GiB that neither programs and their heaps nor the kernel use by default, even in an address
 * space of 39 bits: each page of it belongs to one server of one domain.
 */
#define IOREQ_PAGES UINT64_C(0x2000000000)

/* RAM is probed in the steps in which Xen allocates a guest's memory, many steps at a time. */
#define STEP UINT64_C(0x200000)
#define STEPS 512

struct foreign_memory {
	xenforeignmemory_handle *handle;
	domid_t domid;
	xenforeignmemory_resource_handle *ioreq; /* NULL: not mapped */
};

struct foreign_memory *foreign_memory_open(unsigned domid, GError **error)
{
	xenforeignmemory_handle *handle = NULL;
	struct foreign_memory *f;

	if (domid > XEN_MAX_DOMID)
		errno = EINVAL;
	else
		handle = xenforeignmemory_open(NULL, 0);
	if (!handle) {
		error_errno(error, errno, "domain %u: no access to its memory", domid);
		return NULL;
	}
	f = g_new(struct foreign_memory, 1);
	*f = (struct foreign_memory){ .handle = handle, .domid = domid };
	return f;
}

void foreign_memory_free(struct foreign_memory *f)
{
	if (!f)
		return;
	if (f->ioreq)
		xenforeignmemory_unmap_resource(f->handle, f->ioreq);
	xenforeignmemory_close(f->handle);
	g_free(f);
}

bool foreign_memory_restrict(struct foreign_memory *f, GError **error)
{
	if (xenforeignmemory_restrict(f->handle, f->domid) == 0)
		return true;
	error_errno(error, errno, "domain %u: cannot restrict foreign memory to it", f->domid);
	return false;
}

void *foreign_memory_map_ioreq(struct foreign_memory *f, uint16_t server, GError **error)
{
	void *wanted = (void *)(uintptr_t)(IOREQ_PAGES +
		(f->domid * MAX_SERVERS + (uint64_t)server) * XEN_PAGE_SIZE);
	void *page = wanted;

	if (server >= MAX_SERVERS || f->ioreq) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"domain %u: the page of ioreq server %u: %s", f->domid, server,
			f->ioreq ? "it has one already" : "Xen has no such server");
		return NULL;
	}
	/*
	 * The library lets no MAP_FIXED_NOREPLACE through. A hint does as well: an address that is
	 * free is taken, and for one that is not the kernel finds another.
	 */
	f->ioreq = xenforeignmemory_map_resource(f->handle, f->domid, XENMEM_resource_ioreq_server,
		server, XENMEM_resource_ioreq_server_frame_ioreq(0), 1, &page,
		PROT_READ | PROT_WRITE, 0);
	if (!f->ioreq) {
		error_errno(error, errno, "domain %u: cannot map the page of ioreq server %u",
			f->domid, server);
		return NULL;
	}
	if (page != wanted) {
		xenforeignmemory_unmap_resource(f->handle, f->ioreq);
		f->ioreq = NULL;
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
			"domain %u: the page of ioreq server %u cannot be mapped at %p, which is "
			"in "
			"use",
			f->domid, server, wanted);
		return NULL;
	}
	return page;
}

/*
 * Maps n pages, one every step bytes from addr on. Returns the number of the last one that could be
 * mapped + 1; 0: none could.
 */
static unsigned look(struct foreign_memory *f, uint64_t addr, uint64_t step, unsigned n)
{
	xen_pfn_t gfn[STEPS];
	int err[STEPS];
	void *map;

	for (unsigned i = 0; i < n; i++)
		gfn[i] = (addr + i * step) / XEN_PAGE_SIZE;
	map = xenforeignmemory_map(f->handle, f->domid, PROT_READ, n, gfn, err);
	if (!map)
		return 0;
	xenforeignmemory_unmap(f->handle, map, n);
	while (n && err[n - 1])
		n--;
	return n;
}

/*
 * Returns the size of the RAM from addr on, at most max bytes: it ends at the first GiB without
 * any.
 */
static uint64_t bank_size(struct foreign_memory *f, uint64_t addr, uint64_t max)
{
	uint64_t last = 0; /* where the last step with RAM begins, + STEP */

	for (uint64_t at = 0; at < max; at += STEP * STEPS) {
		unsigned n = look(f, addr + at, STEP, STEPS);

		if (!n)
			break;
		last = at + n * STEP;
	}
	if (!last)
		return 0;
	return last - STEP +
		(uint64_t)look(f, addr + last - STEP, XEN_PAGE_SIZE, STEP / XEN_PAGE_SIZE) *
		XEN_PAGE_SIZE;
}

unsigned foreign_memory_banks(struct foreign_memory *f, uint64_t max_bytes,
	struct foreign_memory_bank bank[FOREIGN_MEMORY_MAX_BANKS])
{
	/* GUEST_RAM0 and GUEST_RAM1 of xen/arch-arm.h, which other machines' headers lack. */
	static const struct foreign_memory_bank ram[FOREIGN_MEMORY_MAX_BANKS] = {
		{ UINT64_C(0x40000000), UINT64_C(0xc0000000) },
		{ UINT64_C(0x200000000), UINT64_C(0xfe00000000) },
	};
	uint64_t left = max_bytes;
	unsigned n = 0;

	for (unsigned i = 0; i < FOREIGN_MEMORY_MAX_BANKS; i++) {
		uint64_t size =
			max_bytes ? MIN(left, ram[i].size) : bank_size(f, ram[i].addr, ram[i].size);

		left -= MIN(left, size);
		if (size)
			bank[n++] = (struct foreign_memory_bank){ ram[i].addr,
				align_up(size, XEN_PAGE_SIZE) };
	}
	return n;
}
