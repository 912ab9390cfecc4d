/* SPDX-License-Identifier: Apache-2.0 */
/* See bridge_world.h. */
#include "tests/switch/bridge_world.h"

#include <endian.h>

#include "base/iov.h"

#define TAG 0x8100

struct sent sent[MAX_SENT];
unsigned n_sent;

static void on_send(
	struct bridge_member *to, const struct bridge_member *from, const struct bridge_frame *f)
{
	struct sent *s = &sent[n_sent++];
	uint32_t head;
	struct iov_cursor c =
		iov_cursor(f->iov, f->n, (f->n > 1 ? f->iov[1].iov_len : 0) + f->iov[0].iov_len);

	assert_true(n_sent <= MAX_SENT);
	*s = (struct sent){ .to = to->number, .from = from->number, .len = f->len };
	assert_int_equal(iov_pull(&c, &head, sizeof(head)), sizeof(head));
	assert_int_equal(be32toh(head), f->len);
	assert_int_equal(iov_left(&c), f->len);
	iov_pull(&c, s->bytes, sizeof(s->bytes));
}

int bridge_setup(void **state)
{
	struct bridge_world *w = g_new0(struct bridge_world, 1);

	bridge_init(&w->bridge, on_send, MEMBERS, 64, AGEING, 1);
	*state = w;
	return 0;
}

int bridge_teardown(void **state)
{
	struct bridge_world *w = *state;

	bridge_clear(&w->bridge);
	g_free(w);
	return 0;
}

void add(struct bridge_world *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct bridge_member *m = &w->members[i];

		if (!m->native && vlan_set_is_empty(&m->tagged))
			m->native = 1;
		assert_true(bridge_add(&w->bridge, m));
		assert_int_equal(m->number, i);
	}
}

void set_mac(uint8_t *to, int n)
{
	memset(to, 0xff, NET_MAC_SIZE);
	if (n >= 0)
		memcpy(to, (uint8_t[]){ 2, 0, 0, 0, 0, n }, NET_MAC_SIZE);
}

void input(struct bridge_world *w, unsigned from, uint32_t len)
{
	uint32_t head = htobe32(len);

	n_sent = 0;
	memcpy(w->frame, &head, sizeof(head));
	bridge_input(&w->bridge, &w->members[from], w->frame + NET_STREAM_HEAD, len, w->now);
	bridge_release(&w->bridge);
}

void put16(uint8_t *to, unsigned value)
{
	to[0] = value >> 8;
	to[1] = value;
}

void send_tagged(
	struct bridge_world *w, unsigned from, int to, int source, int tci, int inner, uint32_t len)
{
	uint8_t *f = w->frame + NET_STREAM_HEAD, *at = f + 12;

	for (uint32_t i = 0; i < len; i++)
		f[i] = i;
	set_mac(f, to);
	set_mac(f + 6, source);
	for (unsigned i = 0; i < 2; i++) {
		int t = i ? inner : tci;

		if (t < 0)
			continue;
		put16(at, TAG);
		put16(at + 2, t);
		at += 4;
	}
	put16(at, 0x88b5);
	input(w, from, len);
}

void send_plain(struct bridge_world *w, unsigned from, int to, int source)
{
	send_tagged(w, from, to, source, -1, -1, 100);
}

void expect(unsigned members)
{
	unsigned to = 0;

	for (unsigned i = 0; i < n_sent; i++) {
		assert_false(to & 1u << sent[i].to);
		to |= 1u << sent[i].to;
	}
	assert_int_equal(to, members);
}

const struct sent *sent_to(unsigned member)
{
	for (unsigned i = 0; i < n_sent; i++) {
		if (sent[i].to == member)
			return &sent[i];
	}
	fail_msg("nothing was sent to %u", member);
	return NULL;
}

void expect_form(unsigned member, int tci, uint32_t from_at, uint32_t len)
{
	const struct sent *s = sent_to(member);
	uint32_t header = tci >= 0 ? 18 : 14, was = from_at;

	assert_int_equal(s->len, header + len - was);
	assert_int_equal(s->bytes[11], 1);
	if (tci >= 0) {
		assert_int_equal(s->bytes[12] << 8 | s->bytes[13], TAG);
		assert_int_equal(s->bytes[14] << 8 | s->bytes[15], tci);
	}
	assert_int_equal(s->bytes[header - 2] << 8 | s->bytes[header - 1], 0x88b5);
	for (uint32_t i = 0; i < MIN(len, sizeof(s->bytes)) - was; i++)
		assert_int_equal(s->bytes[header + i], (uint8_t)(was + i));
}

uint64_t drops(const struct bridge_world *w, unsigned member, enum bridge_drop why)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < BRIDGE_DROPS; i++)
		all += w->members[member].stats.drops[i];
	assert_int_equal(all, w->members[member].stats.drops[why]);
	return all;
}
