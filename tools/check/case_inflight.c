/* SPDX-License-Identifier: Apache-2.0 */
/* The in-flight area and the dirty log: memory that the back-end writes for the front-end. */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/memfd.h"
#include "base/util.h"
#include "memory/shm.h"
#include "tools/check/cases.h"
#include "tools/check/session.h"
#include "tools/check/wire.h"
#include "virtio/inflight.h"

#define SIZE 16
#define LOG_BYTES (4u << 20)
#define LOG_PAGE 4096
#define VRING_F_LOG 1

/* An area as the back-end gave it. */
struct area {
	struct vu_inflight described;
	int fd;
	void *map;
	struct virtio_inflight_split *split; /* of the queue that requests go to */
};

static void area_free(struct area *a)
{
	if (a->map && a->map != MAP_FAILED)
		munmap(a->map, a->described.mmap_size);
	fd_close(&a->fd);
}

/* Asks for an area, and maps it. */
static void area_get(struct check *k, struct area *a)
{
	unsigned queues = k->peer.data ? k->peer.data->queues : 1;
	struct vu_inflight i = { .num_queues = queues, .queue_size = SIZE };
	struct stat st;
	uint64_t part;

	*a = (struct area){ .fd = -1 };
	wire_ask(k, VU_GET_INFLIGHT_FD, &i, sizeof(i));
	if (check_over(k))
		return;
	memcpy(&a->described, k->msg.payload.bytes, MIN(k->msg.header.size, sizeof(i)));
	a->fd = vu_msg_take_fd(&k->msg, 0);
	if (a->fd < 0) {
		check_fail(k, "the reply to GET_INFLIGHT_FD has no fd");
		return;
	}
	if (fstat(a->fd, &st) < 0 || a->described.mmap_size == 0 ||
		(uint64_t)st.st_size < a->described.mmap_size + a->described.mmap_offset) {
		check_fail(k, "the area's file is smaller than the reply says");
		return;
	}
	a->map = mmap(NULL, a->described.mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd,
		(off_t)a->described.mmap_offset);
	part = virtio_inflight_part(a->described.mmap_size, queues);
	if (a->map == MAP_FAILED)
		check_fail(k, "the area cannot be mapped");
	else if (part < virtio_inflight_bytes(SIZE, k->features & VU_BIT(VIRTIO_F_RING_PACKED)))
		check_fail(k, "the area is too small for its queues");
	else
		a->split =
			(void *)((char *)a->map + part * (k->peer.data ? k->peer.data->queue : 0));
}

static void area_set(struct check *k, struct area *a)
{
	if (!check_over(k))
		wire_tell(k, VU_SET_INFLIGHT_FD, &a->described, sizeof(a->described), &a->fd, 1);
}

static void open_with(struct check *k, struct area *a)
{
	session_open(k, session_basic_features(k) | k->c->features);
	session_memory(k);
	area_get(k, a);
}

/* Starts the queues with a new area. */
static struct check_queue *start_tracked(struct check *k, struct area *a)
{
	open_with(k, a);
	area_set(k, a);
	return session_start_queues(k, SIZE);
}

static void run_area(struct check *k)
{
	struct area a;

	open_with(k, &a);
	area_free(&a);
}

/* Requires that no request of a new area is in flight. */
static void run_area_new(struct check *k)
{
	struct area a;

	open_with(k, &a);
	if (!check_over(k) && a.split->version > VIRTIO_INFLIGHT_VERSION)
		check_fail(k, "a new area has version %u", a.split->version);
	for (unsigned i = 0; i < SIZE && !check_over(k); i++)
		check_equal(k, "a flag of a new area", a.split->entry[i].inflight, 0);
	area_free(&a);
}

/* Requests are completed as ever, and the area then says that none is in flight. */
static void run_tracked(struct check *k)
{
	bool packed = k->c->features & VU_BIT(VIRTIO_F_RING_PACKED);
	struct check_queue *q;
	struct area a;

	q = start_tracked(k, &a);
	data_run(k, q, 20);
	session_stop_queue(k, q);
	for (unsigned i = 0; i < SIZE && !check_over(k); i++) {
		const struct virtio_inflight_packed *p = (void *)a.split;

		check_equal(k, "the in-flight flag of a completed request",
			packed ? p->entry[i].inflight : a.split->entry[i].inflight, 0);
	}
	if (!check_over(k) && !packed)
		check_equal(k, "used_idx of the area", a.split->used_idx, 20);
	area_free(&a);
}

/* Brings the area along to the next connection: it is the front-end's to keep. */
static void run_kept(struct check *k)
{
	struct check_queue *q;
	struct area a;

	q = start_tracked(k, &a);
	data_run(k, q, 5);
	wire_close(k);
	session_open(k, session_basic_features(k) | k->c->features);
	session_memory(k);
	area_set(k, &a);
	if (!check_over(k))
		session_start_queue(k, q, session_base_after(k, q, 5));
	data_run(k, q, 5);
	area_free(&a);
}

/* Returns the available ring, as the driver sees it. */
static struct vring_avail *avail_of(const struct check *k, const struct check_queue *q)
{
	return driver_mem_host(k->mem, session_addr(q, 0).avail, sizeof(struct vring_avail) + 2);
}

static struct vring_used *used_of(const struct check *k, const struct check_queue *q)
{
	return driver_mem_host(k->mem, session_addr(q, 0).used,
		sizeof(struct vring_used) + sizeof(struct vring_used_elem));
}

/* Makes a queue with one request, which the area says the last back-end had taken. */
static struct check_queue *take_one(struct check *k, struct area *a, unsigned *head)
{
	struct check_queue *q = NULL;

	open_with(k, a);
	if (!check_over(k))
		q = session_queue(k, k->peer.data->queue, SIZE);
	data_submit(k, q, 1);
	if (check_over(k))
		return NULL;
	*head = shm_load16(&avail_of(k, q)->ring[0]) % SIZE;
	a->split->version = VIRTIO_INFLIGHT_VERSION;
	a->split->desc_num = SIZE;
	a->split->entry[*head].inflight = 1;
	return q;
}

/* Requires that, of so many requests, each has been completed once. */
static void completed_once(struct check *k, struct check_queue *q, unsigned n)
{
	if (check_over(k))
		return;
	g_usleep(wire_quiet_us(k));
	check_equal(k, "the used index", shm_load16(&used_of(k, q)->idx), n);
}

/* Expects that what the last back-end had not completed, this one completes. */
static void run_resubmit(struct check *k)
{
	struct check_queue *q;
	unsigned head;
	struct area a;

	q = take_one(k, &a, &head);
	area_set(k, &a);
	/* Only the area tells of it. */
	session_start_queue(k, q, 1);
	data_wait(k, q);
	data_run(k, q, 3);
	completed_once(k, q, 4);
	area_free(&a);
}

/* Expects that what was published as used, but not struck out, is not done again. */
static void run_published(struct check *k)
{
	struct check_queue *q;
	unsigned head;
	struct area a;

	q = take_one(k, &a, &head);
	if (!check_over(k)) {
		struct vring_used *used = used_of(k, q);

		a.split->last_batch_head = (uint16_t)head;
		used->ring[0].id = htole32(head);
		shm_store16_release(&used->idx, 1);
		/* Who looks at it must not take it for a failed request. */
		driver_ring_reap(q->ring, &(void *){ NULL }, &(uint32_t){ 0 });
		q->done++;
	}
	area_set(k, &a);
	session_start_queue(k, q, 1);
	data_run(k, q, 3);
	completed_once(k, q, 4);
	area_free(&a);
}

/* Sets an area that cannot be: data is its description, or arg fills it with this byte. */
static void run_bad_area(struct check *k)
{
	const struct vu_inflight *bad = k->c->data;
	struct check_queue *q;
	struct area a;

	open_with(k, &a);
	if (!check_over(k) && !bad)
		memset(a.map, (int)k->c->arg, a.described.mmap_size);
	if (!check_over(k))
		wire_send(k, VU_SET_INFLIGHT_FD, 0, bad ? bad : &a.described, sizeof(a.described),
			&a.fd, 1);
	framing_settle(k);
	q = check_over(k) ? NULL : session_queue(k, k->peer.data->queue, SIZE);
	/* Whether the vring runs with such an area is the back-end's to say. */
	k->acked &= ~VU_BIT(VU_F_REPLY_ACK);
	session_start_queue(k, q, q ? driver_ring_initial_base(q->ring) : 0);
	data_submit(k, q, 1);
	framing_settle(k);
	area_free(&a);
}

static bool is_logged(const uint8_t *log, uint64_t addr)
{
	uint64_t page = addr / LOG_PAGE;

	return __atomic_load_n(&log[page / 8], __ATOMIC_ACQUIRE) >> page % 8 & 1;
}

static void check_log(struct check *k, struct check_queue *q, const uint8_t *log)
{
	if (k->peer.data->in_len[0])
		check_that(k, is_logged(log, q->buffers), "the page of the buffers is not logged");
	check_that(k, is_logged(log, session_addr(q, 0).used),
		"the page of the used ring is not logged");
}

/* Requires that buffers and used rings are logged while LOG_ALL is set. */
static void run_log(struct check *k)
{
	struct vu_log described = { .mmap_size = LOG_BYTES };
	autofd fd = memfd_sealed("check-log", LOG_BYTES);
	const uint8_t *log = mmap(NULL, LOG_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	struct check_queue *q = session_start(k, session_basic_features(k), SIZE);
	struct vu_vring_addr a;

	data_run(k, q, 2);
	wire_send(k, VU_SET_LOG_BASE, 0, &described, sizeof(described), &fd, 1);
	if (wire_receive(k))
		wire_check_reply(k, VU_SET_LOG_BASE, vu_shape(VU_SET_LOG_BASE));
	wire_tell_u64(k, VU_SET_FEATURES, k->features | VU_BIT(VHOST_F_LOG_ALL));
	if (check_over(k) || log == MAP_FAILED)
		return;
	a = session_addr(q, 0);
	a.flags = VRING_F_LOG;
	a.log = a.used;
	wire_tell(k, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
	data_run(k, q, 2);
	session_stop_queue(k, q);
	if (!check_over(k))
		check_log(k, q, log);
	munmap((void *)log, LOG_BYTES);
}

#define TRACKING "vhost-user: Inflight I/O tracking"
#define PACKED .features = VU_BIT(VIRTIO_F_RING_PACKED)
#define DATA .protocol = VU_BIT(VU_F_INFLIGHT_SHMFD), .needs = CHECK_DATA
#define BAD .protocol = VU_BIT(VU_F_INFLIGHT_SHMFD), .needs = CHECK_DATA | CHECK_HOSTILE
#define AREA(...)                   \
	&(const struct vu_inflight) \
	{                           \
		__VA_ARGS__         \
	}
#define LOGGED \
	.protocol = VU_BIT(VU_F_LOG_SHMFD), .features = VU_BIT(VHOST_F_LOG_ALL), .needs = CHECK_DATA

const struct check_case check_inflight[] = {
	{ "inflight-area", TRACKING, run_area, .request = VU_GET_INFLIGHT_FD },
	{ "inflight-area-packed", TRACKING, run_area, PACKED, .request = VU_GET_INFLIGHT_FD },
	{ "inflight-area-new", TRACKING, run_area_new, .request = VU_GET_INFLIGHT_FD },
	{ "inflight-tracked", TRACKING, run_tracked, DATA },
	{ "inflight-tracked-packed", TRACKING, run_tracked, DATA, PACKED },
	{ "inflight-kept", TRACKING, run_kept, DATA },
	{ "inflight-kept-packed", TRACKING, run_kept, DATA, PACKED },
	{ "inflight-resubmit", TRACKING, run_resubmit, DATA },
	{ "inflight-published", TRACKING, run_published, DATA },
	{ "inflight-area-ff", TRACKING, run_bad_area, BAD, .arg = 0xff },
	{ "inflight-area-01", TRACKING, run_bad_area, BAD, .arg = 1 },
	{ "inflight-area-ff-packed", TRACKING, run_bad_area, BAD, PACKED, .arg = 0xff },
	{ "inflight-area-01-packed", TRACKING, run_bad_area, BAD, PACKED, .arg = 1 },
	{ "inflight-size-0", TRACKING, run_bad_area, BAD,
		.data = AREA(.num_queues = 1, .queue_size = SIZE) },
	{ "inflight-size-max", TRACKING, run_bad_area, BAD,
		.data = AREA(UINT64_MAX, 0, .num_queues = 1, .queue_size = SIZE) },
	{ "inflight-offset-max", TRACKING, run_bad_area, BAD,
		.data = AREA(4096, UINT64_MAX, .num_queues = 1, .queue_size = SIZE) },
	{ "inflight-queues-max", TRACKING, run_bad_area, BAD,
		.data = AREA(4096, 0, .num_queues = UINT16_MAX, .queue_size = UINT16_MAX) },
	{ "inflight-queues-0", TRACKING, run_bad_area, BAD, .data = AREA(4096, 0) },
	{ "log-all", "vhost-user: Migration", run_log, LOGGED },
	{ NULL },
};
