/* SPDX-License-Identifier: Apache-2.0 */
/* What a hypervisor supplies, and asks for: dial, eventfds, memory by queue, invalidation. */
#include "guest.h"

#include <unistd.h>

#include "base/sock.h"

/* A hypervisor whose guests grant each ring: its regions come and go with it. */
struct hypervisor {
	struct guest *g;
	unsigned dials, fresh, asked, n_ready;
	bool fails; /* to dial */
	int kick[FAKE_QUEUES], call[FAKE_QUEUES];
	struct mem_region_desc desc[1 + FAKE_QUEUES];
	int fds[1 + FAKE_QUEUES];
};

static bool dial(void *opaque, struct vmm_dev *d, bool fresh, struct vu_front_options *options,
	struct vu_front_sockets *sockets, bool *kept, GError **error)
{
	struct guest *g = opaque;
	struct hypervisor *h = g->own;

	pthread_mutex_lock(&g->lock);
	h->dials++;
	h->fresh += fresh;
	pthread_mutex_unlock(&g->lock);
	if (h->fails) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN, "no rule for it yet");
		return false;
	}
	options->device_id = 42;
	*sockets = (struct vu_front_sockets){ sock_connect(g->path, error), -1, -1 };
	return sockets->fd >= 0;
}

static int make_eventfd(void *opaque, struct vmm_dev *d, unsigned queue, enum vmm_eventfd which)
{
	struct hypervisor *h = ((struct guest *)opaque)->own;

	return dup(which == VMM_KICK ? h->kick[queue] : h->call[queue]);
}

/*
 * Describes all memory at its guest address; each ready queue once more, as a region, from its
 * table on.
 */
static unsigned memory(void *opaque, struct vmm_dev *d, const struct virtio_mmio_queue *ready,
	unsigned n_ready, bool packed, const struct mem_region_desc **desc, const int **fds)
{
	struct guest *g = opaque;
	struct hypervisor *h = g->own;

	h->asked++;
	h->n_ready = n_ready;
	for (unsigned i = 0; i < n_ready; i++) {
		assert_true(ready[i].ready);
		h->desc[i] = (struct mem_region_desc){
			.guest_addr = ready[i].desc,
			.size = 0x10000,
			.user_addr = 0x1000000 + ready[i].desc,
			.mmap_offset = ready[i].desc - MEMORY,
		};
		h->fds[i] = g->memfd;
	}
	h->desc[n_ready] = (struct mem_region_desc){
		.guest_addr = MEMORY + 0x80000, .size = 0x1000, .user_addr = MEMORY + 0x80000
	};
	h->fds[n_ready] = g->memfd;
	*desc = h->desc;
	*fds = h->fds;
	return n_ready + 1;
}

static int setup(void **state)
{
	struct guest *g;
	struct hypervisor *h = g_new0(struct hypervisor, 1);

	guest_setup(state);
	g = *state;
	g->own = h;
	for (unsigned i = 0; i < FAKE_QUEUES; i++) {
		h->kick[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		h->call[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	return 0;
}

static int teardown(void **state)
{
	struct guest *g = *state;
	struct hypervisor *h = g->own;

	g_clear_pointer(&g->d, vmm_dev_free);
	for (unsigned i = 0; i < FAKE_QUEUES; i++) {
		close(h->kick[i]);
		close(h->call[i]);
	}
	g_free(h);
	return guest_teardown(state);
}

static unsigned count(const char *text, const char *word)
{
	unsigned n = 0;

	while ((text = strstr(text, word))) {
		n++;
		text += strlen(word);
	}
	return n;
}

static void test_dial(void **state)
{
	struct guest *g = *state;
	struct hypervisor *h = g->own;
	g_autoptr(GError) error = NULL;
	struct token t;

	g->config.socket_path = NULL;
	g->ops.dial = dial;
	h->fails = true;
	guest_new_dev(g);
	for (unsigned i = 0; i < 1000 && (!error || !strstr(error->message, "no rule")); i++) {
		g_clear_error(&error);
		assert_false(vmm_dev_wait(g->d, 5, &error));
	}
	assert_non_null(strstr(error->message, "no rule for it yet"));
	assert_true(g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN));
	guest_access(g, &t, VIRTIO_MMIO_DEVICE_ID, 4, false, 0);
	h->fails = false;
	assert_int_equal(guest_wait(g, &t), 42);
	assert_int_equal(vmm_dev_properties(g->d)->device_id, VU_SOURCE_PROBE);
	guest_driver_ok(g);
	/* Dialled again after a loss. */
	fake_down(g->backend);
	WAIT_UNTIL_LOCKED(&g->lock, h->dials >= 4);
	fake_up(g->backend);
	WAIT_UNTIL_LOCKED(
		&g->backend->lock, g->backend->status == 0xf && g->backend->ring[2].kicks >= 1);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL);
	/* There is no predecessor's connection. */
	assert_int_equal(h->fresh, h->dials);
}

/* What the user says may come with the connection; a contradiction is final. */
static void test_dial_properties(void **state)
{
	struct guest *g = *state;
	g_autoptr(GError) error = NULL;

	g->config.socket_path = NULL;
	g->ops.dial = dial;
	fake_down(g->backend);
	g->backend->device_id = 41;
	fake_up(g->backend);
	guest_new_dev(g);
	assert_false(vmm_dev_wait(g->d, 30000, &error));
	assert_true(g_error_matches(error, VU_FRONT_ERROR, VU_FRONT_ERROR_GONE));
	assert_non_null(strstr(error->message, "41"));
}

static void test_eventfd(void **state)
{
	struct guest *g = *state;
	struct hypervisor *h = g->own;
	struct pollfd pfd = { .fd = h->call[2], .events = POLLIN };

	g->ops.eventfd = make_eventfd;
	guest_start(g);
	guest_driver_ok(g);
	WAIT_UNTIL_LOCKED(&g->backend->lock, g->backend->ring[2].kicks == 1);
	eventfd_write(h->kick[2], 1);
	WAIT_UNTIL_LOCKED(&g->backend->lock, g->backend->ring[2].kicks == 2);
	eventfd_write(h->call[2], 1);
	WAIT_UNTIL_LOCKED(&g->lock, g->rises == 1);
	assert_int_equal(poll(&pfd, 1, 0), 0);
}

/* A back-end has made the kick eventfd blocking, and filled it: no vCPU waits for it. */
static void test_peer_blocks_kick(void **state)
{
	struct guest *g = *state;
	struct hypervisor *h = g->own;

	g->ops.eventfd = make_eventfd;
	guest_start(g);
	guest_driver_ok(g);
	WAIT_UNTIL_LOCKED(&g->backend->lock, g->backend->ring[2].kicks == 1);
	fake_down(g->backend);
	assert_int_equal(fcntl(h->kick[2], F_SETFL, 0), 0);
	assert_int_equal(eventfd_write(h->kick[2], UINT64_MAX - 1), 0);
	for (unsigned i = 0; i < 100; i++)
		wr32(g, VIRTIO_MMIO_QUEUE_NOTIFY, 2);
	/* The next back-end finds it, and is kicked. */
	fake_up(g->backend);
	WAIT_UNTIL_LOCKED(
		&g->backend->lock, g->backend->status == 0xf && g->backend->ring[2].kicks >= 1);
}

static void test_memory(void **state)
{
	struct guest *g = *state;
	struct hypervisor *h = g->own;
	g_autofree char *start = NULL, *stop = NULL, *again = NULL, *reset = NULL;
	unsigned asked;

	g->ops.memory = memory;
	guest_start(g);
	guest_features(g, VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_F_RING_RESET));
	assert_int_equal(g->backend->n_regions, 1);
	guest_queue(g, 0, 16);
	guest_queue(g, 2, 64);
	assert_int_equal(h->n_ready, 0);
	g_free(fake_trace(g->backend));
	wr32(g, VIRTIO_MMIO_STATUS, S_ALL);
	start = fake_trace(g->backend);
	/* With the table before the rings that lie in it. */
	assert_true(g_str_has_prefix(start, "SET_MEM_TABLE SET_VRING_NUM/0 "));
	assert_int_equal(g->backend->n_regions, 3);
	assert_true(g->backend->region[1].guest_addr == desc_of(2));
	assert_true(fake_ring(g->backend, 2).addr.used == 0x1000000 + device_of(2));
	/* What runs is asked for once, and told once. */
	asked = h->asked;
	wr(g, 0x100, 1, 1);
	assert_int_equal(h->asked, asked);

	wr32(g, VIRTIO_MMIO_QUEUE_SEL, 0);
	wr32(g, VIRTIO_MMIO_QUEUE_RESET, 1);
	stop = fake_trace(g->backend);
	assert_non_null(strstr(stop, "GET_VRING_BASE/0 SET_MEM_TABLE "));
	assert_int_equal(g->backend->n_regions, 2);
	assert_true(g->backend->region[0].guest_addr == desc_of(2));
	guest_queue(g, 0, 8);
	again = fake_trace(g->backend);
	assert_true(g_str_has_prefix(again, "SET_MEM_TABLE SET_VRING_NUM/0 "));
	assert_int_equal(g->backend->n_regions, 3);
	/* A reset is complete when the back-end has let go of all rings. */
	wr32(g, VIRTIO_MMIO_STATUS, 0);
	reset = fake_trace(g->backend);
	assert_int_equal(count(reset, "SET_MEM_TABLE "), 1);
	assert_int_equal(g->backend->n_regions, 1);
	guest_driver_ok(g);
	assert_int_equal(g->backend->n_regions, 3);
}

/* Where the table is the same all the time it is told once. */
static void test_same_memory(void **state)
{
	struct guest *g = *state;

	guest_start(g);
	guest_driver_ok(g);
	guest_driver_ok(g);
	assert_int_equal(g->backend->tables, 1);
	vmm_dev_memory_changed(g->d);
	assert_int_equal(g->backend->tables, 2);
}

static void test_invalidate(void **state)
{
	struct guest *g = *state;
	struct token t[50] = { 0 };
	unsigned tables;

	fake_down(g->backend);
	guest_new_dev(g);
	assert_int_equal(vmm_dev_invalidate(g->d, &t[0]), VIRTIO_MMIO_DONE);
	fake_up(g->backend);
	assert_true(vmm_dev_wait(g->d, 30000, NULL));
	/* The back-end has nothing to let go of. */
	assert_int_equal(vmm_dev_invalidate(g->d, &t[0]), VIRTIO_MMIO_LATER);
	guest_wait(g, &t[0]);
	assert_int_equal(g->backend->tables, 0);
	guest_driver_ok(g);
	tables = g->backend->tables;
	t[0].times = 0;
	assert_int_equal(vmm_dev_invalidate(g->d, &t[0]), VIRTIO_MMIO_LATER);
	guest_wait(g, &t[0]);
	assert_int_equal(g->backend->tables, tables + 1);
	/* Many at a time: the first is on its way, one more answers all others. */
	t[0].times = 0;
	pthread_mutex_lock(&g->backend->lock);
	for (unsigned i = 0; i < G_N_ELEMENTS(t); i++)
		assert_int_equal(vmm_dev_invalidate(g->d, &t[i]), VIRTIO_MMIO_LATER);
	pthread_mutex_unlock(&g->backend->lock);
	for (unsigned i = 0; i < G_N_ELEMENTS(t); i++)
		guest_wait(g, &t[i]);
	assert_in_range(g->backend->tables, tables + 2, tables + 3);
	/* Rings run on. */
	assert_true(fake_ring(g->backend, 0).enabled && fake_ring(g->backend, 2).enabled);
	/* No access waits for a back-end that is lost or away. */
	g_clear_pointer(&g->d, vmm_dev_free);
	guest_start(g);
	guest_driver_ok(g);
	fake_quirk(g->backend, VU_SET_MEM_TABLE, FAKE_SILENT);
	t[0].times = 0;
	assert_int_equal(vmm_dev_invalidate(g->d, &t[0]), VIRTIO_MMIO_LATER);
	fake_down(g->backend);
	guest_wait(g, &t[0]);
	assert_int_equal(vmm_dev_invalidate(g->d, &t[0]), VIRTIO_MMIO_DONE);
}

static void test_platform(void **state)
{
	struct guest *g = *state;
	uint64_t platform = VU_BIT(VIRTIO_F_ACCESS_PLATFORM);

	guest_start(g);
	wr32(g, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	assert_false(rd32(g, VIRTIO_MMIO_DEVICE_FEATURES) & 2);
	g_clear_pointer(&g->d, vmm_dev_free);
	g->config.access_platform = true;
	guest_start(g);
	assert_false(vmm_dev_properties(g->d)->probe.features & platform);
	wr32(g, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	assert_int_equal(rd32(g, VIRTIO_MMIO_DEVICE_FEATURES) & 2, 2);
	/* A driver that does not know of it would give addresses that mean nothing. */
	guest_features(g, VU_BIT(VIRTIO_F_VERSION_1));
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), 3);
	guest_features(g, VU_BIT(VIRTIO_F_VERSION_1) | platform | 4);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_FEATURES);
	assert_true(g->backend->driver_features ==
		(VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES) | 4));
	guest_queue(g, 0, 16);
	wr32(g, VIRTIO_MMIO_STATUS, S_ALL);
	/* It is no feature that a back-end could lack when it comes back. */
	fake_down(g->backend);
	fake_up(g->backend);
	WAIT_UNTIL_LOCKED(&g->backend->lock, g->backend->status == 0xf);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL);
}

static void test_withheld(void **state)
{
	struct guest *g = *state;
	uint64_t indirect = VU_BIT(28) /* VIRTIO_RING_F_INDIRECT_DESC */, features;

	g->backend->features |= indirect;
	guest_start(g);
	features = vmm_dev_properties(g->d)->probe.features;
	assert_true(features & indirect);
	g_clear_pointer(&g->d, vmm_dev_free);
	g->config.withheld = indirect;
	guest_start(g);
	wr32(g, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	assert_int_equal(rd32(g, VIRTIO_MMIO_DEVICE_FEATURES), (uint32_t)(features & ~indirect));
}

static void test_counters(void **state)
{
	struct guest *g = *state;
	struct vmm_dev_counters counters;

	g->config.window = 0x200;
	guest_start(g);
	guest_driver_ok(g);
	assert_int_equal(rd(g, 0x10f, 1), 0x1f);
	assert_int_equal(rd(g, 0x1fc, 4), 0);
	for (unsigned i = 0; i < 3; i++)
		rd32(g, VIRTIO_MMIO_INTERRUPT_STATUS);
	for (unsigned i = 0; i < 2; i++)
		wr32(g, VIRTIO_MMIO_INTERRUPT_ACK, 1);
	wr32(g, VIRTIO_MMIO_INTERRUPT_STATUS, 1);
	rd32(g, VIRTIO_MMIO_INTERRUPT_ACK);
	vmm_dev_counters(g->d, &counters);
	assert_int_equal(counters.status_reads, 3);
	assert_int_equal(counters.acks, 2);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_dial),
		TEST(test_dial_properties),
		TEST(test_eventfd),
		TEST(test_peer_blocks_kick),
		TEST(test_memory),
		TEST(test_same_memory),
		TEST(test_invalidate),
		TEST(test_platform),
		TEST(test_withheld),
		TEST(test_counters),
	};

	return cmocka_run_group_tests_name("vmm_ops", tests, NULL, NULL);
}
