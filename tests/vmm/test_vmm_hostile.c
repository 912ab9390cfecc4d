/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device of a virtual machine whose back-ends are hostile, one after another, argv[1] rounds;
 * with argv[2] its waits are as long as they really are.
 * After each an honest one is served; every second time the device ends while the hostile one is
 * there. None of that takes much longer than with an honest back-end, just before.
 */
#include "guest.h"

#include "base/fd_kind.h"
#include "tests/lib/figures.h"
#include "tests/lib/hostile_backend.h"

/* Of each answer; in a run of all tricks as it really is. */
#define DEADLINE_MS 300
/* Of the tricks, in an order that mixes them: no factor of their number. */
#define STRIDE 37

static unsigned rounds = 60;
static bool all;

static struct figures served = { "served again" }, ended = { "ended" };

static bool on_reserve(
	void *opaque, struct vmm_dev *d, uint8_t id, uint64_t size, uint64_t *base, GError **error)
{
	*base = UINT64_C(0x123450000);
	return true;
}

static int on_map_shm(void *opaque, struct vmm_dev *d, const struct vu_front_mapping *m)
{
	assert_int_equal(fd_kind(m->fd), FD_MEMORY);
	return 0;
}

static void on_unmap_shm(void *opaque, struct vmm_dev *d, uint8_t id, uint64_t at, uint64_t len)
{
}

/* Does what a driver does, whatever becomes of it. waits: as its vCPU does. */
static void drive(struct guest *g, bool waits)
{
	const struct {
		uint64_t off, value;
	} writes[] = {
		{ VIRTIO_MMIO_STATUS, 0 },
		{ VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_DRIVER },
		{ VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1 },
		{ VIRTIO_MMIO_DRIVER_FEATURES, VU_BIT(VIRTIO_F_VERSION_1) >> 32 },
		{ VIRTIO_MMIO_STATUS, S_FEATURES },
		{ VIRTIO_MMIO_QUEUE_NUM, 16 },
		{ VIRTIO_MMIO_QUEUE_DESC_LOW, desc_of(0) },
		{ VIRTIO_MMIO_QUEUE_AVAIL_LOW, driver_of(0) },
		{ VIRTIO_MMIO_QUEUE_USED_LOW, device_of(0) },
		{ VIRTIO_MMIO_QUEUE_READY, 1 },
		{ VIRTIO_MMIO_STATUS, S_ALL },
		{ VIRTIO_MMIO_QUEUE_NOTIFY, 0 },
		{ VIRTIO_MMIO_CONFIG, 1 },
	};
	static struct token token[G_N_ELEMENTS(writes)];

	for (unsigned i = 0; i < G_N_ELEMENTS(writes); i++) {
		unsigned size = writes[i].off < VIRTIO_MMIO_CONFIG ? 4 : 1;

		guest_access(g, &token[i], writes[i].off, size, true, writes[i].value);
		if (waits)
			guest_wait(g, &token[i]);
	}
}

static unsigned rises(struct guest *g)
{
	unsigned n;

	pthread_mutex_lock(&g->lock);
	n = g->rises;
	pthread_mutex_unlock(&g->lock);
	return n;
}

static bool needs_reset(struct guest *g)
{
	return rd32(g, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* Returns how long an honest back-end, from its start, and a driver take to exchange signals. */
static struct figures_time be_served(struct guest *g)
{
	struct figures_time start = figures_now();
	unsigned before, kicks;

	fake_up(g->backend);
	if (!g->d)
		guest_start(g);
	do {
		drive(g, true);
		WAIT_UNTIL(fake_ring(g->backend, 0).enabled || needs_reset(g));
	} while (needs_reset(g));
	kicks = fake_ring(g->backend, 0).kicks;
	before = rises(g);
	wr32(g, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	WAIT_UNTIL(fake_ring(g->backend, 0).kicks > kicks);
	wr32(g, VIRTIO_MMIO_INTERRUPT_ACK, 3);
	fake_call(g->backend, 0);
	WAIT_UNTIL(rises(g) > before);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL);
	return figures_since(start);
}

static unsigned deadline_ms(void)
{
	return all ? 0 : DEADLINE_MS * test_patience();
}

static struct figures_time end(struct guest *g)
{
	struct figures_time start = figures_now();

	g_clear_pointer(&g->d, vmm_dev_free);
	return figures_since(start);
}

static void attack(struct guest *g, struct hostile *h, unsigned trick, bool ends)
{
	g_autofree char *name = hostile_name(trick);
	int64_t honest = be_served(g).us;

	if (ends)
		honest += end(g).us;
	fake_down(g->backend);
	g->config.front.deadline_ms = ends ? 0 : deadline_ms();
	if (ends)
		guest_new_dev(g);
	hostile_begin(h, trick);
	hostile_meet(h, trick);
	drive(g, !ends);
	hostile_act(h, trick);
	if (!ends)
		wr32(g, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	else
		figures_add(&ended, name, end(g), honest);
	hostile_leave(h);
	hostile_wait(h);
	g->config.front.deadline_ms = deadline_ms();
	figures_add(&served, name, be_served(g), honest);
	deaf_file_check_threads(getpid());
	fake_down(g->backend);
	hostile_end(h);
}

static void test_every_trick(void **state)
{
	struct guest *g = *state;
	struct hostile h;

	fake_down(g->backend);
	g->config.front.deadline_ms = deadline_ms();
	g->ops.shm_reserve = on_reserve;
	g->ops.shm_map = on_map_shm;
	g->ops.shm_unmap = on_unmap_shm;
	hostile_init(&h, g->backend);
	/* In a first pass, those that fill an fd meet a driver that goes on. */
	for (unsigned i = 0; i < rounds; i++)
		attack(g, &h, i * STRIDE % hostile_tricks(), i % 2 == 1);
	hostile_clear(&h);
	figures_print(&served);
	figures_print(&ended);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(guest, test_every_trick),
	};

	if (argc > 1)
		rounds = atoi(argv[1]);
	all = argc > 2;
	return cmocka_run_group_tests_name("vmm_hostile", tests, NULL, NULL);
}
