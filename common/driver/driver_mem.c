/* SPDX-License-Identifier: Apache-2.0 */
/* A memfd as guest memory. */
#include "driver/driver_mem.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>

#include "base/core_dump.h"
#include "base/memfd.h"
#include "base/util.h"

/* Far from 0, and more than 32 bits: a back-end that mixes addresses up does not get by. */
#define GUEST_BASE 0x200000000u

struct driver_mem {
	int fd;
	void *host;
	uint64_t size;
	uint64_t allocated; /* bytes from the start */
};

static struct driver_mem *fail(struct driver_mem *m, const char *what, GError **error)
{
	int err = errno;

	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(err),
		"%" PRIu64 " bytes of shared memory: cannot %s: %s", m->size, what,
		g_strerror(err));
	return NULL;
}

struct driver_mem *driver_mem_new(uint64_t size, GError **error)
{
	g_autoptr(driver_mem) m = g_new0(struct driver_mem, 1);
	void *host;

	m->fd = -1;
	m->size = size;
	errno = EINVAL;
	if (size == 0 || size > INT64_MAX / 2)
		return fail(m, "have such a size", error);
	m->size = align_up(size, sysconf(_SC_PAGESIZE));
	/* The back-end gets the fd, too: it must not take the memory away under our mapping. */
	m->fd = memfd_sealed("virtiod-driver", m->size);
	if (m->fd < 0)
		return fail(m, "create it", error);
	host = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, m->fd, 0);
	if (host == MAP_FAILED)
		return fail(m, "map it", error);
	m->host = core_dump_exclude(host, m->size);
	return g_steal_pointer(&m);
}

void driver_mem_free(struct driver_mem *m)
{
	if (!m)
		return;
	if (m->host)
		munmap(m->host, m->size);
	fd_close(&m->fd);
	g_free(m);
}

void driver_mem_describe(const struct driver_mem *m, struct mem_region_desc *desc, int *fd)
{
	*desc = (struct mem_region_desc){
		.guest_addr = GUEST_BASE,
		.user_addr = GUEST_BASE,
		.size = m->size,
	};
	*fd = m->fd;
}

uint64_t driver_mem_alloc(struct driver_mem *m, uint64_t len, uint64_t align)
{
	/* Alignment counts from GUEST_BASE, which is aligned to more than any caller asks for. */
	uint64_t start = align_up(m->allocated, align);

	if (start > m->size || len > m->size - start)
		return 0;
	m->allocated = start + len;
	return GUEST_BASE + start;
}

void *driver_mem_host(const struct driver_mem *m, uint64_t addr, uint64_t len)
{
	uint64_t offset = addr - GUEST_BASE; /* huge if below */

	if (offset > m->size || len > m->size - offset)
		return NULL;
	return (char *)m->host + offset;
}
