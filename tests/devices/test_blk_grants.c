/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a disk costs in system calls when every buffer is a grant, as a Linux guest lays requests
 * out: header, data and status are pages of their own, each granted for this request only.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <sys/mman.h>

#include "blk_image.h"
#include "tests/memory/fake_xen.h"

#define PAGE 4096u
#define GRANT (UINT64_C(1) << 63)
#define SECTOR 512u
#define RING 128u
#define DEPTH 32u
#define REQUESTS (DEPTH * 16)
#define INDIRECT (1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define BASE_FEATURES (1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_BLK_F_FLUSH)

/* Page numbers, which are grant references. */
enum {
	DESC,
	AVAIL,
	USED,
	HEADERS,
	DATA = HEADERS + DEPTH,
	STATUS = DATA + DEPTH,
	TABLES = STATUS + DEPTH,
	END = TABLES + DEPTH
};

/* How a run of the driver goes. */
struct grant_load {
	bool write, indirect;
	bool refill; /* what was completed is replaced at once, not when all is */
	unsigned depth;
};

static struct {
	struct kit_core *core;
	uint8_t *mem;
	struct grant_load load;
	uint16_t avail, used;
	unsigned submitted, completed;
} guest;

static void *page(unsigned i)
{
	return guest.mem + i * PAGE;
}

static uint64_t address(unsigned i)
{
	return GRANT | i * PAGE;
}

static struct vring_desc buffer(unsigned at, uint32_t len, bool write)
{
	return (struct vring_desc){
		.addr = htole64(address(at)),
		.len = htole32(len),
		.flags = htole16(write ? VRING_DESC_F_WRITE : 0),
	};
}

static uint64_t sector_of(unsigned slot)
{
	return slot * (PAGE / SECTOR);
}

/*
 * Submits the driver's request number slot, which owns a page of each kind and three
 * descriptors.
 */
static void submit(unsigned slot)
{
	struct virtio_blk_outhdr *header = page(HEADERS + slot);
	struct vring_desc *desc = page(DESC), *chain = desc + 3 * slot;
	unsigned head = 3 * slot, first = head;
	uint16_t *avail = page(AVAIL);

	*header = (struct virtio_blk_outhdr){
		.type = htole32(guest.load.write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN),
		.sector = htole64(sector_of(slot)),
	};
	memset(page(DATA + slot), guest.load.write ? 0x40 + slot : 0, PAGE);
	memset(page(STATUS + slot), NO_STATUS, 1);
	if (guest.load.indirect) {
		desc[head] = buffer(TABLES + slot, 3 * sizeof(*desc), false);
		desc[head].flags = htole16(VRING_DESC_F_INDIRECT);
		chain = page(TABLES + slot);
		first = 0;
	}
	chain[0] = buffer(HEADERS + slot, sizeof(*header), false);
	chain[1] = buffer(DATA + slot, PAGE, !guest.load.write);
	chain[2] = buffer(STATUS + slot, 1, true);
	for (unsigned i = 0; i < 2; i++) {
		chain[i].flags |= htole16(VRING_DESC_F_NEXT);
		chain[i].next = htole16(first + i + 1);
	}
	avail[2 + guest.avail++ % RING] = htole16(head);
	__atomic_store_n(&avail[1], htole16(guest.avail), __ATOMIC_RELEASE);
	guest.submitted++;
}

static void check(unsigned slot)
{
	uint8_t expected[PAGE];

	assert_int_equal(*(uint8_t *)page(STATUS + slot), VIRTIO_BLK_S_OK);
	image_read(expected, sector_of(slot) * SECTOR, PAGE);
	assert_memory_equal(page(DATA + slot), expected, PAGE);
}

static void reap(void)
{
	const struct vring_used *used = page(USED);

	while (guest.used != le16toh(__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE))) {
		unsigned slot = le32toh(used->ring[guest.used++ % RING].id) / 3;

		check(slot);
		guest.completed++;
		if (guest.load.refill && guest.submitted < REQUESTS)
			submit(slot);
	}
	if (guest.completed == guest.submitted)
		for (unsigned i = 0; i < guest.load.depth && guest.submitted < REQUESTS; i++)
			submit(i);
}

static void on_call(void *opaque)
{
	if (guest.load.refill)
		reap();
}

static void on_broken(void *opaque, const char *reason)
{
	fail_msg("%s", reason);
}

static const struct vq_hooks grant_hooks = { on_call, on_broken };

static void share(void)
{
	const struct {
		unsigned first, end;
		uint32_t flags;
	} region[] = { { DESC, AVAIL, 0x2 }, { AVAIL, USED, 0x2 }, { USED, HEADERS, 0x2 },
		{ HEADERS, FAKE_PAGES, 0xa } };

	guest.core->guest = guest_mem_new();
	for (unsigned i = 0; i < G_N_ELEMENTS(region); i++) {
		struct mem_region_desc desc = {
			.guest_addr = address(region[i].first),
			.size = (uint64_t)(region[i].end - region[i].first) * PAGE,
			.user_addr = address(region[i].first),
			.xen_flags = region[i].flags,
			.xen_domid = FAKE_DOMID,
		};

		assert_true(guest_mem_add(guest.core->guest, &desc, fake_xen.device, NULL));
	}
	guest.core->queue[0].core = guest.core;
	guest.core->queue[0].q = vq_new(0, guest.core->guest, &grant_hooks, &guest.core->queue[0]);
}

static int setup(void **state)
{
	fake_xen_start();
	image_setup(state);
	guest.core = *state;
	guest.mem = mmap(NULL, END * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fake_xen.memfd, 0);
	assert_ptr_not_equal(guest.mem, MAP_FAILED);
	assert_true(kit_core_open(guest.core, NULL, image_arg, "--engine=sync", NULL));
	share();
	return 0;
}

static int teardown(void **state)
{
	int result = kit_core_teardown(state);

	munmap(guest.mem, END * PAGE);
	mem_grant_set_copy_max(MEM_GRANT_COPY_MAX);
	fake_xen_stop();
	return result;
}

/* Runs REQUESTS requests: system calls for memory, for each of them. */
static double calls_per_request(struct grant_load load)
{
	const struct vq_setup ring = {
		.size = RING,
		.features = BASE_FEATURES | (load.indirect ? INDIRECT : 0),
		.desc = address(DESC),
		.avail = address(AVAIL),
		.used = address(USED),
	};
	struct kit_core *c = guest.core;
	struct mem_xen_stats before, after;

	guest.load = load;
	guest.avail = guest.used = 0;
	guest.submitted = guest.completed = 0;
	memset(guest.mem, 0, HEADERS * PAGE);
	/* The guest lets us write no more than it must. */
	for (unsigned i = 0; i < DEPTH; i++) {
		fake_xen.readonly[HEADERS + i] = fake_xen.readonly[TABLES + i] = true;
		fake_xen.readonly[DATA + i] = load.write;
	}
	c->device.driver_features = ring.features;
	assert_true(vq_start(c->queue[0].q, &ring, NULL));
	virtio_device_ops.queue_start(&c->device, c->queue[0].q);
	mem_xen_get_stats(&before);
	for (reap(); guest.completed < REQUESTS; reap()) {
		vq_burst_begin(c->queue[0].q);
		virtio_device_ops.kick(&c->device, c->queue[0].q);
		vq_burst_end(c->queue[0].q);
	}
	mem_xen_get_stats(&after);
	vq_stop(c->queue[0].q);
	return (double)(after.calls - before.calls) / REQUESTS;
}

static void print_line(struct grant_load load)
{
	double mapped, copied = calls_per_request(load);

	mem_grant_set_copy_max(0);
	mapped = calls_per_request(load);
	mem_grant_set_copy_max(MEM_GRANT_COPY_MAX);
	print_message("%s, %s, depth %2u%s: %.3f calls a request; mapping everything: %.3f\n",
		load.write ? "write" : "read ", load.indirect ? "indirect" : "direct  ", load.depth,
		load.refill ? ", refilled" : "          ", copied, mapped);
}

static void test_calls(void **state)
{
	for (unsigned i = 0; i < 8; i++) {
		struct grant_load load = { .write = i & 1, .refill = i & 2, .indirect = i & 4 };

		/* Headers in; data and status out. The table is known before what it names is. */
		load.depth = 1;
		assert_true(calls_per_request(load) <= (load.indirect ? 3 : 2));
		print_line(load);
		load.depth = DEPTH;
		assert_true(calls_per_request(load) <= 0.2);
		print_line(load);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_calls, setup, teardown),
	};

	return cmocka_run_group_tests_name("blk_grants", tests, image_make_dir, image_remove_dir);
}
