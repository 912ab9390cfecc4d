/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory as a back-end sees it: a table of regions, each of one memory type (mem_type.h).
 *
 *	guest address (GPA)   what a descriptor holds        guest_mem_borrow()
 *	user address (UVA)    what SET_VRING_ADDR holds      guest_mem_map_ring()
 *
 * Nobody keeps a pointer: data is borrowed for the life of a request and given back before the
 * request is published as used; rings are mapped from start to stop. Whole batches are borrowed
 * and given back in one call, because for Xen grants each call is a hypercall; for memfd both are a
 * look-up.
 *
 * Threads: the table changes only while every borrower is quiescent (no loan, no ring mapped); the
 * backend sees to that. Borrowing itself takes no lock; each ring has a borrower of its own.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

/* A region as the wire describes it (vhost-user.rst, "Memory region description"). */
struct mem_region_desc {
	uint64_t guest_addr;
	uint64_t size;
	uint64_t user_addr;
	uint64_t mmap_offset;
	uint32_t xen_flags; /* 0: a file to mmap, with or without XEN_MMAP; else mem_xen.h */
	uint32_t xen_domid;
};

/* The most regions of one table: GET_MAX_MEM_SLOTS. */
#define GUEST_MEM_MAX_REGIONS 509

typedef struct guest_mem guest_mem; /* for g_autoptr */

struct guest_mem *guest_mem_new(void);
/* Unmaps all; no loan may be out. NULL is nothing. */
void guest_mem_free(struct guest_mem *m);

/*
 * The table. The fds stay the caller's; a memory type that needs one longer dups it. Refused, with
 * the table as it was: size 0, addresses that wrap or overlap another region, a file too short, an
 * unknown type, too many. The error names the region by its guest address.
 */
bool guest_mem_set(struct guest_mem *m, const struct mem_region_desc *desc, const int *fds,
	unsigned n, GError **error);
bool guest_mem_add(struct guest_mem *m, const struct mem_region_desc *desc, int fd, GError **error);
/* Matches guest address, user address and size; the offset is not compared. */
bool guest_mem_remove(struct guest_mem *m, const struct mem_region_desc *desc, GError **error);
unsigned guest_mem_regions(const struct guest_mem *m);

/* A piece of guest memory as a descriptor names it, and what became of it. */
struct mem_range {
	uint64_t addr; /* guest address */
	uint32_t len;
	bool write; /* the device writes it; false: it only reads */
	void *loan; /* the memory type's own; NULL outside a loan */
};

/* A request's worth of ranges: borrowed and given back as one. Caller's storage throughout. */
struct mem_mapping {
	struct mem_range *range;
	unsigned n_range;
	struct iovec *iov; /* filled by borrow, in range order; one range may take several */
	unsigned max_iov;
	unsigned n_iov; /* filled by borrow */
	unsigned n_iov_out; /* of those, the leading ones of ranges that the device only reads */
	size_t written; /* set before give_back: bytes written, from the first writable range on */
	int status; /* filled by borrow and by give_back */
	uint32_t lent; /* the table's own: pages that were mapped for it */
};

/* One per ring. Zero-initialised but for mem. */
struct mem_borrower {
	struct guest_mem *mem;
	unsigned last; /* where the last look-up ended: a hint, right or wrong */
	unsigned mappings_out; /* borrowed and not given back: 0 whenever the ring is stopped */
	uint32_t lent; /* pages that are mapped for these */
};

/*
 * The most pages that are mapped for the requests of one borrower at a time, where memory is
 * mapped for each (16 MiB): what a hypervisor maps is limited, and shared by all guests' back-ends.
 */
#define GUEST_MEM_LENT_MAX 4096

/*
 * Borrows n mappings with at most one call to each memory type. The ranges of a mapping that the device
 * only reads precede the writable ones. Each mapping's status says how it went; one that failed holds
 * nothing and is not to be given back:
 *	0		iov is filled
 *	-EFAULT		a range is (partly) in no region, or its region is poisoned
 *	-ENOBUFS	max_iov is too small (ranges that straddle regions): retry with more
 *	-EIO		the memory type could not map it (a bad grant reference), or it is more
 *			than GUEST_MEM_LENT_MAX
 *	-EAGAIN		with what is out it is more than that: give something back first
 */
void guest_mem_borrow(struct mem_borrower *b, struct mem_mapping *const *mappings, unsigned n);
/*
 * Gives back n mappings; copies, where the memory type bounces, `written` bytes of each to the guest.
 * Each mapping's status is 0, or -EIO: they have not got there (a bad grant reference).
 */
void guest_mem_give_back(struct mem_borrower *b, struct mem_mapping *const *mappings, unsigned n);

/*
 * A region that is mapped for its life, kept by who looks up much in it: there a borrow is no more
 * than this. Good while a loan is out or a ring mapped.
 */
struct mem_window {
	uint64_t addr, size; /* guest address; 0: none */
	char *host;
};

/* That of a guest address; false, and none, if it has no such region, or a poisoned one. */
bool guest_mem_window(const struct guest_mem *m, uint64_t addr, struct mem_window *w);

/* Where len bytes at a guest address are; NULL: not, or not all, in it. */
static inline void *mem_window_host(const struct mem_window *w, uint64_t addr, uint32_t len)
{
	uint64_t offset = addr - w->addr;

	return offset < w->size && len <= w->size - offset ? w->host + offset : NULL;
}

/* A part of a vring, mapped from ring start to ring stop. */
struct mem_ring_map {
	void *host; /* NULL: not mapped */
	size_t len;
	const void *region;
	void *loan; /* the memory type's own */
};

/*
 * Maps len bytes at a user address, within one region. False, with an error that names what
 * ("used ring"), the address and the length, if no region holds it all or addr is not a multiple
 * of align. Some front-ends of Xen guests have no user addresses: what is none is then taken for a
 * guest address.
 */
bool guest_mem_map_ring(struct guest_mem *m, uint64_t addr, size_t len, size_t align,
	const char *what, struct mem_ring_map *map, GError **error);
void guest_mem_unmap_ring(struct guest_mem *m, struct mem_ring_map *map);

/*
 * Gives the memory behind len bytes at a guest address back to the host: their contents are lost,
 * and they read as zeroes until they are written again. Applies to the whole pages of files (huge
 * pages on hugetlbfs) and to nothing else: the ends of the range that are less than a page, memory of
 * a Xen guest and addresses outside every region are left alone. Never fails. From any thread that
 * may borrow.
 */
void guest_mem_discard(struct guest_mem *m, uint64_t addr, uint64_t len);

/*
 * True if memory of every region may be pinned (O_DIRECT, registered buffers); else use a bounce
 * buffer.
 */
bool guest_mem_can_pin(const struct guest_mem *m);

/*
 * A front-end can truncate the file under a mapping; touching it then raises SIGBUS. With the
 * handler installed, the fault is answered with zero pages and the region is poisoned: the access
 * goes on, borrowing from it fails with -EFAULT, and guest_mem_poisoned() tells the ring to
 * break. A SIGBUS anywhere else does what it did before. Call before the first region.
 */
void guest_mem_catch_sigbus(void);
/* True once any region of the table has been poisoned. Cheap; from any thread. */
bool guest_mem_poisoned(const struct guest_mem *m);
/* What this looks at, for who looks often; as long as m. */
const int *guest_mem_poison(const struct guest_mem *m);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(guest_mem, guest_mem_free)
