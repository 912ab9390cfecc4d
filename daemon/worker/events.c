/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of the device, on their way from any thread to the control thread: a list as in wakeup.c.
 * Its length is bounded: a device can make them faster than they are sent.
 */
#include "daemon/worker/worker_impl.h"

#define MAX_PENDING 1024

struct pool_event {
	struct json json;
	struct pool_event *next;
};

static void free_event(struct pool_event *e)
{
	g_string_free(e->json.out, TRUE);
	g_free(e);
}

struct json *virtio_event_begin(struct virtio_device *d, const char *name)
{
	struct pool_event *e;

	if (!__atomic_load_n(&d->pool->events_wanted, __ATOMIC_RELAXED))
		return NULL;
	if (__atomic_load_n(&d->pool->n_events, __ATOMIC_RELAXED) >= MAX_PENDING) {
		__atomic_fetch_add(&d->pool->events_lost, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	e = g_new0(struct pool_event, 1);
	e->json = (struct json){ .out = g_string_new(NULL), .one_line = true };
	json_open_object(&e->json, NULL);
	json_string(&e->json, "jsonrpc", "2.0");
	json_string(&e->json, "method", name);
	json_open_object(&e->json, "params");
	return &e->json;
}

void virtio_event_end(struct virtio_device *d, struct json *event)
{
	struct pool_event *e = container_of(event, struct pool_event, json);
	struct pool *pool = d->pool;
	struct pool_event *last = __atomic_load_n(&pool->events, __ATOMIC_RELAXED);

	json_close_object(event);
	json_close_object(event);
	g_string_append_c(event->out, '\n');
	__atomic_fetch_add(&pool->n_events, 1, __ATOMIC_RELAXED);
	do
		e->next = last;
	while (!__atomic_compare_exchange_n(
		&pool->events, &last, e, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
	/* The first one alone wakes: the list is taken as a whole. */
	if (!last)
		pool_wake(pool);
}

/* Takes the list, in the order of its making. */
static struct pool_event *take(struct pool *pool)
{
	struct pool_event *e = __atomic_exchange_n(&pool->events, NULL, __ATOMIC_ACQUIRE);
	struct pool_event *reversed = NULL, *next;

	for (; e; e = next) {
		next = e->next;
		e->next = reversed;
		reversed = e;
	}
	return reversed;
}

void pool_want_events(struct pool *pool, bool wanted)
{
	__atomic_store_n(&pool->events_wanted, wanted, __ATOMIC_RELAXED);
}

uint64_t pool_lost_events(struct pool *pool)
{
	return __atomic_exchange_n(&pool->events_lost, 0, __ATOMIC_RELAXED);
}

void events_take(struct pool *pool)
{
	struct pool_event *e = take(pool), *next;

	for (; e; e = next) {
		next = e->next;
		__atomic_fetch_sub(&pool->n_events, 1, __ATOMIC_RELAXED);
		pool->setup.callbacks->event(
			pool->setup.opaque, e->json.out->str, e->json.out->len);
		free_event(e);
	}
}

void events_drop(struct pool *pool)
{
	struct pool_event *e = take(pool), *next;

	for (; e; e = next) {
		next = e->next;
		free_event(e);
	}
}
