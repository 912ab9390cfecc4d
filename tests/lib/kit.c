/* SPDX-License-Identifier: Apache-2.0 */
/* See kit.h: the driver that a test plays, wherever the device runs. */
#include "tests/lib/kit_impl.h"

/* Bytes of the first piece, the second ... when a request is cut; the last takes the rest. */
static const uint32_t pieces[] = { 1, 7, 3, 500 };

#define MAX_PIECES (G_N_ELEMENTS(pieces) + 1)

static unsigned cut(const struct kit *k, uint64_t addr, uint32_t size, struct driver_buf *buf)
{
	unsigned n = 0;

	for (unsigned i = 0; k->in_pieces && i < G_N_ELEMENTS(pieces) && size > pieces[i]; i++) {
		buf[n++] = (struct driver_buf){ addr, pieces[i] };
		addr += pieces[i];
		size -= pieces[i];
	}
	if (size)
		buf[n++] = (struct driver_buf){ addr, size };
	return n;
}

static uint64_t alloc(struct kit *k, const void *from, uint32_t size, uint8_t **host)
{
	uint64_t addr = driver_mem_alloc(k->mem, MAX(size, 1), 16);

	assert_int_not_equal(addr, 0);
	*host = driver_mem_host(k->mem, addr, MAX(size, 1));
	if (from)
		memcpy(*host, from, size);
	else
		memset(*host, 0xdd, size);
	return addr;
}

struct kit_request *kit_add(
	struct kit *k, unsigned queue, const void *out, size_t out_size, size_t in_size)
{
	struct kit_request *r = g_new0(struct kit_request, 1);

	*r = (struct kit_request){ .queue = queue, .out_size = out_size, .in_size = in_size };
	r->out_address = alloc(k, out, out_size, &r->out);
	r->in_address = alloc(k, NULL, in_size, &r->in);
	g_ptr_array_add(k->requests, r);
	kit_add_again(k, r);
	return r;
}

void kit_add_again(struct kit *k, struct kit_request *r)
{
	struct driver_buf buf[2 * MAX_PIECES];
	unsigned n_out = cut(k, r->out_address, r->out_size, buf);
	unsigned n_in = cut(k, r->in_address, r->in_size, buf + n_out);

	r->done = false;
	assert_int_equal(driver_ring_add(k->ring[r->queue], buf, n_out, n_in, r), 0);
}

void kit_kick(struct kit *k, unsigned queue)
{
	k->world->kick(k, queue);
	if (k->trouble == KIT_PAUSES)
		k->world->pause(k);
	if (k->trouble == KIT_KILLS)
		k->world->kill(k);
}

struct kit_request *kit_send(
	struct kit *k, unsigned queue, const void *out, size_t out_size, size_t in_size)
{
	struct kit_request *r = kit_add(k, queue, out, out_size, in_size);

	kit_kick(k, queue);
	return r;
}

void kit_reap(struct kit *k)
{
	for (unsigned i = 0; i < k->n_queues; i++) {
		struct kit_request *r;
		void *token;
		uint32_t len;
		int result;

		while ((result = driver_ring_reap(k->ring[i], &token, &len)) == 1) {
			r = token;
			r->done = true;
			r->used = len;
			r->order = ++k->completed;
		}
		assert_int_equal(result, 0);
	}
}

/* Waits for a condition that the device brings about. */
#define WAIT_FOR(k, condition)                                                                   \
	do {                                                                                     \
		int64_t end_ = g_get_monotonic_time() + KIT_PATIENCE_MS * 1000ll;                \
		kit_reap(k);                                                                     \
		while (!(condition)) {                                                           \
			if (g_get_monotonic_time() > end_)                                       \
				fail_msg("not in time: %s\n%s", #condition, (k)->world->log(k)); \
			(k)->world->step(k, 20);                                                 \
			kit_reap(k);                                                             \
		}                                                                                \
	} while (0)

uint32_t kit_wait(struct kit *k, struct kit_request *r)
{
	WAIT_FOR(k, r->done || k->world->is_broken(k));
	if (!r->done)
		fail_msg("the queue is broken: %s", k->world->log(k));
	return r->used;
}

bool kit_is_done(struct kit *k, struct kit_request *r)
{
	k->world->step(k, 0);
	kit_reap(k);
	return r->done;
}

void kit_wait_log(struct kit *k, const char *text)
{
	WAIT_FOR(k, strstr(k->world->log(k), text));
}

void kit_wait_broken(struct kit *k, const char *text)
{
	WAIT_FOR(k, k->world->is_broken(k));
	kit_wait_log(k, text);
}

void kit_wait_config(struct kit *k, unsigned n)
{
	WAIT_FOR(k, k->world->config_changes(k) >= n);
}

uint8_t *kit_wait_mapped(struct kit *k, uint8_t id, uint64_t at)
{
	const struct kit_shm_mapping *m;

	WAIT_FOR(k, kit_shm_find(k->world->shm(k), id, at, 1));
	m = kit_shm_find(k->world->shm(k), id, at, 1);
	return m->host + (at - m->at);
}

void kit_wait_unmapped(struct kit *k, uint8_t id, uint64_t at)
{
	WAIT_FOR(k, !kit_shm_find(k->world->shm(k), id, at, 1));
}

void kit_fail_mappings(struct kit *k, int error)
{
	k->world->shm(k)->error = error;
}

void kit_without_shm(struct kit *k)
{
	k->world->shm(k)->absent = true;
}

void kit_without_inflight(struct kit *k)
{
	k->no_area = true;
}

void kit_start(struct kit *k, ...)
{
	va_list ap;

	va_start(ap, k);
	k->world->start(k, ap);
	va_end(ap);
}

void kit_start_fails(struct kit *k, const char *text, ...)
{
	va_list ap;

	va_start(ap, text);
	k->world->start_fails(k, text, ap);
	va_end(ap);
}

void kit_pause(struct kit *k)
{
	k->world->pause(k);
}

void kit_reset(struct kit *k)
{
	k->world->reset(k);
}

void kit_restart(struct kit *k)
{
	k->world->kill(k);
}

void kit_leave(struct kit *k)
{
	k->world->leave(k);
}

void kit_config_read(struct kit *k, uint32_t offset, void *to, uint32_t size)
{
	k->world->config_read(k, offset, to, size);
}

void kit_config_write(struct kit *k, uint32_t offset, const void *from, uint32_t size)
{
	k->world->config_write(k, offset, from, size);
}

const char *kit_path(struct kit *k, const char *name)
{
	char *path = g_build_filename(k->dir, name, NULL);

	g_ptr_array_add(k->paths, path);
	return path;
}

bool kit_has_pauses(const struct kit *k)
{
	return k->trouble == KIT_PAUSES;
}

bool kit_has_kills(const struct kit *k)
{
	return k->trouble == KIT_KILLS;
}

bool kit_is_packed(const struct kit *k)
{
	return k->features & 1ull << VIRTIO_F_RING_PACKED;
}

struct kit_core *kit_core(struct kit *k)
{
	return k->world == &kit_world_core ? k->data : NULL;
}
