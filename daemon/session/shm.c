/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared memory regions (vhost-user.rst, "VHOST_USER_BACKEND_SHMEM_MAP"). The device's requests go
 * to the front-end one after the other, and its answers come in the same order.
 *
 * What is mapped is noted when it is asked for, so that requests need not wait for each other. A
 * request whose queue stops is no longer the device's, but is still answered; if it was to map
 * something, that is unmapped by another one right behind it.
 */
#include <unistd.h>

#include "base/util.h"
#include "daemon/session/backend_impl.h"

/* A front-end that does not answer makes nothing grow beyond this, or twice this. */
#define MAX_REQUESTS 4096
#define MAX_REGION (UINT64_C(1) << 40)

struct shm_range {
	uint64_t serial; /* of the request that mapped it */
	uint8_t id;
	uint64_t at, len;
};

struct shm_request {
	uint32_t request; /* VU_BACKEND_SHMEM_MAP or _UNMAP */
	unsigned queue;
	struct virtio_shm_map *m; /* NULL: the device has been told that it is cancelled */
	struct shm_range range;
};

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t region_size(const struct backend *b, uint8_t id)
{
	const struct virtio_shm_region *r = b->device.ops->shm;

	while (r && r->size && r->id != id)
		r++;
	return r ? r->size : 0;
}

void shm_init(struct backend *b)
{
	const struct virtio_shm_region *r = b->device.ops->shm;

	for (; r && r->size; r++) {
		g_assert(r->size % page_size() == 0 && r->size <= MAX_REGION);
		g_assert(region_size(b, r->id) == r->size);
	}
	g_queue_init(&b->shm.requests);
	b->shm.mapped = g_array_new(FALSE, FALSE, sizeof(struct shm_range));
}

void shm_free(struct backend *b)
{
	shm_lost(b);
	g_array_free(b->shm.mapped, TRUE);
}

bool on_get_shmem_config(struct backend *b, struct backend_request *rq, GError **error)
{
	struct vu_shmem_config *c = &rq->out.payload.shmem_config;

	*c = (struct vu_shmem_config){ 0 };
	for (const struct virtio_shm_region *r = b->device.ops->shm; r && r->size; r++) {
		c->size[r->id] = r->size;
		c->n_regions++;
	}
	rq->out.header.size = sizeof(*c);
	return true;
}

/* What is mapped. */

static bool overlap(const struct shm_range *a, const struct shm_range *b)
{
	return a->id == b->id && a->at < b->at + b->len && b->at < a->at + a->len;
}

static bool is_free(const struct backend *b, const struct shm_range *range)
{
	for (unsigned i = 0; i < b->shm.mapped->len; i++)
		if (overlap(&g_array_index(b->shm.mapped, struct shm_range, i), range))
			return false;
	return true;
}

/* Removes what this request has mapped; false: it is not mapped. */
static bool remove_mapped(struct backend *b, uint64_t serial)
{
	for (unsigned i = 0; i < b->shm.mapped->len; i++) {
		if (g_array_index(b->shm.mapped, struct shm_range, i).serial != serial)
			continue;
		g_array_remove_index_fast(b->shm.mapped, i);
		return true;
	}
	return false;
}

/* Removes a mapping of exactly this range; false: there is none. */
static bool remove_range(struct backend *b, const struct shm_range *range)
{
	for (unsigned i = 0; i < b->shm.mapped->len; i++) {
		struct shm_range r = g_array_index(b->shm.mapped, struct shm_range, i);

		if (r.id == range->id && r.at == range->at && r.len == range->len)
			return remove_mapped(b, r.serial);
	}
	return false;
}

/* Requests. */

static bool has_shared_memory(const struct backend *b)
{
	const uint64_t needs =
		VU_BIT(VU_F_SHMEM) | VU_BIT(VU_F_BACKEND_SEND_FD) | VU_BIT(VU_F_REPLY_ACK);

	return b->channel >= 0 && (b->protocol_features & needs) == needs;
}

/* Checks the request, and notes what will be mapped when it is carried out. 0 or -errno. */
static int take(struct backend *b, const struct virtio_shm_map *m, const struct shm_range *range)
{
	uint64_t size = region_size(b, m->id);

	if (!has_shared_memory(b))
		return -EOPNOTSUPP;
	if (!m->len || (m->len | m->at) % page_size() || m->at > size || m->len > size - m->at)
		return -EINVAL;
	if (b->shm.requests.length >= MAX_REQUESTS)
		return -EBUSY;
	if (m->fd < 0)
		return remove_range(b, range) ? 0 : -EINVAL;
	if (m->fd_offset % page_size() || m->fd_offset > INT64_MAX - m->len || !is_free(b, range))
		return -EINVAL;
	g_array_append_val(b->shm.mapped, *range);
	return 0;
}

static void add(struct backend *b, const struct shm_request *request)
{
	g_queue_push_tail(&b->shm.requests, g_memdup2(request, sizeof(*request)));
}

void shm_map(struct backend *b, unsigned queue, struct virtio_shm_map *m)
{
	bool stops = pool_queue_state(b->pool, queue) != QUEUE_RUNNING;
	struct shm_request request = {
		.request = m->fd < 0 ? VU_BACKEND_SHMEM_UNMAP : VU_BACKEND_SHMEM_MAP,
		.queue = queue,
		.range = { .id = m->id, .at = m->at, .len = m->len },
	};
	int err = stops && m->fd >= 0 ? -ECANCELED : 0;

	request.range.serial = ++b->shm.serial;
	if (!err)
		err = take(b, m, &request.range);
	if (!err) {
		/* To unmap is right also when the queue stops. */
		request.m = stops ? NULL : m;
		add(b, &request);
	}
	if (err || stops)
		pool_shm_done(m, err ? err : -ECANCELED);
	channel_flush(b);
}

/* Cancels one request, the i-th; its link may be gone then. */
static void cancel(struct backend *b, GList *link, bool sent)
{
	struct shm_request *r = link->data;
	bool mapped = r->request == VU_BACKEND_SHMEM_MAP && remove_mapped(b, r->range.serial);

	pool_shm_done(g_steal_pointer(&r->m), -ECANCELED);
	if (mapped && sent && b->state == BACKEND_SERVING)
		add(b,
			&(struct shm_request){ .request = VU_BACKEND_SHMEM_UNMAP,
				.queue = r->queue,
				.range = r->range });
	if (sent || r->request == VU_BACKEND_SHMEM_UNMAP)
		return;
	g_queue_delete_link(&b->shm.requests, link);
	g_free(r);
}

void shm_cancel(struct backend *b, unsigned queue)
{
	unsigned i = 0, n = b->shm.requests.length;
	GList *link = b->shm.requests.head, *next;

	/* Not those that are added meanwhile. */
	for (; i < n; i++, link = next) {
		const struct shm_request *r = link->data;

		next = link->next;
		if (r->m && r->queue == queue)
			cancel(b, link, i < b->shm.n_sent);
	}
	channel_flush(b);
}

bool shm_next(struct backend *b, struct vu_msg *msg)
{
	const struct shm_request *r = g_queue_peek_nth(&b->shm.requests, b->shm.n_sent);

	if (!r)
		return false;
	vu_msg_init(msg, r->request);
	msg->header.flags |= VU_FLAG_NEED_REPLY;
	msg->header.size = sizeof(msg->payload.shmem_map);
	msg->payload.shmem_map = (struct vu_shmem_map){
		.id = r->range.id,
		.shm_offset = r->range.at,
		.len = r->range.len,
	};
	if (r->request == VU_BACKEND_SHMEM_MAP) {
		msg->payload.shmem_map.fd_offset = r->m->fd_offset;
		msg->payload.shmem_map.flags = r->m->writable ? VU_SHMEM_WRITABLE : 0;
		msg->fds[msg->n_fds++] = r->m->fd;
	}
	return true;
}

void shm_sent(struct backend *b)
{
	b->shm.n_sent++;
}

bool shm_awaits(const struct backend *b)
{
	return b->shm.n_sent;
}

/* Front-ends answer with an errno, or with a negative one. */
static int result_of(uint64_t answer)
{
	if (answer > UINT64_MAX - 4096)
		answer = -answer;
	return answer < 4096 ? -(int)answer : -EIO;
}

static void end_first(struct backend *b, int result)
{
	g_autofree struct shm_request *r = g_queue_pop_head(&b->shm.requests);

	if (result && r->request == VU_BACKEND_SHMEM_MAP)
		remove_mapped(b, r->range.serial);
	if (r->m)
		pool_shm_done(r->m, result);
	else if (result)
		log_debug("front-end", "%s: %s", vu_backend_shape(r->request)->name,
			g_strerror(-result));
}

bool shm_answered(struct backend *b, const struct vu_msg *msg, GError **error)
{
	const struct shm_request *r = g_queue_peek_head(&b->shm.requests);
	const struct vu_shape *shape = r ? vu_backend_shape(r->request) : NULL;

	/* What had begun to come in before there was a request. */
	if (!shm_awaits(b))
		return true;
	if (!vu_msg_check_reply(msg, r->request, shape, error))
		return false;
	b->shm.n_sent--;
	end_first(b, result_of(msg->payload.u64));
	return true;
}

void shm_lost(struct backend *b)
{
	b->shm.n_sent = 0;
	while (b->shm.requests.length)
		end_first(b, -ECONNRESET);
}

void shm_forget(struct backend *b)
{
	g_array_set_size(b->shm.mapped, 0);
}
