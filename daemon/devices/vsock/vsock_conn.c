/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of connections: how they are found, what memory each may take, and which of them have
 * something for the guest. All memory is reserved in open(); what is not used is not there.
 *
 * A connection is permitted SHARE bytes of unread data, whatever the others have, and a part of
 * what is spare besides; that is for good, as older drivers of Linux miscount when credit is
 * withdrawn.
 */
#include "daemon/devices/vsock/vsock.h"

#include <sys/mman.h>
#include <sys/random.h>

#include "base/error.h"

#define SHARE (16u << 10)
#define SPARE (64u << 20)
/* Of what is spare a connection gets this part: so the next ones get some, too. */
#define PART 64

static size_t memory_size(unsigned max)
{
	return (size_t)max * VSOCK_BUFFER_MEMORY;
}

bool vsock_conns_open(struct vsock *v, unsigned max, GError **error)
{
	unsigned buckets = 1;

	while (buckets < max)
		buckets *= 2;
	v->memory = mmap(NULL, memory_size(max), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (v->memory == MAP_FAILED) {
		v->memory = NULL;
		return error_errno(error, errno, "no memory for %u connections", max);
	}
	v->max_conns = max;
	v->spare = SPARE;
	v->conn = g_new0(struct vsock_conn, max);
	v->bucket = g_new0(struct vsock_conn *, buckets);
	v->bucket_mask = buckets - 1;
	/* So that a guest cannot choose ports that collide. */
	if (getrandom(&v->seed, sizeof(v->seed), GRND_NONBLOCK) != sizeof(v->seed))
		v->seed = (uint64_t)g_get_monotonic_time();
	v->seed |= 1;
	for (unsigned i = max; i-- > 0;) {
		v->conn[i] = (struct vsock_conn){ .v = v, .watch.fd = -1, .next = v->free };
		v->conn[i].timer.expired = vsock_expired;
		v->free = &v->conn[i];
	}
	return true;
}

void vsock_conns_close(struct vsock *v)
{
	if (!v->memory)
		return;
	vsock_conns_free_all(v);
	munmap(v->memory, memory_size(v->max_conns));
	g_free(v->conn);
	g_free(v->bucket);
}

void vsock_conns_free_all(struct vsock *v)
{
	for (unsigned i = 0; i < v->max_conns; i++) {
		if (v->conn[i].state != VSOCK_FREE)
			vsock_conn_free(&v->conn[i]);
	}
}

static struct vsock_conn **bucket_of(struct vsock *v, const struct vsock_key *key)
{
	uint64_t h = ((uint64_t)key->guest_port << 32 | key->host_port) ^ key->cid << 17;

	h = (h ^ v->seed >> 7) * v->seed;
	h = (h ^ h >> 29) * v->seed;
	return &v->bucket[h >> 32 & v->bucket_mask];
}

static bool is_same(const struct vsock_key *a, const struct vsock_key *b)
{
	return a->guest_port == b->guest_port && a->host_port == b->host_port && a->cid == b->cid;
}

struct vsock_conn *vsock_conn_find(struct vsock *v, const struct vsock_key *key)
{
	struct vsock_conn *c = *bucket_of(v, key);

	while (c && !is_same(&c->key, key))
		c = c->next;
	return c;
}

struct vsock_conn *vsock_conn_new(struct vsock *v, enum vsock_state state)
{
	struct vsock_conn *c = v->free;

	if (!c)
		return NULL;
	v->free = c->next;
	c->next = NULL;
	c->state = state;
	v->n_conns++;
	return c;
}

void vsock_conn_name(struct vsock_conn *c, const struct vsock_key *key, uint16_t type)
{
	struct vsock *v = c->v;
	struct vsock_conn **bucket = bucket_of(v, key);
	size_t more = MIN(v->spare / PART, VSOCK_BUFFER_MAX - SHARE) & ~(size_t)0xfff;

	c->key = *key;
	c->type = type;
	c->next = *bucket;
	*bucket = c;
	v->spare -= more;
	c->grant = SHARE + (uint32_t)more;
	vsock_buffer_init(
		&c->buffer, v->memory + (size_t)(c - v->conn) * VSOCK_BUFFER_MEMORY, c->grant);
}

/* Tells whether packets of the guest find it. */
static bool is_named(const struct vsock_conn *c)
{
	return c->state != VSOCK_FREE && c->state != VSOCK_HELLO && c->state != VSOCK_LINGERING;
}

void vsock_conn_unname(struct vsock_conn *c)
{
	struct vsock_conn **at;

	if (!is_named(c))
		return;
	for (at = bucket_of(c->v, &c->key); *at != c; at = &(*at)->next)
		;
	*at = c->next;
	c->next = NULL;
	vsock_conn_not_ready(c);
}

void vsock_conn_free(struct vsock_conn *c)
{
	struct vsock *v = c->v;

	vsock_conn_unname(c);
	vsock_set_timer(c, -1);
	virtio_watch(v->d, NULL, &c->watch, 0);
	fd_close(&c->watch.fd);
	if (c->grant) {
		v->spare += c->grant - SHARE;
		vsock_buffer_clear(&c->buffer);
	}
	if (v->staged == c)
		v->staged = NULL;
	*c = (struct vsock_conn){ .v = v, .watch.fd = -1, .next = v->free };
	c->timer.expired = vsock_expired;
	v->free = c;
	v->n_conns--;
}

void vsock_conn_reset(struct vsock_conn *c)
{
	struct vsock *v = c->v;
	const struct vsock_reset r = { c->key, v->guest_cid, c->type };

	/* Of one that is to be asked for, the guest does not know yet. */
	if (is_named(c) && !(c->news & VSOCK_NEWS_REQUEST)) {
		v->count.reset++;
		vsock_rx_refuse(v, &r);
	}
	vsock_conn_free(c);
}

void vsock_conn_ready(struct vsock_conn *c)
{
	struct vsock *v = c->v;

	if (c->is_ready || !is_named(c))
		return;
	c->is_ready = true;
	c->ready_next = NULL;
	c->ready_prev = v->ready_last;
	if (v->ready_last)
		v->ready_last->ready_next = c;
	else
		v->ready_first = c;
	v->ready_last = c;
}

void vsock_conn_not_ready(struct vsock_conn *c)
{
	struct vsock *v = c->v;

	if (!c->is_ready)
		return;
	if (c->ready_prev)
		c->ready_prev->ready_next = c->ready_next;
	else
		v->ready_first = c->ready_next;
	if (c->ready_next)
		c->ready_next->ready_prev = c->ready_prev;
	else
		v->ready_last = c->ready_prev;
	c->is_ready = false;
}

void vsock_conn_tell(struct vsock_conn *c, unsigned news)
{
	c->news |= news;
	vsock_conn_ready(c);
}
