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
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "driver/driver_ring.h"
#include "vhost-user/front/vu_front.h"

#define RING 1024
#define BUFFER 2048
#define HEADER sizeof(struct virtio_net_hdr_v1)
#define SECOND UINT64_C(1000000000)
#define WARM_UP_NS (SECOND / 5)
#define FEATURES                                                        \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX | \
		1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_NET_F_MRG_RXBUF)

struct frames {
	bool rx;
	uint32_t size;
	uint64_t rate, burst;
	struct vu_front *f;
	struct driver_mem *mem;
	struct driver_ring *ring[2];
	int kick[2], call[2];
	uint64_t buffers; /* guest address */
	uint32_t free[RING], n_free; /* buffers that the back-end has not */
	uint64_t done, kicks;
};

static void must(bool ok, const GError *error)
{
	if (ok)
		return;
	fprintf(stderr, "net_load: %s\n", error ? error->message : "failed");
	exit(1);
}

static double cpu_of(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	must(clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &t) == 0, NULL);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Returns the process that listened at the socket. */
static pid_t backend_of(const struct vu_front *f)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	must(getsockopt(vu_front_fd(f), SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0, NULL);
	return peer.pid;
}

static void start_ring(struct frames *l, unsigned i, uint64_t features)
{
	g_autoptr(GError) error = NULL;
	struct vu_ring_setup setup = { .size = RING, .err = -1 };

	l->ring[i] = driver_ring_new(l->mem, RING, features, &error);
	must(l->ring[i], error);
	driver_ring_disarm(l->ring[i]);
	setup.kick = l->kick[i] = eventfd(0, EFD_CLOEXEC);
	setup.call = l->call[i] = eventfd(0, EFD_CLOEXEC);
	setup.base = driver_ring_initial_base(l->ring[i]);
	driver_ring_addresses(l->ring[i], &setup.desc, &setup.avail, &setup.used);
	must(vu_front_setup_ring(l->f, i, &setup, &error) &&
			vu_front_enable_ring(l->f, i, true, &error),
		error);
}

/* Fills the buffers with frames of an EtherType for experiments. */
static void make_frames(struct frames *l)
{
	static const uint8_t head[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88,
		0xb5 };

	l->buffers = driver_mem_alloc(l->mem, (uint64_t)RING * BUFFER, BUFFER);
	must(l->buffers, NULL);
	for (uint32_t i = 0; i < RING; i++) {
		uint64_t at = l->buffers + (uint64_t)i * BUFFER + HEADER;

		memcpy(driver_mem_host(l->mem, at, sizeof(head)), head, sizeof(head));
		l->free[l->n_free++] = i;
	}
}

static void connect_to(struct frames *l, const char *socket)
{
	const struct vu_front_options options = { .packed = CHOICE_OFF };
	g_autoptr(GError) error = NULL;
	struct mem_region_desc desc;
	uint64_t features;
	int fd;

	l->f = vu_front_connect(socket, &options, &error);
	must(l->f, error);
	l->mem = driver_mem_new(2 * RING * BUFFER + (4u << 20), &error);
	must(l->mem, error);
	make_frames(l);
	driver_mem_describe(l->mem, &desc, &fd);
	features = vu_front_properties(l->f)->features & FEATURES;
	must(vu_front_set_features(l->f, features, &error) &&
			vu_front_set_memory(l->f, &desc, &fd, 1, &error),
		error);
	for (unsigned i = 0; i < 2; i++)
		start_ring(l, i, features);
	must(vu_front_set_status(l->f,
		     VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			     VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK,
		     &error),
		error);
}

/* Gives the back-end up to n buffers, with frames or for them. */
static void give(struct frames *l, uint64_t n)
{
	struct driver_ring *r = l->ring[!l->rx];
	uint64_t one = 1;

	if (!l->n_free || !n)
		return;
	for (; l->n_free && n; n--) {
		uint32_t i = l->free[--l->n_free];
		const struct driver_buf buf = { l->buffers + (uint64_t)i * BUFFER,
			l->rx ? BUFFER : (uint32_t)HEADER + l->size };

		must(driver_ring_add(r, &buf, !l->rx, l->rx, GUINT_TO_POINTER(i + 1)) == 0, NULL);
	}
	if (!driver_ring_publish(r))
		return;
	must(write(l->kick[!l->rx], &one, sizeof(one)) == sizeof(one), NULL);
	l->kicks++;
}

static void take(struct frames *l)
{
	uint32_t len;
	void *token;
	int n;

	while ((n = driver_ring_reap(l->ring[!l->rx], &token, &len)) == 1) {
		l->free[l->n_free++] = GPOINTER_TO_UINT(token) - 1;
		l->done++;
	}
	must(n == 0, NULL);
}

/* Goes on until a time, or for ever. */
static void run(struct frames *l, uint64_t end)
{
	uint64_t interval = l->rate ? l->burst * SECOND / l->rate : 0, now, next = clock_now_ns();

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
	pid_t pid;

	if (argc != 7) {
		fprintf(stderr, "usage: net_load SOCKET tx|rx SIZE RATE BURST SECONDS\n");
		return 2;
	}
	l.rx = g_str_equal(argv[2], "rx");
	l.size = (uint32_t)atoi(argv[3]);
	l.rate = (uint64_t)atoll(argv[4]);
	l.burst = (uint64_t)atoi(argv[5]);
	must(l.size + HEADER <= BUFFER && l.burst <= RING, NULL);
	connect_to(&l, argv[1]);
	pid = backend_of(l.f);
	run(&l, clock_now_ns() + WARM_UP_NS);
	l.done = l.kicks = 0;
	cpu = -cpu_of(pid);
	start = clock_now_ns();
	run(&l, start + (uint64_t)(atof(argv[6]) * (double)SECOND));
	cpu += cpu_of(pid);
	printf("%" PRIu64 " %.6f %.6f %" PRIu64 "\n", l.done,
		(double)(clock_now_ns() - start) / (double)SECOND, cpu, l.kicks);
	return 0;
}
