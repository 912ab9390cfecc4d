/* SPDX-License-Identifier: Apache-2.0 */
/* From a connected back-end to running queues, and back. */
#include "tools/bench/bench_session.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/eventfd.h>

#include "base/error.h"
#include "base/util.h"
#include "tools/virtioctl.h"
#include "virtio/ring_layout.h"

#define MIN_QUEUE_SIZE 128u

/* Returns the largest power of two that is not too large, or what holds n descriptors. */
static unsigned fitting_size(unsigned n)
{
	unsigned size = MIN_QUEUE_SIZE;

	while (size < n && size < VIRTIO_MAX_QUEUE_SIZE)
		size *= 2;
	return size;
}

/* Decides how requests are cut, and the size of queues that hold them. */
static bool fit_queues(struct bench_session *s, GError **error)
{
	const struct bench_options *o = s->options;
	struct blkio_layout *l = &s->layout;
	unsigned descriptors;

	if (!blk_device_fit(&s->device, o->queue_size ?: VIRTIO_MAX_QUEUE_SIZE, o->block_size,
		    &l->segment_size, &l->request_size, error))
		return false;
	if (l->request_size < o->block_size)
		return error_set(error, CTL_ERROR, CTL_ERROR_FAILED,
			"--block-size: the device takes %u bytes at most, in whole blocks of %u",
			l->request_size, s->device.block_size);
	descriptors = blkio_queue_descriptors(l);
	l->size = o->queue_size;
	if (!l->size)
		l->size = fitting_size(MAX(blkio_queue_buffers(l), o->depth * descriptors));
	if (blkio_queue_depth(l, o->depth) < o->depth)
		return error_set(error, CTL_ERROR, CTL_ERROR_FAILED,
			"--depth: %u requests of %u descriptors do not fit a queue of %u", o->depth,
			descriptors, l->size);
	return true;
}

static bool fit_region(struct bench_session *s, GError **error)
{
	const struct bench_options *o = s->options;

	if (!blk_device_check_extent(&s->device, o->offset, o->length, error))
		return false;
	s->length = o->length ?: s->device.capacity - o->offset;
	s->length -= s->length % o->block_size;
	if (s->length / o->block_size < o->queues)
		return error_set(error, CTL_ERROR, CTL_ERROR_FAILED,
			"%" PRIu64 " bytes are not a block for each queue", s->length);
	return true;
}

static bool read_device(struct bench_session *s, GError **error)
{
	const struct bench_options *o = s->options;
	uint32_t queues = vu_front_properties(s->f)->probe.max_queues;
	uint64_t *offered = &s->layout.features;

	/* --queues is how many to drive. */
	if (!blk_device_check(s->f, o->socket, NULL, error) ||
		!blk_device_read(s->f, BLK_RING_FEATURES, &s->device, error))
		return false;
	if (o->queues > queues)
		return error_set(error, CTL_ERROR, CTL_ERROR_FAILED,
			"--queues: the back-end has %u", queues);
	if (s->device.read_only && bench_writes(o))
		return error_set(error, CTL_ERROR, CTL_ERROR_FAILED, "the device is read-only");
	if (o->flush_every && !s->device.flush)
		return error_set(error, CTL_ERROR, CTL_ERROR_FAILED,
			"--flush-every: the back-end does not offer FLUSH");
	s->layout = (struct blkio_layout){
		.features = s->device.features,
		.depth = o->depth,
		.strict = o->strict,
	};
	return blk_choose_feature(offered, VIRTIO_F_RING_PACKED, o->packed, "--packed", error) &&
		blk_choose_feature(
			offered, VIRTIO_RING_F_INDIRECT_DESC, o->indirect, "--indirect", error) &&
		blk_choose_feature(
			offered, VIRTIO_RING_F_EVENT_IDX, o->event_idx, "--event-idx", error) &&
		fit_queues(s, error) && fit_region(s, error);
}

static bool make_memory(struct bench_session *s, GError **error)
{
	s->mem = driver_mem_new(s->options->queues * blkio_queue_footprint(&s->layout), error);
	return s->mem;
}

/* Fills with random numbers, so that data is not taken for holes; also populates the pages. */
static void fill(void *data, uint32_t len, uint64_t seed)
{
	uint64_t *word = data;

	for (uint32_t i = 0; i < len / sizeof(*word); i++)
		word[i] = seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
}

static bool make_requests(struct bench_session *s, struct bench_queue *q, GError **error)
{
	const struct bench_options *o = s->options;

	if (!blkio_queue_init(&q->io, s->mem, &s->layout, error))
		return false;
	q->slots = g_new0(struct bench_slot, o->depth);
	q->free = g_new0(struct blkio_request *, o->depth);
	for (unsigned i = 0; i < o->depth; i++) {
		struct blkio_request *r = &q->io.requests[i];

		r->len = o->block_size;
		fill(r->data, r->len, r->data_addr + o->seed);
		q->free[q->n_free++] = r;
	}
	return true;
}

/*
 * Makes the plan. Random requests of every queue go anywhere, sequential ones to the queue's own
 * part; if data is checked, the queues take turns with the blocks of the device.
 */
static void make_plan(const struct bench_session *s, unsigned i, struct bench_plan *p)
{
	const struct bench_options *o = s->options;
	uint64_t n = s->length / o->block_size, part = n / o->queues;

	*p = (struct bench_plan){
		.base = o->offset,
		.stride = o->block_size,
		.n_blocks = n,
		.random = o->rw != BENCH_READ && o->rw != BENCH_WRITE,
		.always_read = !bench_writes(o) || (o->rw == BENCH_MIXED && o->read_percent == 100),
		.flush_every = o->flush_every,
	};
	if (o->rw == BENCH_MIXED && !p->always_read)
		p->read_below = (uint32_t)(o->read_percent * (UINT64_C(1) << 32) / 100);
	if (o->rate)
		p->interval_ns = o->queues * UINT64_C(1000000000) / o->rate;
	if (o->verify) {
		p->base += (uint64_t)i * o->block_size;
		p->stride *= o->queues;
		p->n_blocks = (n - i + o->queues - 1) / o->queues;
	} else if (!p->random) {
		p->base += i * part * o->block_size;
		p->n_blocks = part;
	}
}

static bool make_queue(struct bench_session *s, unsigned i, GError **error)
{
	struct bench_queue *q = &s->queues[i];
	struct bench_thread *t = &s->threads[i % s->options->threads];

	make_plan(s, i, &q->plan);
	if (s->options->verify) {
		q->verify = &s->verify[i];
		if (!bench_verify_init(q->verify, q->plan.n_blocks, s->options->block_size, s->run,
			    !bench_writes(s->options)))
			return error_set(error, CTL_ERROR, CTL_ERROR_FAILED,
				"--verify: no memory to remember %" PRIu64 " blocks",
				q->plan.n_blocks);
	}
	q->random = s->options->seed * UINT64_C(0x9e3779b97f4a7c15) + i;
	if (!make_requests(s, q, error))
		return false;
	t->queues[t->n_queues++] = q;
	return true;
}

static bool make_threads(struct bench_session *s, GError **error)
{
	const struct bench_options *o = s->options;

	s->control.done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (unsigned i = 0; i < o->threads; i++) {
		struct bench_thread *t = &s->threads[i];

		t->call = eventfd(0, EFD_CLOEXEC); /* blocking: a thread sleeps in read() */
		if (s->control.done < 0 || t->call < 0)
			return error_set(error, CTL_ERROR, CTL_ERROR_FAILED, "eventfd: %s",
				g_strerror(errno));
		t->queues = g_new0(struct bench_queue *, o->queues / o->threads + 1);
		t->control = &s->control;
		t->polling = o->polling;
		t->paced = o->rate;
		t->quota = UINT64_MAX;
		if (o->requests)
			t->quota = o->requests / o->threads + (i < o->requests % o->threads);
	}
	return true;
}

/* Has the back-end record requests in flight, as front-ends do that can replace a back-end. */
static bool set_up_inflight(struct bench_session *s, GError **error)
{
	const struct bench_options *o = s->options;

	if (o->inflight == CHOICE_OFF)
		return true;
	/* Made once: the next back-end is to know what this one had taken. */
	if (s->inflight.fd < 0 &&
		!vu_front_get_inflight(
			s->f, (uint16_t)o->queues, (uint16_t)s->layout.size, &s->inflight, error))
		return false;
	if (s->inflight.fd >= 0)
		return vu_front_set_inflight(s->f, &s->inflight, error);
	return o->inflight != CHOICE_ON ||
		error_set(error, CTL_ERROR, CTL_ERROR_FAILED,
			"%s: the back-end does not offer to record requests in flight",
			o->survive ? "--survive" : "--inflight=on");
}

bool bench_session_start(struct bench_session *s, GError **error)
{
	const struct bench_options *o = s->options;
	uint8_t status;

	if (!blk_driver_begin(s->f, s->layout.features, s->mem, &status, error) ||
		!set_up_inflight(s, error))
		return false;
	for (unsigned i = 0; i < o->queues; i++) {
		s->n_started++;
		if (!blk_driver_start_queue(
			    s->f, i, &s->queues[i].io, s->threads[i % o->threads].call, error))
			return false;
	}
	return vu_front_set_status(s->f, status | VIRTIO_CONFIG_S_DRIVER_OK, error);
}

struct bench_session *bench_session_new(struct vu_front *f, const struct bench_options *o,
	const struct connect_options *connect, GError **error)
{
	g_autoptr(bench_session) s = g_new0(struct bench_session, 1);

	s->f = f;
	s->options = o;
	s->connect = *connect;
	s->connect.speaks_probe = vu_front_properties(f)->device_id == VU_SOURCE_PROBE;
	s->device_id = vu_front_properties(f)->probe.device_id;
	s->control.done = s->inflight.fd = -1;
	s->queues = g_new0(struct bench_queue, o->queues);
	s->verify = g_new0(struct bench_verify, o->queues);
	s->run = g_random_int();
	s->threads = g_aligned_alloc0(o->threads, sizeof(*s->threads), 64);
	for (unsigned i = 0; i < o->queues; i++)
		s->queues[i].io.kick = -1;
	for (unsigned i = 0; i < o->threads; i++)
		s->threads[i].call = -1;
	if (!read_device(s, error) || !make_memory(s, error) || !make_threads(s, error))
		return NULL;
	for (unsigned i = 0; i < o->queues; i++) {
		if (!make_queue(s, i, error))
			return NULL;
	}
	if (!bench_session_start(s, error))
		return NULL;
	return g_steal_pointer(&s);
}

void bench_session_warn(const struct bench_session *s)
{
	for (unsigned i = 0; i < s->options->queues; i++) {
		if (blk_warn_excess(s->options->socket, &s->queues[i].io))
			return;
	}
}

void bench_session_free(struct bench_session *s)
{
	if (!s)
		return;
	if (s->f)
		blk_driver_end(s->f, 0, s->n_started);
	for (unsigned i = 0; i < s->options->queues; i++) {
		struct bench_queue *q = &s->queues[i];

		bench_verify_clear(&s->verify[i]);
		blkio_queue_clear(&q->io);
		g_free(q->slots);
		g_free(q->free);
		g_free(q->failure);
		g_free(q->first_error);
	}
	for (unsigned i = 0; i < s->options->threads; i++) {
		fd_close(&s->threads[i].call);
		g_free(s->threads[i].queues);
	}
	vu_front_free(s->f);
	g_free(s->away);
	fd_close(&s->inflight.fd);
	driver_mem_free(s->mem);
	fd_close(&s->control.done);
	g_free(s->verify);
	g_free(s->queues);
	g_aligned_free(s->threads);
	g_free(s);
}
