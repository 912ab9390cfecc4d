/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vring from the front-end's first word about it to its last: it runs once it has a size,
 * addresses, a kick, memory, features and is enabled, in whatever order these came (vhost-user.rst,
 * "Ring states"). A ring that breaks stays as it is, dead, until the front-end takes it back.
 */
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "base/util.h"
#include "daemon/worker/pool.h"

void ring_signal(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	uint64_t one = 1;

	/* A counter so full that write() would block is as good as signalled. */
	if (fd < 0 || poll(&pfd, 1, 0) <= 0 || !(pfd.revents & POLLOUT))
		return;
	if (write(fd, &one, sizeof(one)) < 0)
		log_debug(NULL, "cannot signal an eventfd: %s", g_strerror(errno));
}

bool ring_is_eventfd(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == 0;
}

/*
 * The ring's worker may be about to write to the fd: so its number stays, and what it stands for is
 * exchanged.
 */
static void exchange_call(struct ring *r, int fd)
{
	autofd next = fd;

	if (next < 0)
		next = eventfd(0, EFD_CLOEXEC); /* that nobody listens to */
	if (next < 0 || dup3(next, r->call, O_CLOEXEC) < 0)
		log_warning(vq_name(r->vq), "the call fd stays: %s", g_strerror(errno));
}

void ring_set_call(struct ring *r, int fd)
{
	bool may_block = fd >= 0 && !ring_is_eventfd(fd);
	uint64_t published;
	autofd old = -1;

	if (may_block)
		__atomic_store_n(&r->call_may_block, true, __ATOMIC_RELAXED);
	if (r->state != RING_STOPPED && r->call >= 0) {
		exchange_call(r, fd);
	} else {
		old = r->call;
		__atomic_store_n(&r->call, fd, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&r->call_may_block, may_block, __ATOMIC_RELAXED);
	/*
	 * The front-end may have let go of the old fd before it saw a call, and nobody knows which
	 * of the two the last one went to: once more. If the worker still looked at the old one,
	 * that it had published is seen here: this pairs with its barrier between the two. A start
	 * that was not fresh calls for what was published before it.
	 */
	shm_full_barrier();
	published = __atomic_load_n(&vq_stats(r->vq)->published, __ATOMIC_RELAXED);
	if (r->state == RING_RUNNING && (published != r->published_at_start || !vq_is_fresh(r->vq)))
		owner_call(r);
}

void ring_broke(struct ring *r)
{
	r->dead = true;
	ring_signal(r->err);
	r->backend->needs_reset = true;
	config_change(r->backend);
}

static const struct vq_hooks hooks = { .call = worker_on_call, .broken = worker_on_broken };

void rings_new(struct backend *b)
{
	b->rings = g_aligned_alloc0(b->device.num_queues, sizeof(struct ring), CACHE_LINE);
	for (unsigned i = 0; i < b->device.num_queues; i++) {
		b->rings[i] = (struct ring){
			.backend = b,
			.index = i,
			.kick = -1,
			.call = -1,
			.err = -1,
		};
		b->rings[i].vq = vq_new(i, b->mem, &hooks, &b->rings[i]);
	}
}

void rings_free(struct backend *b)
{
	for (unsigned i = 0; i < b->device.num_queues; i++) {
		ring_forget(&b->rings[i]);
		vq_free(b->rings[i].vq);
	}
	g_clear_pointer(&b->rings, g_aligned_free);
}

bool rings_any(const struct backend *b, enum ring_state state)
{
	for (unsigned i = 0; i < b->device.num_queues; i++) {
		if (b->rings[i].state == state)
			return true;
	}
	return false;
}

/* SET_VRING_BASE of a driver that has not used the ring yet: virtio 1.2 §2.8.1 for packed. */
static uint32_t initial_base(const struct backend *b)
{
	return b->features & VU_BIT(VIRTIO_F_RING_PACKED) ? 0x80008000 : 0;
}

/*
 * Not every front-end says that the driver starts afresh: QEMU sends SET_STATUS 0 for a mere
 * pause, and RESET_DEVICE for some devices only. So: the first ring to run after all were stopped
 * is at its very beginning, as are all others set up so far, and one of them had moved on before.
 */
static bool driver_starts_afresh(const struct ring *first)
{
	const struct backend *b = first->backend;
	bool moved = false;

	if (!vq_is_fresh(first->vq) || rings_any(b, RING_RUNNING) || rings_any(b, RING_DRAINING))
		return false;
	for (unsigned i = 0; i < b->device.num_queues; i++) {
		const struct ring *r = &b->rings[i];

		if (!r->has_kick)
			continue;
		if (r->base != initial_base(b))
			return false;
		moved |= r->moved;
	}
	return moved;
}

static bool is_complete(const struct ring *r)
{
	const struct backend *b = r->backend;

	return r->size && r->has_addr && r->has_kick && r->enabled && b->has_features &&
		guest_mem_regions(b->mem);
}

bool ring_start(struct ring *r, GError **error)
{
	struct backend *b = r->backend;
	struct vq_setup setup = {
		.size = r->size,
		.features = b->features,
		.desc = r->addr.desc,
		.avail = r->addr.avail,
		.used = r->addr.used,
		.base = r->base,
		.rerun = true,
	};

	if (r->state != RING_STOPPED || r->dead || !is_complete(r))
		return true;
	inflight_find(r, &setup);
	if (!vq_start(r->vq, &setup, error))
		return false;
	/* Of rings that run the features are the same, and their workers read this. */
	if (!rings_any(b, RING_RUNNING) && !rings_any(b, RING_DRAINING))
		b->device.driver_features = b->features & ~VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	if (driver_starts_afresh(r)) {
		log_debug(NULL, "the driver starts afresh: the device is reset");
		backend_reset_device(b);
	}
	r->state = RING_RUNNING;
	r->published_at_start = vq_stats(r->vq)->published;
	log_debug(vq_name(r->vq), "runs: %u descriptors, from index %u", r->size, r->base);
	owner_start(r);
	config_change_flush(b);
	return true;
}

void ring_drain(struct ring *r)
{
	if (r->state != RING_RUNNING)
		return;
	r->state = RING_DRAINING;
	owner_drain(r);
}

void ring_drained(struct ring *r)
{
	r->base = vq_stop(r->vq);
	r->moved = r->base != initial_base(r->backend);
	r->state = RING_STOPPED;
	log_debug(vq_name(r->vq), "stopped at index %u", r->base);
	backend_ring_stopped(r->backend);
}

void ring_take_back(struct ring *r)
{
	fd_close(&r->kick);
	r->has_kick = false;
	r->dead = false;
}

void ring_forget(struct ring *r)
{
	ring_take_back(r);
	fd_close(&r->call);
	fd_close(&r->err);
	r->size = 0;
	r->base = 0;
	r->has_addr = false;
	r->enabled = false;
}
