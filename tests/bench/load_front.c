/* SPDX-License-Identifier: Apache-2.0 */
/* See load_front.h. */
#include "tests/bench/load_front.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "vhost-user/front/vu_front.h"

#define FEATURES                                                        \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX | \
		1ull << VIRTIO_RING_F_INDIRECT_DESC)

void load_must(bool ok, const GError *error)
{
	if (ok)
		return;
	fprintf(stderr, "%s: %s\n", g_get_prgname(), error ? error->message : "failed");
	exit(1);
}

double load_cpu_of(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	load_must(clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &t) == 0, NULL);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Returns the process that listened at the socket. */
static pid_t backend_of(const struct vu_front *f)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	load_must(getsockopt(vu_front_fd(f), SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0, NULL);
	return peer.pid;
}

static void start_ring(struct load_front *l, unsigned i, unsigned size, uint64_t features)
{
	g_autoptr(GError) error = NULL;
	struct vu_ring_setup setup = { .size = size, .err = -1 };

	l->ring[i] = driver_ring_new(l->mem, size, features, &error);
	load_must(l->ring[i], error);
	driver_ring_disarm(l->ring[i]);
	setup.kick = l->kick[i] = eventfd(0, EFD_CLOEXEC);
	setup.call = l->call[i] = eventfd(0, EFD_CLOEXEC);
	setup.base = driver_ring_initial_base(l->ring[i]);
	driver_ring_addresses(l->ring[i], &setup.desc, &setup.avail, &setup.used);
	load_must(vu_front_setup_ring(l->f, i, &setup, &error) &&
			vu_front_enable_ring(l->f, i, true, &error),
		error);
}

void load_front_connect(
	struct load_front *l, const char *socket, uint64_t features, unsigned size, uint64_t memory)
{
	const struct vu_front_options options = { .packed = CHOICE_OFF };
	g_autoptr(GError) error = NULL;
	struct mem_region_desc desc;
	int fd;

	l->f = vu_front_connect(socket, &options, &error);
	load_must(l->f, error);
	l->mem = driver_mem_new(memory + (4u << 20), &error);
	load_must(l->mem, error);
	driver_mem_describe(l->mem, &desc, &fd);
	features = vu_front_properties(l->f)->features & (features | FEATURES);
	load_must(vu_front_set_features(l->f, features, &error) &&
			vu_front_set_memory(l->f, &desc, &fd, 1, &error),
		error);
	for (unsigned i = 0; i < G_N_ELEMENTS(l->ring); i++)
		start_ring(l, i, size, features);
	load_must(vu_front_set_status(l->f,
			  VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
				  VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK,
			  &error),
		error);
	l->pid = backend_of(l->f);
}

void load_front_publish(struct load_front *l, unsigned ring)
{
	uint64_t one = 1;

	if (!driver_ring_publish(l->ring[ring]))
		return;
	load_must(write(l->kick[ring], &one, sizeof(one)) == sizeof(one), NULL);
	l->kicks++;
}
