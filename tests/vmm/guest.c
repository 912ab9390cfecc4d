/* SPDX-License-Identifier: Apache-2.0 */
/* See guest.h. */
#include "guest.h"

#include <unistd.h>
#include <sys/mman.h>

#include "base/util.h"

static unsigned on_memory(void *opaque, struct vmm_dev *d, const struct virtio_mmio_queue *ready,
	unsigned n_ready, bool packed, const struct mem_region_desc **desc, const int **fds)
{
	struct guest *g = opaque;

	*desc = &g->desc;
	*fds = &g->memfd;
	return g->n_regions;
}

static bool on_map(void *opaque, struct vmm_dev *d, uint64_t base, uint64_t size, GError **error)
{
	struct guest *g = opaque;

	assert_true(base == BASE && size == vmm_dev_window(d));
	g->mapped = true;
	return true;
}

static void on_unmap(void *opaque, struct vmm_dev *d, uint64_t base, uint64_t size)
{
	struct guest *g = opaque;

	assert_true(g->mapped && base == BASE);
	g->mapped = false;
}

static void on_interrupt(void *opaque, struct vmm_dev *d, bool level)
{
	struct guest *g = opaque;

	pthread_mutex_lock(&g->lock);
	g->rises += level;
	g->falls += !level;
	pthread_mutex_unlock(&g->lock);
}

static bool on_irqfd(void *opaque, struct vmm_dev *d, unsigned queue, int fd, bool assign)
{
	struct guest *g = opaque;
	bool kernel;

	pthread_mutex_lock(&g->lock);
	kernel = g->kernel;
	if (kernel && assign)
		g->irqfd[g->n_irqfd++] = fd;
	else if (kernel)
		g->n_irqfd--;
	pthread_mutex_unlock(&g->lock);
	return kernel;
}

static bool on_ioeventfd(
	void *opaque, struct vmm_dev *d, uint64_t addr, uint32_t queue, int fd, bool assign)
{
	struct guest *g = opaque;
	bool kernel;

	assert_true(addr == BASE + VIRTIO_MMIO_QUEUE_NOTIFY);
	pthread_mutex_lock(&g->lock);
	kernel = g->kernel;
	if (kernel) {
		assert_int_equal(g->ioeventfd[queue], assign ? -1 : fd);
		g->ioeventfd[queue] = assign ? fd : -1;
	}
	pthread_mutex_unlock(&g->lock);
	return kernel;
}

static void on_done(void *opaque, void *token, uint64_t value)
{
	struct guest *g = opaque;
	struct token *t = token;

	pthread_mutex_lock(&g->lock);
	t->times++;
	t->value = value;
	pthread_cond_broadcast(&g->cond);
	pthread_mutex_unlock(&g->lock);
}

static const struct vmm_ops guest_ops = {
	.memory = on_memory,
	.map_range = on_map,
	.unmap_range = on_unmap,
	.interrupt = on_interrupt,
	.irqfd = on_irqfd,
	.ioeventfd = on_ioeventfd,
	.access_done = on_done,
};

int guest_setup(void **state)
{
	struct guest *g = g_new0(struct guest, 1);

	test_begin(&g->test);
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->cond, NULL);
	g->path = test_path(&g->test, "socket");
	g->memfd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(g->memfd, MEMORY_SIZE), 0);
	g->memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, g->memfd, 0);
	assert_ptr_not_equal(g->memory, MAP_FAILED);
	g->desc = (struct mem_region_desc){
		.guest_addr = MEMORY, .size = MEMORY_SIZE, .user_addr = USER
	};
	g->n_regions = 1;
	for (unsigned i = 0; i < FAKE_QUEUES; i++)
		g->irqfd[i] = g->ioeventfd[i] = -1;
	g->config = (struct vmm_dev_config){
		.name = "dev0",
		.socket_path = g->path,
		.fd = -1,
		.front = { .config_size = -1, .deadline_ms = WAIT_MS },
		.base = BASE,
		.retry_ms = 5,
	};
	g->ops = guest_ops;
	g->backend = fake_new(g->path);
	fake_up(g->backend);
	*state = g;
	return 0;
}

int guest_teardown(void **state)
{
	struct guest *g = *state;

	vmm_dev_free(g->d);
	assert_false(g->mapped);
	assert_int_equal(g->n_irqfd, 0);
	for (unsigned i = 0; i < FAKE_QUEUES; i++)
		assert_int_equal(g->ioeventfd[i], -1);
	fake_free(g->backend);
	munmap(g->memory, MEMORY_SIZE);
	close(g->memfd);
	test_end(&g->test);
	pthread_mutex_destroy(&g->lock);
	pthread_cond_destroy(&g->cond);
	g_free(g);
	return 0;
}

void guest_new_dev(struct guest *g)
{
	g->d = vmm_dev_new(&g->config, &g->ops, g, NULL);
	assert_non_null(g->d);
	assert_true(g->mapped);
}

void guest_start(struct guest *g)
{
	g_autoptr(GError) error = NULL;

	guest_new_dev(g);
	if (!vmm_dev_wait(g->d, WAIT_MS, &error))
		fail_msg("%s", error->message);
}

enum virtio_mmio_result guest_access(
	struct guest *g, struct token *t, uint64_t off, unsigned size, bool write, uint64_t value)
{
	enum virtio_mmio_result result;

	*t = (struct token){ 0 };
	result = vmm_dev_access(g->d, off, size, write, &value, t);
	if (result == VIRTIO_MMIO_DONE) {
		t->value = value;
		t->times = 1;
	}
	return result;
}

uint64_t guest_wait(struct guest *g, struct token *t)
{
	int64_t end = g_get_monotonic_time() / G_USEC_PER_SEC + WAIT_MS / 1000;
	struct timespec until = { .tv_sec = end };
	unsigned times;

	pthread_mutex_lock(&g->lock);
	while (!t->times && !pthread_cond_clockwait(&g->cond, &g->lock, CLOCK_MONOTONIC, &until))
		;
	times = t->times;
	pthread_mutex_unlock(&g->lock);
	assert_int_equal(times, 1);
	return t->value;
}

uint64_t rd(struct guest *g, uint64_t off, unsigned size)
{
	struct token t;

	guest_access(g, &t, off, size, false, 0);
	return guest_wait(g, &t);
}

void wr(struct guest *g, uint64_t off, unsigned size, uint64_t value)
{
	struct token t;

	guest_access(g, &t, off, size, true, value);
	guest_wait(g, &t);
}

uint32_t rd32(struct guest *g, uint64_t off)
{
	return (uint32_t)rd(g, off, 4);
}

void wr32(struct guest *g, uint64_t off, uint32_t value)
{
	wr(g, off, 4, value);
}

uint64_t desc_of(unsigned queue)
{
	return MEMORY + 0x10000 * (queue + 1);
}

uint64_t driver_of(unsigned queue)
{
	return desc_of(queue) + 0x4000;
}

uint64_t device_of(unsigned queue)
{
	return desc_of(queue) + 0x8000;
}

void guest_queue(struct guest *g, unsigned queue, uint32_t size)
{
	wr32(g, VIRTIO_MMIO_QUEUE_SEL, queue);
	assert_int_equal(rd32(g, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(rd32(g, VIRTIO_MMIO_QUEUE_NUM_MAX), 256);
	wr32(g, VIRTIO_MMIO_QUEUE_NUM, size);
	wr32(g, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)desc_of(queue));
	wr32(g, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)driver_of(queue));
	wr32(g, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)device_of(queue));
	wr32(g, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(rd32(g, VIRTIO_MMIO_QUEUE_READY), 1);
}

void guest_features(struct guest *g, uint64_t features)
{
	wr32(g, VIRTIO_MMIO_STATUS, 0);
	wr32(g, VIRTIO_MMIO_STATUS, 1);
	wr32(g, VIRTIO_MMIO_STATUS, 3);
	wr32(g, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	wr32(g, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	wr32(g, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	wr32(g, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	wr32(g, VIRTIO_MMIO_STATUS, S_FEATURES);
}

void guest_driver_ok(struct guest *g)
{
	guest_features(g, VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_F_RING_RESET) | 4);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_FEATURES);
	guest_queue(g, 0, 16);
	guest_queue(g, 2, 64);
	wr32(g, VIRTIO_MMIO_STATUS, S_ALL);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL);
	g_free(fake_trace(g->backend));
}
