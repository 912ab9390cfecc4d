/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory type: a Xen guest's memory by frame number, through the front-end's /dev/xen/privcmd.
 *
 * Mapping a page takes about 12 microseconds and unmapping it more, so mapping a guest's memory of
 * several GiB would take seconds, while a guest uses little of it for its requests. Therefore only
 * addresses are reserved at first, and a chunk of 2 MiB is mapped when it is first touched. Each
 * chunk is a mapping of its own, because privcmd requires that the first call fills a mapping.
 *
 * A chunk may have holes: frames that the guest does not have at the time. Another call may fill
 * them later, so a page of a hole is tried again at each access. Nothing else notices that the
 * guest's memory has changed: the front-end then sends the table again, which drops all chunks.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/util.h"
#include "base/xen_abi.h"
#include "memory/types/mem_xen.h"

#define CHUNK_PAGES 512u
/* Frames that are paged out come back: how often, and how long, to wait for them. */
#define PAGED_TRIES 50
#define PAGED_WAIT_US 200

enum foreign_chunk_state { CHUNK_UNMAPPED, CHUNK_WHOLE, CHUNK_HOLED };

struct foreign_chunk {
	/* enum foreign_chunk_state; atomic: pages of a whole chunk are used without the lock */
	int state;
	uint64_t *holes; /* a bit for each page */
};

struct foreign_region {
	int fd;
	GMutex lock; /* of chunks, except for reading state */
	uint64_t first; /* frame number */
	uint64_t pages;
	uint64_t mapped; /* pages */
	struct foreign_chunk chunk[];
};

static bool foreign_match(const struct mem_region_desc *desc)
{
	return desc->xen_flags & MEM_XEN_FOREIGN;
}

static uint64_t n_chunks(const struct foreign_region *f)
{
	return (f->pages + CHUNK_PAGES - 1) / CHUNK_PAGES;
}

static bool foreign_map(struct mem_region *r, int fd, GError **error)
{
	const struct mem_region_desc *desc = &r->desc;
	uint64_t pages = mem_xen_pages(desc->guest_addr, desc->size);
	struct foreign_region *f;

	if (!mem_xen_check(desc, fd, error))
		return false;
	/* mmap() fails if it is too much for the address space. */
	if (pages > PTRDIFF_MAX / XEN_PAGE_SIZE)
		return mem_xen_fail(desc, "cannot reserve addresses", ENOMEM, error);
	r->map_size = pages * XEN_PAGE_SIZE;
	r->map_base = mem_xen_mmap(
		NULL, r->map_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r->map_base == MAP_FAILED)
		return mem_xen_fail(desc, "cannot reserve addresses", errno, error);
	f = g_try_malloc0(sizeof(*f) + (pages / CHUNK_PAGES + 1) * sizeof(f->chunk[0]));
	if (f)
		f->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (!f || f->fd < 0) {
		mem_xen_fail(desc, "cannot prepare to map it", f ? errno : ENOMEM, error);
		mem_xen_munmap(r->map_base, r->map_size);
		g_free(f);
		return false;
	}
	f->first = desc->guest_addr >> XEN_PAGE_SHIFT;
	f->pages = pages;
	g_mutex_init(&f->lock);
	r->priv = f;
	r->host = (char *)r->map_base + desc->guest_addr % XEN_PAGE_SIZE;
	return true;
}

static void foreign_unmap(struct mem_region *r)
{
	struct foreign_region *f = r->priv;

	mem_xen_munmap(r->map_base, r->map_size);
	if (f->mapped)
		mem_xen_count_pages(-(int64_t)f->mapped);
	for (uint64_t i = 0; i < n_chunks(f); i++)
		g_free(f->chunk[i].holes);
	g_mutex_clear(&f->lock);
	fd_close(&f->fd);
	g_free(f);
}

/*
 * Maps n pages, of a whole mapping or of its holes. Sets err for each and returns how many
 * succeeded; -1: none, as the call itself failed.
 */
static int map_pages(struct mem_region *r, uint64_t page, unsigned n, int *err)
{
	struct foreign_region *f = r->priv;
	uint64_t gfn[CHUNK_PAGES];
	struct xen_mmap_batch batch = {
		.num = n,
		.domid = r->desc.xen_domid,
		.addr = (uintptr_t)r->map_base + page * XEN_PAGE_SIZE,
		.gfn = gfn,
		.err = err,
	};
	int good = 0;

	for (unsigned i = 0; i < n; i++)
		gfn[i] = f->first + page + i;
	if (mem_xen_ioctl(f->fd, XEN_IOCTL_MMAP_BATCH, &batch) < 0 && errno != ENOENT)
		return -1;
	for (unsigned i = 0; i < n; i++)
		good += err[i] == 0;
	f->mapped += good;
	if (good)
		mem_xen_count_pages(good);
	return good;
}

/* Maps one page of a hole; the lock is held. */
static bool fill_hole(struct mem_region *r, uint64_t page)
{
	int err = -ENOENT;

	for (unsigned i = 0; err == -ENOENT && i < PAGED_TRIES; i++) {
		if (i)
			g_usleep(PAGED_WAIT_US);
		if (map_pages(r, page, 1, &err) < 0)
			break;
	}
	if (err)
		mem_xen_count_failures(1);
	return !err;
}

/* Makes a chunk what it was before it was touched. */
static void unmap_chunk(void *at, size_t size)
{
	mem_xen_mmap(at, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
		-1, 0);
}

static bool map_chunk(struct mem_region *r, uint64_t at)
{
	struct foreign_region *f = r->priv;
	struct foreign_chunk *chunk = &f->chunk[at];
	uint64_t first = at * CHUNK_PAGES;
	unsigned n = MIN(CHUNK_PAGES, f->pages - first);
	char *base = (char *)r->map_base + first * XEN_PAGE_SIZE;
	size_t size = (size_t)n * XEN_PAGE_SIZE;
	int err[CHUNK_PAGES] = { 0 }, good;

	if (mem_xen_mmap(base, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, f->fd, 0) ==
		MAP_FAILED) {
		mem_xen_count_failures(n);
		return false;
	}
	good = map_pages(r, first, n, err);
	if (good < 0) {
		unmap_chunk(base, size);
		mem_xen_count_failures(n);
		return false;
	}
	if ((unsigned)good < n) {
		chunk->holes = g_new0(uint64_t, CHUNK_PAGES / 64);
		for (unsigned i = 0; i < n; i++)
			if (err[i])
				chunk->holes[i / 64] |= UINT64_C(1) << i % 64;
	}
	/* Release: a thread that finds it whole, without the lock, finds the pages mapped. */
	__atomic_store_n(
		&chunk->state, (unsigned)good < n ? CHUNK_HOLED : CHUNK_WHOLE, __ATOMIC_RELEASE);
	return true;
}

/* Maps pages [from, to) of the region, all of this chunk; the lock is held. */
static bool populate_chunk(struct mem_region *r, uint64_t at, uint64_t from, uint64_t to)
{
	struct foreign_region *f = r->priv;
	struct foreign_chunk *chunk = &f->chunk[at];

	if (chunk->state == CHUNK_UNMAPPED && !map_chunk(r, at))
		return false;
	if (chunk->state == CHUNK_WHOLE)
		return true;
	for (uint64_t page = from; page < to; page++) {
		uint64_t *word = &chunk->holes[page % CHUNK_PAGES / 64];
		uint64_t bit = UINT64_C(1) << page % 64;

		if (!(*word & bit))
			continue;
		if (!fill_hole(r, page))
			return false;
		*word &= ~bit;
	}
	return true;
}

static bool foreign_populate(struct mem_region *r, uint64_t offset, uint64_t len)
{
	struct foreign_region *f = r->priv;
	uint64_t start = r->desc.guest_addr % XEN_PAGE_SIZE + offset;
	uint64_t from = start / XEN_PAGE_SIZE, to = (start + len - 1) / XEN_PAGE_SIZE + 1;
	bool ok = true;

	for (uint64_t at = from / CHUNK_PAGES; ok && from < to; at++) {
		uint64_t end = MIN(to, (at + 1) * CHUNK_PAGES);

		/* Acquire pairs with the release in map_chunk(). */
		if (__atomic_load_n(&f->chunk[at].state, __ATOMIC_ACQUIRE) != CHUNK_WHOLE) {
			g_mutex_lock(&f->lock);
			ok = populate_chunk(r, at, from, end);
			g_mutex_unlock(&f->lock);
		}
		from = end;
	}
	return ok;
}

const struct mem_type mem_type_foreign = {
	.name = "foreign",
	.can_pin = false, /* no struct pages behind it: O_DIRECT fails with EFAULT */
	.match = foreign_match,
	.map = foreign_map,
	.unmap = foreign_unmap,
	.populate = foreign_populate,
};
