/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A front-end of a network device that sends frames, at a given rate, or takes what comes:
 *
 *	net_load SOCKET tx|rx SIZE RATE BURST SECONDS
 *
 * RATE: frames in a second, BURST of them at a time; 0: as many as the back-end takes. Prints how
 * many there were, in how many seconds, the CPU seconds that the back-end took for them, and the
 * kicks.
 */
#include <inttypes.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "tests/bench/load_front.h"

#define RING 1024
#define BUFFER 2048
#define HEADER sizeof(struct virtio_net_hdr_v1)
#define WARM_UP_NS (LOAD_SECOND / 5)

struct frames {
	bool rx;
	uint32_t size;
	uint64_t rate, burst;
	struct load_front front;
	uint64_t buffers; /* guest address */
	uint32_t free[RING], n_free; /* buffers that the back-end has not */
	uint64_t done;
};

/* Fills the buffers with frames of an EtherType for experiments. */
static void make_frames(struct frames *l)
{
	static const uint8_t head[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88,
		0xb5 };

	l->buffers = driver_mem_alloc(l->front.mem, (uint64_t)RING * BUFFER, BUFFER);
	load_must(l->buffers, NULL);
	for (uint32_t i = 0; i < RING; i++) {
		uint64_t at = l->buffers + (uint64_t)i * BUFFER + HEADER;

		memcpy(driver_mem_host(l->front.mem, at, sizeof(head)), head, sizeof(head));
		l->free[l->n_free++] = i;
	}
}

/* Gives the back-end up to n buffers, with frames or for them. */
static void give(struct frames *l, uint64_t n)
{
	struct driver_ring *r = l->front.ring[!l->rx];

	if (!l->n_free || !n)
		return;
	for (; l->n_free && n; n--) {
		uint32_t i = l->free[--l->n_free];
		const struct driver_buf buf = { l->buffers + (uint64_t)i * BUFFER,
			l->rx ? BUFFER : (uint32_t)HEADER + l->size };

		load_must(driver_ring_add(r, &buf, !l->rx, l->rx, GUINT_TO_POINTER(i + 1)) == 0,
			NULL);
	}
	load_front_publish(&l->front, !l->rx);
}

static void take(struct frames *l)
{
	uint32_t len;
	void *token;
	int n;

	while ((n = driver_ring_reap(l->front.ring[!l->rx], &token, &len)) == 1) {
		l->free[l->n_free++] = GPOINTER_TO_UINT(token) - 1;
		l->done++;
	}
	load_must(n == 0, NULL);
}

/* Goes on until a time, or for ever. */
static void run(struct frames *l, uint64_t end)
{
	uint64_t interval = l->rate ? l->burst * LOAD_SECOND / l->rate : 0, now;
	uint64_t next = clock_now_ns();

	while ((now = clock_now_ns()) < end) {
		take(l);
		if (interval && now < next)
			continue;
		give(l, interval ? l->burst : 64);
		next += interval;
	}
}

int main(int argc, char **argv)
{
	struct frames l = { 0 };
	uint64_t start;
	double cpu;

	if (argc != 7) {
		fprintf(stderr, "usage: net_load SOCKET tx|rx SIZE RATE BURST SECONDS\n");
		return 2;
	}
	g_set_prgname("net_load");
	l.rx = g_str_equal(argv[2], "rx");
	l.size = (uint32_t)atoi(argv[3]);
	l.rate = (uint64_t)atoll(argv[4]);
	l.burst = (uint64_t)atoi(argv[5]);
	load_must(l.size + HEADER <= BUFFER && l.burst <= RING, NULL);
	load_front_connect(&l.front, argv[1], 1ull << VIRTIO_NET_F_MRG_RXBUF, RING,
		(uint64_t)2 * RING * BUFFER);
	make_frames(&l);
	run(&l, clock_now_ns() + WARM_UP_NS);
	l.done = l.front.kicks = 0;
	cpu = -load_cpu_of(l.front.pid);
	start = clock_now_ns();
	run(&l, start + (uint64_t)(atof(argv[6]) * (double)LOAD_SECOND));
	cpu += load_cpu_of(l.front.pid);
	printf("%" PRIu64 " %.6f %.6f %" PRIu64 "\n", l.done,
		(double)(clock_now_ns() - start) / (double)LOAD_SECOND, cpu, l.front.kicks);
	return 0;
}
