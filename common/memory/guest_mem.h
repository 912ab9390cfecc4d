/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory as a back-end sees it: a table of regions, each of one memory type (mem_type.h).
 *
 *	guest address (GPA)   what a descriptor holds        guest_mem_borrow()
 *	user address (UVA)    what SET_VRING_ADDR holds      guest_mem_map_ring()
 *
 * No pointer into guest memory is kept: the memory of a request is borrowed for the request's life
 * and given back before the request is published as used; rings are mapped from start to stop.
 * Whole batches are borrowed and given back in one call, because each call is a hypercall for Xen
 * grants. For memfd it is a look-up. guest_pages.h has memory that is held longer.
 *
 * Threads: the table changes only while every borrower is quiescent (nothing borrowed, no ring
 * mapped), which the back-end ensures. Borrowing takes no lock; each ring has a borrower of its
 * own.
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
/* Unmaps everything; nothing may be borrowed. NULL is allowed. */
void guest_mem_free(struct guest_mem *m);

/*
 * The table. The fds stay the caller's; a memory type that needs one longer duplicates it. Refused,
 * with the table unchanged: size 0, addresses that wrap or overlap another region, a file that is
 * too short, an unknown type, too many regions. The error names the region by its guest address.
 */
bool guest_mem_set(struct guest_mem *m, const struct mem_region_desc *desc, const int *fds,
	unsigned n, GError **error);
bool guest_mem_add(struct guest_mem *m, const struct mem_region_desc *desc, int fd, GError **error);
/* Removes the region with this guest address, user address and size; the offset is not compared. */
bool guest_mem_remove(struct guest_mem *m, const struct mem_region_desc *desc, GError **error);
unsigned guest_mem_regions(const struct guest_mem *m);
/* Returns the last guest address of all regions; 0: there are none. */
uint64_t guest_mem_last(const struct guest_mem *m);

/*
 * Where those who write guest memory mark what they wrote (dirty_log.h); NULL: nowhere. The log
 * stays the caller's, and changes as the table does.
 */
struct dirty_log;
void guest_mem_set_log(struct guest_mem *m, struct dirty_log *log);
struct dirty_log *guest_mem_log(const struct guest_mem *m);

/* A piece of guest memory as a descriptor names it. */
struct mem_range {
	uint64_t addr; /* guest address */
	uint32_t len;
	bool write; /* the device writes it; false: it only reads */
	void *priv; /* the memory type's own; NULL while it is not borrowed */
};

/* The ranges of a request, borrowed and given back together. All storage is the caller's. */
struct mem_mapping {
	struct mem_range *range;
	unsigned n_range;
	struct iovec *iov; /* filled by borrow, in range order; one range may take several */
	unsigned max_iov;
	unsigned n_iov; /* filled by borrow */
	unsigned n_iov_out; /* of those, the leading ones, of ranges that the device only reads */
	size_t written; /* set before give_back: bytes written, from the first writable range on */
	int status; /* filled by borrow and by give_back */
	uint32_t mapped; /* internal: pages that were mapped for it */
};

/* One per ring. Zero-initialised, except mem. */
struct mem_borrower {
	struct guest_mem *mem;
	unsigned last; /* where the last look-up ended: a hint, which may be wrong */
	unsigned mappings_out; /* borrowed and not given back: 0 whenever the ring is stopped */
	uint32_t mapped; /* pages that are mapped for these */
};

/*
 * The most pages (16 MiB) that are mapped for the requests of one borrower at a time, where each
 * borrow maps: the number that a hypervisor maps is limited, and all guests' back-ends share it.
 */
#define GUEST_MEM_MAPPED_MAX 4096

/*
 * Borrows n mappings with at most one call to each memory type. In a mapping, the ranges that the
 * device only reads precede the writable ones. Sets the status of each mapping; one that failed
 * holds nothing and must not be given back:
 *	0		iov is filled
 *	-EFAULT		a range is (partly) in no region, or its region is poisoned
 *	-ENOBUFS	max_iov is too small (ranges that straddle regions): retry with more
 *	-EIO		the memory type could not map it (a bad grant reference), or it needs more
 *			than GUEST_MEM_MAPPED_MAX pages
 *	-EAGAIN		with what is borrowed already, it would: give something back first
 */
void guest_mem_borrow(struct mem_borrower *b, struct mem_mapping *const *mappings, unsigned n);
/*
 * Gives back n mappings. Where the memory type uses a bounce buffer, copies `written` bytes of each
 * to the guest. Sets the status of each to 0, or to -EIO if they could not be copied (a bad grant
 * reference).
 */
void guest_mem_give_back(struct mem_borrower *b, struct mem_mapping *const *mappings, unsigned n);

/*
 * A region that is mapped for its life, cached by a caller that looks up many addresses in it: a
 * borrow from it is no more than that. Valid while anything is borrowed or a ring mapped.
 */
struct mem_window {
	uint64_t addr, size; /* guest address; 0: none */
	char *host;
};

/* Finds the window of a guest address. False, and an empty one: no such region, or poisoned. */
bool guest_mem_window(const struct guest_mem *m, uint64_t addr, struct mem_window *w);

/* Returns where len bytes at a guest address are; NULL if they are not all in the window. */
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
	uint64_t guest_addr;
	void *priv; /* the memory type's own */
};

/*
 * Maps len bytes at a user address, within one region. False, with an error that names what ("used
 * ring"), the address and the length, if no region holds them all or addr is not a multiple of
 * align. Some front-ends of Xen guests have no user addresses: an address that is in no region's
 * user addresses is then taken for a guest address.
 */
bool guest_mem_map_ring(struct guest_mem *m, uint64_t addr, size_t len, size_t align,
	const char *what, struct mem_ring_map *map, GError **error);
void guest_mem_unmap_ring(struct guest_mem *m, struct mem_ring_map *map);

/*
 * Gives the memory behind len bytes at a guest address back to the host: their contents are lost,
 * and they read as zeroes until they are written again. Applies to the whole pages of files (huge
 * pages on hugetlbfs) in the range and to nothing else: a part of a page at either end, memory of a
 * Xen guest and addresses outside every region are left alone. Never fails. From any thread that
 * may borrow. Marks what it discarded in the dirty log.
 */
void guest_mem_discard(struct guest_mem *m, uint64_t addr, uint64_t len);

/*
 * True if memory of every region may be pinned (O_DIRECT, registered buffers); else use a bounce
 * buffer.
 */
bool guest_mem_can_pin(const struct guest_mem *m);

/*
 * Installs the handler of SIGBUS, which an access raises after a front-end has truncated the file
 * under a mapping. The fault is answered with zero pages and the region is poisoned: the access
 * goes on, borrowing from the region fails with -EFAULT, and guest_mem_poisoned() tells the ring to
 * break. Any other SIGBUS has the effect that it had before. Call before the first region.
 */
void guest_mem_catch_sigbus(void);
/* True once any region of the table has been poisoned. Cheap; from any thread. */
bool guest_mem_poisoned(const struct guest_mem *m);
/* Returns the flag behind it, for callers that check it often; valid as long as m. */
const int *guest_mem_poison(const struct guest_mem *m);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(guest_mem, guest_mem_free)
