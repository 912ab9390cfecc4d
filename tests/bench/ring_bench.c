/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rings alone cost a back-end: a device that answers every request with a byte, on one
 * thread with its driver, whose share is not counted.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "driver/driver_ring.h"
#include "ring/vq_engine.h"

#define RING 256
#define REQUESTS 2000000

struct bench {
	struct driver_mem *mem;
	struct driver_ring *ring;
	struct vq *q;
	uint64_t data;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

static void must(bool ok, GError *error)
{
	if (ok)
		return;
	fprintf(stderr, "ring_bench: %s\n", error ? error->message : "failed");
	exit(1);
}

static void on_call(void *opaque)
{
}

static void on_broken(void *opaque, const char *reason)
{
	must(false, NULL);
}

/* As a block read: header and status around the data. */
static void add(struct bench *b, unsigned n)
{
	const struct driver_buf buf[] = { { b->data, 16 }, { b->data + 4096, 4096 },
		{ b->data + 16, 1 } };

	while (n--)
		must(driver_ring_add(b->ring, buf, 1, 2, b) == 0, NULL);
	driver_ring_publish(b->ring);
}

static void reap(struct bench *b)
{
	uint32_t len;
	void *token;

	while (driver_ring_reap(b->ring, &token, &len) == 1)
		;
}

static void serve(struct vq *q)
{
	do {
		vq_burst_begin(q);
		for (;;) {
			g_autoptr(vq_chain) c = vq_pop(q);

			if (!c)
				break;
			iov_push(&c->in, "x", 1);
		}
	} while (vq_burst_end(q) == VQ_MORE);
}

static void run(struct bench *b, const char *name, uint64_t features, unsigned depth)
{
	static const struct vq_hooks hooks = { .call = on_call, .broken = on_broken };
	g_autoptr(guest_mem) mem = guest_mem_new();
	struct vq_setup setup = { .size = RING, .features = features };
	struct mem_region_desc desc;
	GError *error = NULL;
	uint64_t spent = 0;
	int fd;

	must((b->mem = driver_mem_new(1 << 20, &error)) != NULL, error);
	must((b->ring = driver_ring_new(b->mem, RING, features, &error)) != NULL, error);
	b->data = driver_mem_alloc(b->mem, 8192, 4096);
	driver_mem_describe(b->mem, &desc, &fd);
	must(guest_mem_set(mem, &desc, &fd, 1, &error), error);
	b->q = vq_new(0, mem, &hooks, b);
	driver_ring_addresses(b->ring, &setup.desc, &setup.avail, &setup.used);
	must(vq_start(b->q, &setup, &error), error);

	for (unsigned n = 0; n < REQUESTS; n += depth) {
		uint64_t start;

		add(b, depth);
		start = now_ns();
		serve(b->q);
		spent += now_ns() - start;
		reap(b);
	}
	printf("%-22s depth %3u: %6.1f ns per request, %5.2f M/s\n", name, depth,
		(double)spent / REQUESTS, REQUESTS * 1e3 / spent);
	vq_stop(b->q);
	vq_free(b->q);
	driver_ring_free(b->ring);
	driver_mem_free(b->mem);
}

int main(void)
{
	const uint64_t event_idx = UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX;
	const uint64_t indirect = UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC;
	static const unsigned depths[] = { 1, 32 };
	struct bench b = { 0 };

	for (unsigned i = 0; i < G_N_ELEMENTS(depths); i++) {
		run(&b, "no features", 0, depths[i]);
		run(&b, "EVENT_IDX", event_idx, depths[i]);
		run(&b, "EVENT_IDX, INDIRECT", event_idx | indirect, depths[i]);
	}
	return 0;
}
