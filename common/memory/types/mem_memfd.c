/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory type: a memfd, or a file of tmpfs or hugetlbfs. Others are refused before anything else is
 * asked of them: a file system may never answer, or fail to read a page that a worker touches.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/core_dump.h"
#include "base/fd_kind.h"
#include "base/util.h"
#include "memory/mem_type.h"

static bool memfd_match(const struct mem_region_desc *desc)
{
	return desc->xen_flags == 0;
}

/* Returns the size of the pages in which the file is mapped: those of hugetlbfs are huge. */
static uint64_t mapping_unit(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC)
		return fs.f_bsize;
	return sysconf(_SC_PAGESIZE);
}

static bool fail(const struct mem_region *r, int err, GError **error)
{
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(err),
		"memory region at 0x%" PRIx64 ": cannot map 0x%" PRIx64
		" bytes at offset 0x%" PRIx64 " of its file: %s",
		r->desc.guest_addr, r->desc.size, r->desc.mmap_offset, g_strerror(err));
	return false;
}

static bool check_kind(const struct mem_region *r, enum fd_kind kind, GError **error)
{
	if (kind == FD_MEMORY)
		return true;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
		"memory region at 0x%" PRIx64
		": its fd is %s: it must be a memfd, or a file in tmpfs (/dev/shm) or hugetlbfs",
		r->desc.guest_addr, fd_kind_name(kind));
	return false;
}

/* Checks the size of the file: an access beyond it raises SIGBUS. */
static bool check_length(const struct mem_region *r, int fd, GError **error)
{
	const struct mem_region_desc *desc = &r->desc;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fail(r, errno, error);
	if (desc->mmap_offset + desc->size <= (uint64_t)st.st_size)
		return true;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
		"memory region at 0x%" PRIx64 ": 0x%" PRIx64 " bytes at offset 0x%" PRIx64
		" do not fit in its file of 0x%" PRIx64 " bytes",
		desc->guest_addr, desc->size, desc->mmap_offset, (uint64_t)st.st_size);
	return false;
}

static bool memfd_map(struct mem_region *r, int fd, GError **error)
{
	const struct mem_region_desc *desc = &r->desc;
	uint64_t unit, before;
	void *base;

	if (fd < 0)
		return fail(r, EBADF, error);
	if (!check_kind(r, fd_kind(fd), error) || !check_length(r, fd, error))
		return false;
	unit = mapping_unit(fd);
	before = desc->mmap_offset % unit;
	/* size_t may be narrower than the size. */
	if (desc->size > PTRDIFF_MAX - 2 * unit)
		return fail(r, ENOMEM, error);
	r->map_size = align_up(before + desc->size, unit);
	base = mmap(NULL, r->map_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		desc->mmap_offset - before);
	if (base == MAP_FAILED)
		return fail(r, errno, error);
	r->map_base = core_dump_exclude(base, r->map_size);
	r->host = (char *)base + before;
	r->priv = GSIZE_TO_POINTER(unit); /* for memfd_discard() */
	return true;
}

static void memfd_unmap(struct mem_region *r)
{
	munmap(r->map_base, r->map_size);
}

/* Frees the pages of the file, not only of this mapping; on failure they stay as they are. */
static void memfd_discard(struct mem_region *r, uint64_t offset, uint64_t len)
{
	uint64_t unit = GPOINTER_TO_SIZE(r->priv);
	uint64_t before = (char *)r->host - (char *)r->map_base + offset;
	uint64_t from = align_up(before, unit), to = (before + len) & ~(unit - 1);

	if (from < to)
		madvise((char *)r->map_base + from, to - from, MADV_REMOVE);
}

const struct mem_type mem_type_memfd = {
	.name = "memfd",
	.can_pin = true,
	.match = memfd_match,
	.map = memfd_map,
	.unmap = memfd_unmap,
	.discard = memfd_discard,
};
