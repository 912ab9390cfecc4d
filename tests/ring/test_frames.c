/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that span many buffers are seen whole or not at all. The driver looks at each publication:
 * what it finds must end with the last buffer of a frame.
 *
 *	test_ring_frames [FRAMES]	jumbo frames of each combination
 */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "ring/vq_engine.h"
#include "virtio/inflight.h"

#define RING 256
#define BUFFER 256u
#define JUMBO 9018u

static unsigned long n_frames = 2000;

/* In front of a frame, and of each of its buffers: which one it is. */
struct header {
	uint32_t frame, part;
	uint32_t parts; /* of the whole frame */
};

struct stream {
	struct fake f;
	bool by_the_buffer; /* the device pushes each buffer by itself */
	uint32_t sent, seen; /* frames */
	uint32_t part, parts; /* of the frame that is seen */
	unsigned long torn;
	uint8_t payload[BUFFER];
};

static _Alignas(64) uint8_t area[1 << 14];

static void post(struct fake *f, unsigned id)
{
	const struct fake_buf b = { DATA_ADDR + BUFFER * id, BUFFER, VRING_DESC_F_WRITE };

	fake_list(f, id, &b, 1);
}

static void check_buffer(struct stream *s, uint32_t id, uint32_t len)
{
	const uint8_t *data = fake_host(&s->f, DATA_ADDR + BUFFER * id);
	struct header h;

	memcpy(&h, data, sizeof(h));
	assert_int_equal(h.frame, s->seen);
	assert_int_equal(h.part, s->part);
	assert_in_range(len, sizeof(h), BUFFER);
	assert_false(memcmp(data + sizeof(h), s->payload + sizeof(h), len - sizeof(h)));
	s->parts = h.parts;
	if (++s->part == h.parts) {
		s->part = 0;
		s->seen++;
	}
}

/* Handles the driver's interrupt: after each publication. */
static void on_call(struct fake *f)
{
	struct stream *s = container_of(f, struct stream, f);
	unsigned n = 0, ids[RING];
	uint32_t id, len;

	while (fake_reap(f, &id, &len)) {
		check_buffer(s, id, len);
		ids[n++] = id;
	}
	s->torn += s->part > 0;
	for (unsigned i = 0; i < n; i++)
		post(f, ids[i]);
}

static void fill(struct stream *s, struct vq_chain *c, uint32_t part, uint32_t parts, uint32_t len)
{
	const struct header h = { s->sent, part, parts };
	struct iov_cursor head = c->in;

	iov_skip(&c->in, sizeof(h));
	iov_push(&c->in, s->payload + sizeof(h), len - sizeof(h));
	iov_push(&head, &h, sizeof(h));
}

/* Sends a frame of this length; false: there are too few buffers, and all of them are put back. */
static bool send(struct stream *s, uint32_t len)
{
	unsigned parts = (len + BUFFER - 1) / BUFFER, n = 0;
	struct vq_chain *c[RING];

	while (n < parts && (c[n] = vq_pop(s->f.q)))
		n++;
	if (n < parts) {
		while (n > 0)
			vq_unpop(c[--n]);
		return false;
	}
	for (unsigned i = 0; i < parts; i++, len -= BUFFER)
		fill(s, c[i], i, parts, MIN(len, BUFFER));
	s->sent++;
	if (s->by_the_buffer)
		for (unsigned i = 0; i < parts; i++)
			vq_push(c[i]);
	else
		vq_push_all(c, parts);
	return true;
}

/* Serves one burst. Between the large frames small ones, so that these begin anywhere. */
static void serve(struct stream *s)
{
	bool sent;

	vq_burst_begin(s->f.q);
	do
		sent = send(s, s->sent % 3 ? JUMBO - s->sent % 512 : 64);
	while (sent);
	vq_burst_end(s->f.q);
}

static unsigned long run(
	bool tracked, bool bounce, uint64_t features, bool by_the_buffer, unsigned long frames)
{
	struct stream s = { .by_the_buffer = by_the_buffer };
	struct fake *f = &s.f;

	for (unsigned i = 0; i < BUFFER; i++)
		s.payload[i] = i;
	fake_open(f, bounce);
	f->bounce = bounce;
	f->on_call = on_call;
	fake_layout(f, RING, features);
	memset(area, 0, sizeof(area));
	if (tracked) {
		f->setup.inflight = area;
		f->setup.inflight_len = sizeof(area);
	}
	fake_vq_start(f);
	for (unsigned id = 0; id < RING; id++)
		post(f, id);
	/* Two of three frames are large. */
	while (s.sent < frames / 2 * 3)
		serve(&s);
	fake_vq_stop(f);
	on_call(f);
	assert_int_equal(s.seen, s.sent);
	assert_int_equal(s.part, 0);
	assert_int_equal(f->breaks, 0);
	fake_close(f);
	return s.torn;
}

static void test_whole(void **state)
{
	for (unsigned i = 0; i < 8; i++) {
		bool tracked = i & 1, bounce = i & 2;
		uint64_t features = i & 4 ? IN_ORDER : 0;
		unsigned long torn = run(tracked, bounce, features, false, n_frames);

		print_message("%s%s%s: %lu torn of %lu\n", tracked ? "in-flight area" : "no area",
			bounce ? ", bounced" : "", features ? ", in order" : "", torn, n_frames);
		assert_int_equal(torn, 0);
	}
}

/* The count does find what is torn. */
static void test_torn(void **state)
{
	assert_in_range(run(true, true, 0, true, 100), 50, 10000);
	assert_in_range(run(false, false, 0, true, 100), 50, 10000);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_torn),
	};

	if (argc > 1)
		n_frames = strtoul(argv[1], NULL, 10);
	return fake_run_both(tests);
}
