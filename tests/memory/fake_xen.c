/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_xen.h. */
#include "fake_xen.h"

#include <sys/mman.h>

#include "base/util.h"
#include "base/xen_abi.h"

#define PAGE XEN_PAGE_SIZE
#define GRANTS_MAX 512
#define VMAS_MAX 64

struct fake_xen_kernel fake_xen;

/* Made by MAP_GRANTS. */
static struct fake_grants {
	uint64_t index; /* 0: none */
	uint32_t count;
	uint32_t ref[FAKE_PAGES];
	char *base; /* NULL: not mapped */
} grants[GRANTS_MAX];
static uint64_t next_index;

/* Mappings of privcmd. */
static struct fake_vma {
	char *base; /* NULL: none */
	size_t size;
	bool filled;
	bool mapped[FAKE_PAGES];
} vmas[VMAS_MAX];

static int fails(int err)
{
	errno = err;
	return -1;
}

static void show_page(char *at, unsigned page, int prot)
{
	assert_ptr_equal(
		mmap(at, PAGE, prot, MAP_SHARED | MAP_FIXED, fake_xen.memfd, (off_t)page * PAGE),
		at);
}

static struct fake_vma *vma_at(const char *addr, size_t size)
{
	for (unsigned i = 0; i < VMAS_MAX; i++)
		if (vmas[i].base && addr >= vmas[i].base && addr < vmas[i].base + vmas[i].size) {
			assert_true(addr + size <= vmas[i].base + vmas[i].size);
			return &vmas[i];
		}
	fail_msg("there is no mapping of privcmd at %p", (const void *)addr);
	return NULL;
}

static int map_batch(const struct xen_mmap_batch *b)
{
	struct fake_vma *v = vma_at((char *)(uintptr_t)b->addr, (size_t)b->num * PAGE);
	size_t first = ((char *)(uintptr_t)b->addr - v->base) / PAGE;
	bool paged = fake_xen.paged > 0;

	fake_xen.batches++;
	if (b->domid != FAKE_DOMID)
		return fails(EPERM);
	/* The first call must fill it, later ones may fill holes. */
	assert_true(v->filled || (first == 0 && v->size == (size_t)b->num * PAGE));
	v->filled = true;
	fake_xen.paged -= paged;
	for (unsigned i = 0; i < b->num; i++) {
		uint64_t page = b->gfn[i] - FAKE_GFN;

		assert_false(v->mapped[first + i]);
		b->err[i] = page >= FAKE_PAGES || fake_xen.hole[page] ? -EINVAL
			: paged					      ? -ENOENT
								      : 0;
		if (b->err[i])
			continue;
		show_page(v->base + (first + i) * PAGE, page, PROT_READ | PROT_WRITE);
		v->mapped[first + i] = true;
	}
	return paged ? fails(ENOENT) : 0;
}

static struct fake_grants *grants_at(uint64_t index)
{
	for (unsigned i = 0; i < GRANTS_MAX; i++)
		if (grants[i].index == index)
			return &grants[i];
	fail_msg("no grants at index 0x%llx", (unsigned long long)index);
	return NULL;
}

static int map_grants(struct xen_map_grants *m)
{
	struct fake_grants *g = grants_at(0);

	fake_xen.grant_maps++;
	assert_in_range(m->count, 1, FAKE_PAGES);
	g->index = next_index += (uint64_t)FAKE_PAGES * PAGE;
	g->count = m->count;
	for (unsigned i = 0; i < m->count; i++) {
		assert_int_equal(m->ref[i].domid, FAKE_DOMID);
		g->ref[i] = m->ref[i].ref;
	}
	m->index = g->index;
	fake_xen.refs += m->count;
	fake_xen.live++;
	return 0;
}

static int unmap_grants(const struct xen_unmap_grants *u)
{
	struct fake_grants *g = grants_at(u->index);

	fake_xen.grant_unmaps++;
	assert_int_not_equal(u->index, 0);
	assert_int_equal(u->count, g->count);
	assert_null(g->base); /* else the guest gets its pages back too late */
	g->index = 0;
	fake_xen.live--;
	return 0;
}

static int16_t copy_segment(const struct xen_copy_segment *s)
{
	bool from = s->flags == XEN_COPY_FROM_GRANT;
	const union xen_copy_end *grant = from ? &s->source : &s->dest;
	void *local = from ? s->dest.local : s->source.local;
	off_t at = (off_t)grant->grant.ref * PAGE + grant->grant.offset;

	assert_true(from || s->flags == XEN_COPY_TO_GRANT);
	assert_int_equal(grant->grant.domid, FAKE_DOMID);
	assert_in_range(s->len, 1, PAGE - grant->grant.offset);
	if (grant->grant.ref >= FAKE_PAGES || fake_xen.bad[grant->grant.ref])
		return -3;
	if (from) {
		assert_int_equal(pread(fake_xen.memfd, local, s->len, at), s->len);
		return 0;
	}
	if (fake_xen.readonly[grant->grant.ref])
		return -1;
	assert_int_equal(pwrite(fake_xen.memfd, local, s->len, at), s->len);
	return 0;
}

static int copy_grants(const struct xen_copy_grants *c)
{
	fake_xen.copies++;
	fake_xen.segments += c->count;
	assert_true(c->count > 0);
	for (unsigned i = 0; i < c->count; i++)
		c->segment[i].status = copy_segment(&c->segment[i]);
	return 0;
}

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
	assert_true(fcntl(fd, F_GETFD) >= 0);
	if (fake_xen.ioctl_errno)
		return fails(fake_xen.ioctl_errno);
	switch (request) {
	case XEN_IOCTL_MMAP_BATCH:
		return map_batch(arg);
	case XEN_IOCTL_MAP_GRANTS:
		return map_grants(arg);
	case XEN_IOCTL_UNMAP_GRANTS:
		return unmap_grants(arg);
	case XEN_IOCTL_COPY_GRANTS:
		return copy_grants(arg);
	}
	fail_msg("ioctl 0x%lx", request);
	return -1;
}

static void *map_privcmd(char *addr, size_t size)
{
	unsigned i = 0;

	while (vmas[i].base)
		assert_true(++i < VMAS_MAX);
	assert_true(size <= FAKE_PAGES * PAGE);
	vmas[i] = (struct fake_vma){ .base = addr, .size = size };
	return addr;
}

static void *map_grant_pages(struct fake_grants *g, size_t size, int prot)
{
	assert_null(g->base);
	if (size != (size_t)g->count * PAGE)
		return errno = EINVAL, MAP_FAILED;
	for (unsigned i = 0; i < g->count; i++) {
		uint32_t ref = g->ref[i];

		if (ref >= FAKE_PAGES || fake_xen.bad[ref] ||
			((prot & PROT_WRITE) && fake_xen.readonly[ref]))
			return errno = EINVAL, MAP_FAILED;
	}
	g->base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(g->base, MAP_FAILED);
	for (unsigned i = 0; i < g->count; i++)
		show_page(g->base + i * PAGE, g->ref[i], prot);
	fake_xen.readonly_maps += !(prot & PROT_WRITE);
	return g->base;
}

static void *fake_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
	if (flags & MAP_ANONYMOUS) {
		if (flags & MAP_FIXED)
			vma_at(addr, size)->base = NULL;
		return mmap(addr, size, prot, flags, fd, offset);
	}
	assert_true(fcntl(fd, F_GETFD) >= 0);
	assert_true(flags & MAP_SHARED);
	fake_xen.mmaps++;
	if (fake_xen.fail_mmap)
		return errno = ENOMEM, MAP_FAILED;
	if (flags & MAP_FIXED)
		return map_privcmd(addr, size);
	return map_grant_pages(grants_at(offset), size, prot);
}

static int fake_munmap(void *addr, size_t size)
{
	char *base = addr;

	fake_xen.munmaps++;
	for (unsigned i = 0; i < GRANTS_MAX; i++) {
		if (grants[i].index && grants[i].base == base) {
			assert_int_equal(size, (size_t)grants[i].count * PAGE);
			grants[i].base = NULL;
		}
	}
	for (unsigned i = 0; i < VMAS_MAX; i++)
		if (vmas[i].base >= base && vmas[i].base < base + size)
			vmas[i].base = NULL;
	return munmap(addr, size);
}

static const struct xen_ops ops = { fake_ioctl, fake_mmap, fake_munmap };

void fake_xen_start(void)
{
	uint8_t page[PAGE];

	fake_xen = (struct fake_xen_kernel){
		.memfd = memfd_create("virtiod-memory-test", MFD_CLOEXEC),
		.device = open("/dev/null", O_RDWR | O_CLOEXEC),
	};
	for (unsigned i = 0; i < FAKE_PAGES; i++) {
		memset(page, i + 1, PAGE);
		assert_int_equal(pwrite(fake_xen.memfd, page, PAGE, (off_t)i * PAGE), PAGE);
	}
	mem_xen_set_ops(&ops);
}

void fake_xen_stop(void)
{
	struct mem_xen_stats stats;

	for (unsigned i = 0; i < GRANTS_MAX; i++)
		assert_int_equal(grants[i].index, 0);
	for (unsigned i = 0; i < VMAS_MAX; i++)
		assert_null(vmas[i].base);
	mem_xen_get_stats(&stats);
	assert_int_equal(stats.live, 0);
	assert_int_equal(stats.maps > 0, stats.unmaps > 0);
	mem_xen_set_ops(NULL);
	fd_close(&fake_xen.memfd);
	fd_close(&fake_xen.device);
}

uint8_t fake_xen_byte(unsigned page, unsigned offset)
{
	uint8_t byte;

	assert_int_equal(pread(fake_xen.memfd, &byte, 1, (off_t)page * PAGE + offset), 1);
	return byte;
}
