/* SPDX-License-Identifier: Apache-2.0 */
/* The driver without manners: see fake.h. */
#include "fake.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "ring/vq_impl.h"
#include "tests/lib/test.h"

#include "memory/mem_type.h"

#define USER_OFFSET UINT64_C(0x7000000000)
#define FILE_BYTES ((REGIONS + 1) * REGION_BYTES)

uint64_t fake_format;

/* The fake whose memory is mapped by the request; one at a time. */
static struct fake *current;

/* Matches a memory type that maps per borrow, and counts. */

static bool counted_match(const struct mem_region_desc *desc)
{
	return true;
}

static bool counted_map(struct mem_region *r, int fd, GError **error)
{
	return true;
}

static void counted_unmap(struct mem_region *r)
{
}

static void counted_borrow(struct mem_region *const *regions, struct mem_range *const *ranges,
	struct mem_mapping *const *mappings, void **host, int *status, unsigned n)
{
	current->borrows++;
	current->mapped += n;
	for (unsigned i = 0; i < n; i++) {
		void *memory = fake_host(current, ranges[i]->addr);

		host[i] = memory;
		if (current->bounce)
			host[i] = g_memdup2(memory, ranges[i]->len);
		ranges[i]->priv = host[i];
		status[i] = 0;
	}
}

static void counted_give_back(
	struct mem_range *const *ranges, const uint32_t *written, int *status, unsigned n)
{
	current->give_backs++;
	current->mapped -= n;
	current->written = written[n - 1];
	for (unsigned i = 0; i < n; i++) {
		bool lost = current->lost && i >= current->lost_from;

		status[i] = lost && ranges[i]->write ? -EIO : 0;
		if (!current->bounce)
			continue;
		memcpy(fake_host(current, ranges[i]->addr), ranges[i]->priv, written[i]);
		g_free(ranges[i]->priv);
	}
}

static bool counted_map_ring(
	struct mem_region *r, uint64_t offset, size_t len, struct mem_ring_map *map, GError **error)
{
	map->host = fake_host(current, r->desc.guest_addr + offset);
	map->priv = map->host;
	current->mapped++;
	return true;
}

static void counted_unmap_ring(struct mem_ring_map *map)
{
	current->mapped--;
}

static const struct mem_type counted_type = {
	.name = "counted",
	.match = counted_match,
	.map = counted_map,
	.unmap = counted_unmap,
	.borrow = counted_borrow,
	.give_back = counted_give_back,
	.map_ring = counted_map_ring,
	.unmap_ring = counted_unmap_ring,
};
static const struct mem_type *const counted_types[] = { &counted_type, NULL };

/* Calls the owner of the queue. */

static void on_call(void *opaque)
{
	struct fake *f = opaque;

	f->calls++;
	if (f->on_call)
		f->on_call(f);
}

static void on_broken(void *opaque, const char *reason)
{
	struct fake *f = opaque;

	f->breaks++;
	g_strlcpy(f->reason, reason, sizeof(f->reason));
}

static const struct vq_hooks hooks = { .call = on_call, .broken = on_broken };

/*
 * Returns the host address. In the file the second region comes first, after a part that is in
 * neither.
 */
void *fake_host(struct fake *f, uint64_t guest_addr)
{
	uint64_t offset = guest_addr - GUEST_ADDR;

	return f->host + (offset < REGION_BYTES ? offset + 2 * REGION_BYTES : offset);
}

uint64_t fake_user(uint64_t guest_addr)
{
	return guest_addr + USER_OFFSET;
}

void fake_open(struct fake *f, bool map)
{
	struct mem_region_desc desc[REGIONS];
	int fds[REGIONS];

	*f = (struct fake){ .map = map, .fds = count_fds() };
	f->memfd = memfd_create("fake guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(f->memfd, FILE_BYTES), 0);
	f->host = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, f->memfd, 0);
	assert_ptr_not_equal(f->host, MAP_FAILED);
	for (unsigned i = 0; i < REGIONS; i++) {
		fds[i] = f->memfd;
		desc[i] = (struct mem_region_desc){
			.guest_addr = GUEST_ADDR + i * REGION_BYTES,
			.size = REGION_BYTES,
			.user_addr = fake_user(GUEST_ADDR + i * REGION_BYTES),
			.mmap_offset = (REGIONS - i) * REGION_BYTES,
		};
	}
	current = f;
	f->mem = map ? guest_mem_new_with_types(counted_types) : guest_mem_new();
	assert_true(guest_mem_set(f->mem, desc, fds, REGIONS, NULL));
	fake_new_queue(f);
}

void fake_new_queue(struct fake *f)
{
	vq_free(f->q);
	f->q = vq_new(3, f->mem, &hooks, f);
	f->q->burst_us = INT64_MAX; /* however busy this machine is */
}

void fake_places(struct fake *f)
{
	f->desc = fake_host(f, f->setup.desc - USER_OFFSET);
	f->avail = fake_host(f, f->setup.avail - USER_OFFSET);
	f->used = fake_host(f, f->setup.used - USER_OFFSET);
	f->list = (struct vring_packed_desc *)f->desc;
	f->driver = (struct vring_packed_desc_event *)f->avail;
	f->device = (struct vring_packed_desc_event *)f->used;
}

void fake_layout(struct fake *f, unsigned size, uint64_t features)
{
	uint64_t desc = GUEST_ADDR, avail = desc + 0x80000, used = avail + 0x20000;

	f->setup = (struct vq_setup){
		.size = size,
		.features = features | fake_format,
		.desc = fake_user(desc),
		.avail = fake_user(avail),
		.used = fake_user(used),
		.any_order = true,
	};
	fake_places(f);
	memset(f->desc, 0, DATA_ADDR - desc);
	f->seen = 0;
	f->at = f->used_at = 1u << 15;
	f->setup.base = fake_base(f, 0);
}

void fake_vq_start(struct fake *f)
{
	g_autoptr(GError) error = NULL;

	if (!vq_start(f->q, &f->setup, &error))
		fail_msg("vq_start: %s", error->message);
}

void fake_start(struct fake *f, bool map, unsigned size, uint64_t features)
{
	fake_open(f, map);
	fake_layout(f, size, features);
	fake_vq_start(f);
}

unsigned fake_mappings_out(const struct fake *f)
{
	return f->map ? f->q->borrower.mappings_out : f->q->reqs_used;
}

uint32_t fake_vq_stop(struct fake *f)
{
	uint32_t base = vq_stop(f->q);

	assert_int_equal(fake_mappings_out(f), 0);
	assert_int_equal(f->mapped, 0);
	assert_int_equal(f->q->pool_bytes, 0);
	assert_int_equal(f->q->desc_used, 0);
	return base;
}

void fake_close(struct fake *f)
{
	if (vq_is_started(f->q))
		fake_vq_stop(f);
	vq_free(f->q);
	guest_mem_free(f->mem);
	munmap(f->host, FILE_BYTES);
	close(f->memfd);
	assert_int_equal(count_fds(), f->fds);
}

unsigned fake_serve(struct fake *f)
{
	unsigned n = 0;

	do {
		vq_burst_begin(f->q);
		for (;;) {
			g_autoptr(vq_chain) c = vq_pop(f->q);

			if (!c)
				break;
			iov_push(&c->in, "x", 1);
			n++;
		}
	} while (vq_burst_end(f->q) == VQ_MORE);
	return n;
}

void fake_expect_event_calls(struct fake *f, void (*set_event)(struct fake *f, int event))
{
	static const struct {
		int event;
		unsigned n;
		bool call;
	} cases[] = {
		{ 0, 1, true },
		{ 1, 1, false },
		{ -1, 1, false },
		{ 0, 7, true },
		{ 6, 7, true },
		{ 7, 7, false },
		{ -1, 7, false },
		{ -7, 7, false },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		set_event(f, cases[i].event);
		for (unsigned n = 0; n < cases[i].n; n++)
			fake_request(f, n);
		f->calls = 0;
		assert_int_equal(fake_serve(f), cases[i].n);
		assert_int_equal(f->calls, cases[i].call);
		assert_int_equal(fake_reap_all(f), cases[i].n);
	}
}

void fake_answer(struct fake *f, size_t out, size_t in)
{
	struct vq_chain *c = vq_pop(f->q);

	if (!c)
		fail_msg("no chain: %s", f->reason);
	assert_int_equal(iov_left(&c->out), out);
	assert_int_equal(iov_left(&c->in), in);
	iov_skip(&c->out, out);
	assert_int_equal(iov_push_zeroes(&c->in, in), in);
	vq_push(c);
}

void fake_expect_broken(const struct fake *f, const char *reason)
{
	assert_int_equal(f->breaks, 1);
	if (!strstr(f->reason, reason))
		fail_msg("the reason is \"%s\", not \"%s\"", f->reason, reason);
	assert_true(vq_is_broken(f->q));
}
