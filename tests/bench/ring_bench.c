/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rings alone cost a back-end: a device that answers every request with a byte, on one
 * thread with its driver, whose share is not counted; nor is what looking at the clock takes.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "driver/driver_ring.h"
#include "ring/vq_engine.h"
#include "virtio/inflight.h"

#define RING 256
#define REQUESTS 32000 /* in a round: the best one of them counts, as others may run here, too */
#define ROUNDS 60

struct bench {
	struct driver_mem *mem;
	struct driver_ring *ring;
	struct vq *q;
	uint64_t data;
	const char *only;
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

/* Adds a request as a block read has it: header and status around the data. */
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

/* Returns what of a time is that of looking at the clock. */
static uint64_t clock_ns(void)
{
	uint64_t best = UINT64_MAX;

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t start = now_ns(), spent;

		for (unsigned i = 0; i < 999; i++)
			now_ns();
		spent = now_ns() - start;
		best = MIN(best, spent);
	}
	return best / 1000;
}

/* Serves all, and returns how long the device's side takes. */
static uint64_t serve_all(struct bench *b, unsigned depth, uint64_t clock)
{
	uint64_t spent = 0;

	for (unsigned n = 0; n < REQUESTS; n += depth) {
		uint64_t start;

		add(b, depth);
		start = now_ns();
		serve(b->q);
		spent += now_ns() - start - clock;
		reap(b);
	}
	return spent;
}

static void run(struct bench *b, const char *name, uint64_t features, bool tracked, unsigned depth)
{
	static const struct vq_hooks hooks = { .call = on_call, .broken = on_broken };
	g_autoptr(guest_mem) mem = guest_mem_new();
	struct vq_setup setup = { .size = RING, .features = features, .any_order = true };
	struct mem_region_desc desc;
	GError *error = NULL;
	uint64_t best = UINT64_MAX, clock = clock_ns();
	g_autofree void *area = NULL;
	int fd;

	if (!strstr(name, b->only))
		return;
	must((b->mem = driver_mem_new(1 << 20, &error)) != NULL, error);
	must((b->ring = driver_ring_new(b->mem, RING, features, &error)) != NULL, error);
	b->data = driver_mem_alloc(b->mem, 8192, 4096);
	driver_mem_describe(b->mem, &desc, &fd);
	must(guest_mem_set(mem, &desc, &fd, 1, &error), error);
	b->q = vq_new(0, mem, &hooks, b);
	driver_ring_addresses(b->ring, &setup.desc, &setup.avail, &setup.used);
	setup.base = driver_ring_initial_base(b->ring);
	if (tracked) {
		setup.inflight_len = virtio_inflight_bytes(RING, true);
		setup.inflight = area = g_malloc0(setup.inflight_len);
	}
	must(vq_start(b->q, &setup, &error), error);

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t spent = serve_all(b, depth, clock);

		best = MIN(best, spent);
	}
	printf("%-28s depth %3u: %6.1f ns per request, %5.2f M/s\n", name, depth,
		(double)best / REQUESTS, REQUESTS * 1e3 / best);
	vq_stop(b->q);
	vq_free(b->q);
	driver_ring_free(b->ring);
	driver_mem_free(b->mem);
}

/* ring_bench [WORD]: only what has it in its name. */
int main(int argc, char **argv)
{
	const uint64_t event_idx = UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX;
	const uint64_t indirect = UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC;
	const uint64_t packed = UINT64_C(1) << VIRTIO_F_RING_PACKED;
	static const unsigned depths[] = { 1, 32 };
	struct bench b = { .only = argc > 1 ? argv[1] : "" };

	for (unsigned i = 0; i < G_N_ELEMENTS(depths); i++) {
		run(&b, "split, no features", 0, false, depths[i]);
		run(&b, "split", event_idx, false, depths[i]);
		run(&b, "split, indirect", event_idx | indirect, false, depths[i]);
		run(&b, "split, tracked", event_idx, true, depths[i]);
		run(&b, "packed", packed | event_idx, false, depths[i]);
		run(&b, "packed, indirect", packed | event_idx | indirect, false, depths[i]);
		run(&b, "packed, tracked", packed | event_idx, true, depths[i]);
	}
	return 0;
}
