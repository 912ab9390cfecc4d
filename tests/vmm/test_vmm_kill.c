/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process of a guest's device is killed a hundred times, at any instruction, while the driver
 * works: no request is lost or served twice, no interrupt is missed, no register forgotten, and the
 * back-end sees one connection.
 */
#include "worker.h"

#include <linux/virtio_ring.h>

#define ROUNDS 100
/* So many may die in a row before one must get to answer something. */
#define IN_A_ROW 6
#define DATA 0x60000

/* The back-end's side; under its lock. */
struct killed_device {
	uint8_t *memory;
	uint64_t served[FAKE_QUEUES]; /* the last request of each ring: they are numbered */
	unsigned wrong;
};

struct driver_queue {
	uint32_t size;
	uint16_t avail;
	uint64_t last; /* request */
};

struct ring_driver {
	struct worker *w;
	struct killed_device device;
	struct driver_queue queue[3];
	uint8_t config[FAKE_CONFIG];
	unsigned requests;

	unsigned kills, in_a_row, answers;
	int64_t next_kill; /* monotonic µs; 0: not yet known */
};

static struct ring_driver *driver;

static void *at(const struct killed_device *d, uint64_t addr)
{
	return d->memory + (addr - USER);
}

static void serve_ring(struct fake_backend *p, struct fake_ring *r)
{
	struct killed_device *d = p->opaque;
	struct vring_desc *desc = at(d, r->addr.desc);
	struct vring_avail *avail = at(d, r->addr.avail);
	struct vring_used *used = at(d, r->addr.used);
	unsigned ring = r - p->ring;
	bool any = false;

	while ((uint16_t)r->base != __atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE)) {
		uint16_t head = avail->ring[r->base % r->num] % r->num;
		uint64_t number;

		memcpy(&number, d->memory + desc[head].addr - MEMORY, sizeof(number));
		d->wrong += number != d->served[ring] + 1;
		d->served[ring] = number;
		used->ring[used->idx % r->num] = (struct vring_used_elem){ .id = head, .len = 8 };
		__atomic_store_n(&used->idx, used->idx + 1, __ATOMIC_RELEASE);
		r->base = (uint16_t)(r->base + 1);
		any = true;
	}
	if (any)
		eventfd_write(r->call, 1);
}

static void schedule(struct ring_driver *d)
{
	d->next_kill =
		g_get_monotonic_time() + g_random_int_range(0, 2 << g_random_int_range(0, 13));
}

static int killer(struct worker *w)
{
	struct ring_driver *d = driver;
	int64_t left;

	if (d->answers != w->answers) {
		d->answers = w->answers;
		d->in_a_row = 0;
	}
	if (d->kills == ROUNDS || d->in_a_row == IN_A_ROW)
		return -1;
	if (!d->next_kill)
		schedule(d);
	left = d->next_kill - g_get_monotonic_time();
	if (left > 1000)
		return left / 1000;
	if (left > 0)
		test_pause(left);
	worker_kill(w);
	d->kills++;
	d->in_a_row++;
	d->next_kill = 0;
	worker_start(w);
	return 0;
}

static void *host(struct ring_driver *d, uint64_t addr)
{
	return d->device.memory + (addr - MEMORY);
}

/* Clears the rings: the back-end is through with what was there. */
static void clear_rings(struct ring_driver *d, unsigned queue)
{
	struct fake_backend *p = d->w->g->backend;

	pthread_mutex_lock(&p->lock);
	memset(host(d, desc_of(queue)), 0, 0x10000);
	pthread_mutex_unlock(&p->lock);
}

static void set_up(struct ring_driver *d, unsigned queue, uint32_t size)
{
	struct driver_queue *q = &d->queue[queue];

	clear_rings(d, queue);
	*q = (struct driver_queue){ .size = size, .last = q->last };
	worker_queue(d->w, queue, size);
}

static void start_driver(struct ring_driver *d)
{
	worker_wr(d->w, VIRTIO_MMIO_STATUS, 4, 0);
	clear_rings(d, 0);
	clear_rings(d, 2);
	d->queue[0] = (struct driver_queue){ .size = 16, .last = d->queue[0].last };
	d->queue[2] = (struct driver_queue){ .size = 64, .last = d->queue[2].last };
	worker_driver_ok(d->w, FEATURES);
}

static void restart_queue(struct ring_driver *d, unsigned queue)
{
	bool ready = g_random_int_range(0, 2);

	worker_wr(d->w, VIRTIO_MMIO_QUEUE_SEL, 4, queue);
	worker_wr(d->w, ready ? VIRTIO_MMIO_QUEUE_READY : VIRTIO_MMIO_QUEUE_RESET, 4, !ready);
	assert_int_equal(worker_rd(d->w, VIRTIO_MMIO_QUEUE_READY, 4), 0);
	set_up(d, queue, 8 << g_random_int_range(0, 4));
}

static void add(struct ring_driver *d, unsigned queue)
{
	struct driver_queue *q = &d->queue[queue];
	struct vring_desc *desc = host(d, desc_of(queue));
	struct vring_avail *avail = host(d, driver_of(queue));
	uint16_t head = q->avail % q->size;
	uint64_t addr = MEMORY + DATA + 0x1000 * queue + 8 * head;

	q->last++;
	memcpy(host(d, addr), &q->last, sizeof(q->last));
	desc[head] = (struct vring_desc){ .addr = addr, .len = 8 };
	avail->ring[head] = head;
	__atomic_store_n(&avail->idx, ++q->avail, __ATOMIC_RELEASE);
	d->requests++;
}

/* Interrupts as a driver's interrupt handler does. */
static void interrupt(struct ring_driver *d, unsigned queue)
{
	struct worker *w = d->w;
	uint32_t why;

	worker_wait_fd(w, w->shared->kernel ? w->call[queue] : w->irq);
	why = worker_rd(w, VIRTIO_MMIO_INTERRUPT_STATUS, 4);
	if (w->shared->kernel)
		assert_true(why & VIRTIO_MMIO_INT_VRING);
	if (why)
		worker_wr(w, VIRTIO_MMIO_INTERRUPT_ACK, 4, why);
}

static void request(struct ring_driver *d, unsigned queue)
{
	struct driver_queue *q = &d->queue[queue];
	struct vring_used *used = host(d, device_of(queue));
	unsigned other = g_random_int_range(0, FAKE_CONFIG);

	/* The other vCPU meanwhile. */
	worker_begin(d->w, 1, 0x100 + other, 1, false, 0);
	for (int n = g_random_int_range(1, 5); n > 0; n--)
		add(d, queue);
	if (d->w->shared->kernel)
		eventfd_write(d->w->kick[queue], 1);
	else
		worker_wr(d->w, VIRTIO_MMIO_QUEUE_NOTIFY, 4, queue);
	while (__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) != q->avail)
		interrupt(d, queue);
	assert_int_equal(worker_wait(d->w, 1), d->config[other]);
}

static void configure(struct ring_driver *d)
{
	unsigned i = g_random_int_range(0, FAKE_CONFIG);

	/* The back-end makes byte 1 of byte 0. */
	i += i == 1;
	d->config[i] = g_random_int_range(0, 0x80);
	d->config[1] = 2 * d->config[0];
	worker_wr(d->w, 0x100 + i, 1, d->config[i]);
	assert_int_equal(worker_rd(d->w, 0x100 + i, 1), d->config[i]);
	assert_int_equal(worker_rd(d->w, 0x101, 1), d->config[1]);
}

static void work(struct ring_driver *d)
{
	unsigned what = g_random_int_range(0, 32);

	if (what == 0)
		start_driver(d);
	else if (what < 4)
		restart_queue(d, what & 2);
	else if (what < 10)
		configure(d);
	else
		request(d, what & 2);
	assert_int_equal(worker_rd(d->w, VIRTIO_MMIO_STATUS, 4), S_ALL);
}

static void check(struct ring_driver *d)
{
	struct fake_backend *p = d->w->g->backend;

	pthread_mutex_lock(&p->lock);
	assert_int_equal(d->device.wrong, 0);
	assert_true(d->device.served[0] == d->queue[0].last);
	assert_true(d->device.served[2] == d->queue[2].last);
	assert_int_equal(p->connections, 1);
	assert_int_equal(p->status, S_ALL);
	assert_memory_equal(p->config, d->config, FAKE_CONFIG);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < 3; i += 2) {
		worker_wr(d->w, VIRTIO_MMIO_QUEUE_SEL, 4, i);
		assert_int_equal(worker_rd(d->w, VIRTIO_MMIO_QUEUE_READY, 4), 1);
		assert_int_equal(fake_ring(p, i).num, d->queue[i].size);
	}
}

static void kill_often(struct worker *w, bool kernel)
{
	struct ring_driver d = { .w = w, .device.memory = w->g->memory };
	struct fake_backend *p = w->g->backend;

	w->shared->kernel = kernel;
	p->device = serve_ring;
	p->opaque = &d.device;
	p->protocol |= VU_BIT(VU_F_INFLIGHT_SHMFD);
	memcpy(d.config, p->config, FAKE_CONFIG);
	driver = &d;
	worker_start(w);
	start_driver(&d);
	configure(&d);
	worker_pump = killer;
	while (d.kills < ROUNDS)
		work(&d);
	for (unsigned i = 0; i < 20; i++)
		work(&d);
	worker_pump = NULL;
	check(&d);
	assert_true(worker_count(w, &w->kept) > 0);
	print_message("%u requests, %u took over\n", d.requests, worker_count(w, &w->kept));
	worker_kill(w);
	fake_down(p);
}

static void test_user_space(void **state)
{
	kill_often(*state, false);
}

static void test_kernel(void **state)
{
	kill_often(*state, true);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		TEST_WITH(worker, test_user_space),
		TEST_WITH(worker, test_kernel),
	};

	worker_main(argc, argv);
	return cmocka_run_group_tests_name("vmm_kill", tests, NULL, NULL);
}
