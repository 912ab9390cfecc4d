/* SPDX-License-Identifier: Apache-2.0 */
/* Address ranges of devices, and vCPUs that wait for their answers. */
#include "kvm-stub/bus.h"

#include <pthread.h>

struct range {
	enum bus_space space;
	uint64_t base, size;
	bus_access_fn access;
	void *opaque;
};

struct bus {
	GArray *range; /* of struct range */
};

/*
 * The token is the bus_wait itself: a vCPU has one access at a time. One that was cancelled during
 * an access cannot be reused before the device completes it: the completion would be taken for that
 * of the next access.
 */
struct bus_wait {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done; /* no access is in progress */
	bool cancelled;
	uint64_t value;
};

struct bus *bus_new(void)
{
	struct bus *b = g_new0(struct bus, 1);

	b->range = g_array_new(FALSE, FALSE, sizeof(struct range));
	return b;
}

void bus_free(struct bus *b)
{
	g_array_unref(b->range);
	g_free(b);
}

void bus_add(struct bus *b, enum bus_space space, uint64_t base, uint64_t size,
	bus_access_fn access, void *opaque)
{
	const struct range added = { space, base, size, access, opaque };

	g_array_append_val(b->range, added);
}

static const struct range *find(const struct bus *b, enum bus_space space, uint64_t addr)
{
	for (guint i = 0; i < b->range->len; i++) {
		const struct range *r = &g_array_index(b->range, struct range, i);

		if (r->space == space && addr >= r->base && addr - r->base < r->size)
			return r;
	}
	return NULL;
}

struct bus_wait *bus_wait_new(void)
{
	struct bus_wait *w = g_new0(struct bus_wait, 1);

	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	w->done = true;
	return w;
}

void bus_wait_free(struct bus_wait *w)
{
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->changed);
	g_free(w);
}

bool bus_access(struct bus *b, struct bus_wait *w, enum bus_space space, uint64_t addr,
	unsigned size, bool write, uint64_t *value)
{
	const struct range *r = find(b, space, addr);
	bool done;

	if (!r) {
		if (!write)
			*value = UINT64_MAX;
		return true;
	}
	/* No other thread has the token before the call, so the lock is not needed here. */
	w->done = false;
	if (r->access(r->opaque, addr - r->base, size, write, value, w)) {
		w->done = true;
		return true;
	}
	pthread_mutex_lock(&w->lock);
	while (!w->done && !w->cancelled)
		pthread_cond_wait(&w->changed, &w->lock);
	done = w->done;
	if (done && !write)
		*value = w->value;
	pthread_mutex_unlock(&w->lock);
	return done;
}

void bus_access_complete(void *token, uint64_t value)
{
	struct bus_wait *w = token;

	pthread_mutex_lock(&w->lock);
	w->value = value;
	w->done = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

void bus_wait_cancel(struct bus_wait *w)
{
	pthread_mutex_lock(&w->lock);
	w->cancelled = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

bool bus_wait_reuse(struct bus_wait *w)
{
	bool done;

	pthread_mutex_lock(&w->lock);
	done = w->done;
	if (done)
		w->cancelled = false;
	pthread_mutex_unlock(&w->lock);
	return done;
}
