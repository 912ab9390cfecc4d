/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames both ways while somebody on their way is killed. They may be lost then, and come twice;
 * but those that come are whole, each of the guest's is completed, and new ones arrive.
 */
#pragma once

#include "daemon/devices/net/test_net.h"

#define LOAD_DEPTH 16
#define LOAD_FRAME 1514

struct net_load {
	struct kit *k;
	struct net_peer *p;
	struct kit_request *tx[LOAD_DEPTH], *rx[LOAD_DEPTH];
	unsigned next; /* of rx */
	uint8_t number; /* of the newest frame */
};

static inline void load_begin(struct net_load *l, struct kit *k, struct net_peer *p)
{
	uint8_t frame[LOAD_FRAME];

	*l = (struct net_load){ .k = k, .p = p };
	make_frame(frame, LOAD_FRAME, 0);
	for (unsigned i = 0; i < LOAD_DEPTH; i++) {
		l->rx[i] = give_buffer(k, LOAD_FRAME);
		l->tx[i] = send_frame(k, NULL, frame, LOAD_FRAME);
	}
}

/* Requires that a frame is one that was sent; returns whether it is the newest. */
static inline bool load_check(const struct net_load *l, const uint8_t *frame, size_t len)
{
	uint8_t sent[LOAD_FRAME];

	assert_int_equal(len, LOAD_FRAME);
	make_frame(sent, LOAD_FRAME, frame[LOAD_FRAME - 1]);
	assert_memory_equal(frame, sent, LOAD_FRAME);
	return frame[LOAD_FRAME - 1] == l->number;
}

/* Takes what the guest has got; returns whether the newest frame was among it. */
static inline bool load_take(struct net_load *l)
{
	struct kit_request *r = l->rx[l->next];
	bool newest = false;

	for (; kit_is_done(l->k, r); r = l->rx[l->next]) {
		newest |= load_check(l, r->in + HEADER, r->used - HEADER);
		kit_add_again(l->k, r);
		kit_kick(l->k, RX);
		l->next = (l->next + 1) % LOAD_DEPTH;
	}
	return newest;
}

/* Takes what the peer has got, likewise. */
static inline bool load_take_out(struct net_load *l)
{
	const uint8_t *frame;
	bool newest = false;
	ssize_t n;

	kit_is_done(l->k, l->tx[0]);
	while ((n = peer_next(l->p, &frame)) > 0)
		newest |= load_check(l, frame, (size_t)n);
	return newest;
}

static inline void load_add(struct net_load *l, struct kit_request *r)
{
	make_frame(r->out + HEADER, LOAD_FRAME, l->number);
	kit_add_again(l->k, r);
}

/* Has frames on their way in both directions, and does not wait for any. */
static inline void load_both_ways(struct net_load *l)
{
	uint8_t frame[LOAD_FRAME];

	make_frame(frame, LOAD_FRAME, ++l->number);
	for (unsigned i = 0; i < LOAD_DEPTH; i++) {
		load_add(l, l->tx[i]);
		peer_send(l->p, frame, LOAD_FRAME);
	}
	kit_kick(l->k, TX);
}

/* Sends the newest frame of the guest once more, if the last one has gone. */
static inline bool load_goes_out(struct net_load *l)
{
	if (kit_is_done(l->k, l->tx[0])) {
		load_add(l, l->tx[0]);
		kit_kick(l->k, TX);
	}
	load_take(l);
	return load_take_out(l);
}

static inline bool load_comes_in(struct net_load *l)
{
	uint8_t frame[LOAD_FRAME];

	load_take_out(l);
	make_frame(frame, LOAD_FRAME, l->number);
	peer_send(l->p, frame, LOAD_FRAME);
	return load_take(l);
}

/* Requires that nothing hangs, and that new frames arrive. */
static inline void load_goes_on(struct net_load *l)
{
	for (unsigned i = 0; i < LOAD_DEPTH; i++)
		WAIT_UNTIL((load_take_out(l), load_take(l), kit_is_done(l->k, l->tx[i])));
	l->number++;
	WAIT_UNTIL(load_goes_out(l));
	WAIT_UNTIL(kit_is_done(l->k, l->tx[0]));
	l->number++;
	WAIT_UNTIL(load_comes_in(l));
}
