/* SPDX-License-Identifier: Apache-2.0 */
/* The memory that the borrow tests borrow from. */
#include "borrow_world.h"

#include "memory/mem_type.h"

struct bounce bounce;

struct bounce_buffer {
	unsigned char *guest;
	unsigned char bytes[];
};

static bool bounce_match(const struct mem_region_desc *desc)
{
	return desc->xen_flags == 1;
}

static bool bounce_map(struct mem_region *r, int fd, GError **error)
{
	bounce.regions++;
	return true;
}

static void bounce_unmap(struct mem_region *r)
{
	bounce.regions--;
}

static void bounce_borrow(struct mem_region *const *regions, struct mem_range *const *ranges,
	struct mem_mapping *const *mappings, void **host, int *status, unsigned n)
{
	bounce.borrows++;
	bounce.most = MAX(bounce.most, n);
	assert_true(n > 0);
	for (unsigned i = 0; i < n; i++) {
		struct bounce_buffer *b = g_malloc(sizeof(*b) + ranges[i]->len);

		assert_true(ranges[i]->len > 0);
		assert_true(ranges[i]->addr >= regions[i]->desc.guest_addr);
		assert_true(ranges[i]->addr + ranges[i]->len <=
			regions[i]->desc.guest_addr + regions[i]->desc.size);
		status[i] = 0;
		if (bounce.bad_page && ranges[i]->addr < bounce.bad_page + PAGE &&
			ranges[i]->addr + ranges[i]->len > bounce.bad_page) {
			status[i] = -EIO;
			ranges[i]->priv = &bounce; /* not valid, and must not be used */
			g_free(b);
			continue;
		}
		b->guest = bounce.memory + (ranges[i]->addr - BOUNCE_BASE);
		memcpy(b->bytes, b->guest, ranges[i]->len);
		ranges[i]->priv = b;
		host[i] = b->bytes;
		bounce.out++;
	}
}

static void bounce_give_back(
	struct mem_range *const *ranges, const uint32_t *written, int *status, unsigned n)
{
	bounce.give_backs++;
	for (unsigned i = 0; i < n; i++) {
		struct bounce_buffer *b = ranges[i]->priv;

		assert_true(written[i] == 0 || ranges[i]->write);
		assert_true(written[i] <= ranges[i]->len);
		memcpy(b->guest, b->bytes, written[i]);
		bounce.copied += written[i];
		g_free(b);
		bounce.out--;
		status[i] = 0;
	}
}

static bool bounce_map_ring(
	struct mem_region *r, uint64_t offset, size_t len, struct mem_ring_map *map, GError **error)
{
	if (bounce.bad_page && r->desc.guest_addr + offset >= bounce.bad_page) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_IO, "bad page");
		return false;
	}
	map->host = bounce.memory + (r->desc.guest_addr - BOUNCE_BASE) + offset;
	map->priv = &bounce;
	bounce.rings++;
	return true;
}

static void bounce_unmap_ring(struct mem_ring_map *map)
{
	assert_ptr_equal(map->priv, &bounce);
	bounce.rings--;
}

static const struct mem_type bounce_type = {
	.name = "bounce",
	.match = bounce_match,
	.map = bounce_map,
	.unmap = bounce_unmap,
	.borrow = bounce_borrow,
	.give_back = bounce_give_back,
	.map_ring = bounce_map_ring,
	.unmap_ring = bounce_unmap_ring,
};

static const struct mem_type *const types[] = { &bounce_type, &mem_type_memfd, NULL };

struct guest_mem *memory;
struct mem_borrower borrower;

static const struct mem_region_desc file_regions[] = {
	{ .guest_addr = 0, .user_addr = 0, .size = 2 * PAGE, .mmap_offset = 2 * PAGE },
	{ .guest_addr = 2 * PAGE, .user_addr = 2 * PAGE, .size = PAGE, .mmap_offset = 0 },
	{ .guest_addr = 4 * PAGE, .user_addr = 4 * PAGE, .size = PAGE, .mmap_offset = PAGE },
};

int world_setup(void **state)
{
	autofd fd = test_file(4 * PAGE);
	unsigned char page[PAGE];
	GError *error = NULL;

	memset(&bounce, 0, sizeof(bounce));
	for (unsigned i = 0; i < sizeof(bounce.memory); i++)
		bounce.memory[i] = i / PAGE + 1;
	memory = guest_mem_new_with_types(types);
	borrower = (struct mem_borrower){ .mem = memory };
	for (unsigned i = 0; i < G_N_ELEMENTS(file_regions); i++)
		assert_true(guest_mem_add(memory, &file_regions[i], fd, &error));
	for (unsigned i = 0; i < 4; i++) {
		memset(page, 0xf0 + i, PAGE);
		assert_int_equal(pwrite(fd, page, PAGE, i * PAGE), PAGE);
	}
	fd_close(&fd);
	*state = GUINT_TO_POINTER(count_fds());
	return 0;
}

int world_setup_bounce(void **state)
{
	GError *error = NULL;

	world_setup(state);
	for (unsigned i = 0; i < BOUNCE_PAGES; i++) {
		struct mem_region_desc desc = {
			.guest_addr = BOUNCE_BASE + i * PAGE,
			.user_addr = BOUNCE_BASE + i * PAGE,
			.size = PAGE,
			.xen_flags = 1,
		};

		assert_true(guest_mem_add(memory, &desc, -1, &error));
	}
	return 0;
}

int world_teardown(void **state)
{
	assert_int_equal(borrower.mappings_out, 0);
	assert_int_equal(bounce.out, 0);
	assert_int_equal(bounce.rings, 0);
	guest_mem_free(memory);
	assert_int_equal(bounce.regions, 0);
	return leak_teardown(state);
}

void request_init(struct borrow_request *q)
{
	memset(q, 0, sizeof(*q));
	q->mapping = (struct mem_mapping){
		.range = q->range, .iov = q->iov, .max_iov = 8, .status = 99
	};
}

void request_range(struct borrow_request *q, uint64_t addr, uint32_t len, bool write)
{
	q->range[q->mapping.n_range++] = (struct mem_range){
		.addr = addr,
		.len = len,
		.write = write,
		.priv = q, /* what was there before must not matter */
	};
}

int request_borrow(struct borrow_request *q)
{
	struct mem_mapping *mapping = &q->mapping;

	guest_mem_borrow(&borrower, &mapping, 1);
	assert_int_equal(borrower.mappings_out, q->mapping.status == 0);
	return q->mapping.status;
}

void request_give_back(struct borrow_request *q)
{
	struct mem_mapping *mapping = &q->mapping;

	guest_mem_give_back(&borrower, &mapping, 1);
}

void assert_iov(const struct borrow_request *q, unsigned i, size_t len, unsigned char byte)
{
	const unsigned char *p = q->iov[i].iov_base;

	assert_true(i < q->mapping.n_iov);
	assert_int_equal(q->iov[i].iov_len, len);
	assert_int_equal(p[0], byte);
	assert_int_equal(p[len - 1], byte);
}

void assert_fault(uint64_t addr, uint32_t len)
{
	struct borrow_request q;

	request_init(&q);
	request_range(&q, 0, 1, false);
	request_range(&q, addr, len, true);
	assert_int_equal(request_borrow(&q), -EFAULT);
	assert_int_equal(q.mapping.n_iov, 0);
	assert_int_equal(q.mapping.n_iov_out, 0);
}
