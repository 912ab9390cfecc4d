/* SPDX-License-Identifier: Apache-2.0 */
/* Guest RAM: the memfd, its mapping, and the regions around the hole. */
#include "kvm-stub/ram.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/core_dump.h"
#include "base/memfd.h"
#include "kvm-stub/layout.h"

static uint64_t host_mib(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) >> 20;
}

static bool fail(const char *what, uint64_t size, GError **error)
{
	int err = errno;

	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(err),
		"guest RAM of %" PRIu64 " bytes (%" PRIu64 " MiB): %s: %s; this host has %" PRIu64
		" MiB",
		size, size >> 20, what, g_strerror(err), host_mib());
	return false;
}

static void add_region(struct ram *r, uint64_t guest_addr, uint64_t offset, uint64_t size)
{
	r->region[r->n_regions] = (struct mem_region_desc){
		.guest_addr = guest_addr,
		.size = size,
		.user_addr = (uintptr_t)r->host + offset,
		.mmap_offset = offset,
	};
	r->region_fd[r->n_regions++] = r->fd;
}

/* Back-ends get the fd: without the seals they could truncate it. */
static bool make_file(struct ram *r, GError **error)
{
	r->fd = memfd_sealed("virtiod-kvm-ram", r->size);
	return r->fd >= 0 || fail("memfd", r->size, error);
}

static bool map_file(struct ram *r, GError **error)
{
	void *host =
		mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, r->fd, 0);

	if (host == MAP_FAILED)
		return fail("mmap", r->size, error);
	r->host = core_dump_exclude(host, r->size);
	/* The process that connects to back-ends is a copy of this one, and has no use for it. */
	madvise(host, r->size, MADV_DONTFORK);
	return true;
}

struct ram *ram_new(uint64_t size, GError **error)
{
	const uint64_t below = RAM_HOLE_START - RAM_BASE;
	g_autoptr(ram) r = g_new0(struct ram, 1);

	r->size = size;
	r->fd = -1;
	if (size == 0 || size % sysconf(_SC_PAGESIZE) != 0 || size > INT64_MAX) {
		errno = EINVAL;
		fail("not a number of whole pages", size, error);
		return NULL;
	}
	if (!make_file(r, error) || !map_file(r, error))
		return NULL;
	add_region(r, RAM_BASE, 0, MIN(size, below));
	if (size > below)
		add_region(r, RAM_HOLE_END, below, size - below);
	return g_steal_pointer(&r);
}

uint64_t ram_max_size(unsigned address_bits)
{
	uint64_t end = address_bits < 64 ? UINT64_C(1) << address_bits : UINT64_MAX;

	if (end > RAM_HOLE_END)
		return end - RAM_BASE - (RAM_HOLE_END - RAM_HOLE_START);
	return MAX(MIN(end, RAM_HOLE_START), RAM_BASE) - RAM_BASE;
}

void ram_free(struct ram *r)
{
	if (r->host)
		munmap(r->host, r->size);
	if (r->fd >= 0)
		close(r->fd);
	g_free(r);
}

void *ram_at(const struct ram *r, uint64_t addr, uint64_t len)
{
	for (unsigned i = 0; i < r->n_regions; i++) {
		const struct mem_region_desc *d = &r->region[i];
		uint64_t offset = addr - d->guest_addr;

		if (addr >= d->guest_addr && offset <= d->size && len <= d->size - offset)
			return r->host + d->mmap_offset + offset;
	}
	return NULL;
}

bool ram_clear(struct ram *r, GError **error)
{
	if (fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, r->size) < 0)
		return fail("clearing it", r->size, error);
	return true;
}
