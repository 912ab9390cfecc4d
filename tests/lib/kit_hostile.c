/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile driver: distorted copies of the requests that a test has sent. The device may answer
 * them or break the queue; it must neither crash nor stop serving a driver that starts afresh.
 */
#include "tests/lib/kit_impl.h"

#define MAX_REQUESTS 16

/* A request as the test sent it. */
struct kit_sample {
	unsigned queue;
	void *out;
	uint32_t out_size, in_size;
	bool done;
};

/* One of it as the device gets it. */
struct kit_attack {
	struct driver_buf out, in;
	uint8_t *bytes; /* of out */
};

static void cut_header(struct kit_attack *a)
{
	a->out.len = MIN(a->out.len, 1);
}

static void cut_out(struct kit_attack *a)
{
	a->out.len /= 2;
}

static void no_out(struct kit_attack *a)
{
	a->out.len = 0;
}

static void cut_in(struct kit_attack *a)
{
	a->in.len = MIN(a->in.len, 1);
}

static void no_in(struct kit_attack *a)
{
	a->in.len = 0;
}

static void swap(struct kit_attack *a)
{
	struct driver_buf out = a->out;

	a->out = a->in;
	a->in = out;
}

static void all_ones(struct kit_attack *a)
{
	memset(a->bytes, 0xff, a->out.len);
}

static void noise(struct kit_attack *a)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(a->out.len);

	for (uint32_t i = 0; i < a->out.len; i++)
		a->bytes[i] = g_rand_int(rand);
}

static void no_such_memory(struct kit_attack *a)
{
	a->in.addr = 1ull << 62;
}

static void end_of_memory(struct kit_attack *a)
{
	a->out.len = UINT32_MAX;
}

static void (*const attacks[])(struct kit_attack *a) = { cut_header, cut_out, no_out, cut_in, no_in,
	swap, all_ones, noise, no_such_memory, end_of_memory };

static struct kit_attack make(struct kit *k, const struct kit_sample *s)
{
	struct kit_attack a = {
		.out = { driver_mem_alloc(k->mem, s->out_size + 1, 16), s->out_size },
		.in = { driver_mem_alloc(k->mem, s->in_size + 1, 16), s->in_size },
	};

	assert_true(a.out.addr && a.in.addr);
	a.bytes = driver_mem_host(k->mem, a.out.addr, s->out_size + 1);
	if (s->out_size)
		memcpy(a.bytes, s->out, s->out_size);
	return a;
}

static void submit(struct kit *k, unsigned queue, const struct kit_attack *a)
{
	struct driver_buf buf[2];
	unsigned n_out = a->out.len > 0, n_in = a->in.len > 0;
	struct kit_request *r;

	buf[0] = a->out;
	buf[n_out] = a->in;
	if (!n_out && !n_in)
		return;
	r = g_new0(struct kit_request, 1);
	g_ptr_array_add(k->requests, r);
	assert_int_equal(driver_ring_add(k->ring[queue], buf, n_out, n_in, r), 0);
	k->world->kick(k, queue);
	k->world->step(k, 0);
	kit_reap(k);
}

static GArray *take_samples(const struct kit *k)
{
	GArray *samples = g_array_new(FALSE, FALSE, sizeof(struct kit_sample));

	for (unsigned i = 0; i < k->requests->len && i < MAX_REQUESTS; i++) {
		const struct kit_request *r = k->requests->pdata[i];
		struct kit_sample s = { r->queue, g_memdup2(r->out, r->out_size), r->out_size,
			r->in_size, r->done };

		g_array_append_val(samples, s);
	}
	return samples;
}

/* Checks that what broke no queue in the test breaks none now, on a device that starts afresh. */
static void check_alive(struct kit *k, const struct kit_sample *s)
{
	struct kit_attack honest;

	k->world->reset(k);
	honest = make(k, s);
	submit(k, s->queue, &honest);
	if (s->done && k->world->is_broken(k))
		fail_msg("a request that was good before: %s", k->world->log(k));
}

void kit_be_hostile(struct kit *k)
{
	g_autoptr(GArray) samples = take_samples(k);
	struct kit_sample *s = (struct kit_sample *)(void *)samples->data;

	for (unsigned i = 0; i < samples->len; i++) {
		for (unsigned j = 0; j < G_N_ELEMENTS(attacks); j++) {
			struct kit_attack a;

			k->world->reset(k);
			a = make(k, &s[i]);
			attacks[j](&a);
			submit(k, s[i].queue, &a);
		}
		check_alive(k, &s[i]);
		g_free(s[i].out);
	}
}
