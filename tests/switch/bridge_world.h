/* SPDX-License-Identifier: Apache-2.0 */
/* A bridge whose members keep what they get. */
#pragma once

#include "tests/lib/test.h"
#include "tools/switch/bridge.h"

#define MEMBERS 6
#define AGEING 300
#define MAX_SENT 16

/* A frame that was sent. */
struct sent {
	unsigned to, from;
	uint32_t len;
	uint8_t bytes[2000];
};

/* What the last frame became. */
extern struct sent sent[MAX_SENT];
extern unsigned n_sent;

struct bridge_world {
	struct bridge bridge;
	struct bridge_member members[MEMBERS];
	uint8_t frame[NET_STREAM_HEAD + NET_MAX_FRAME + 1];
	uint32_t now;
};

/* *state is the world; no member is in it yet. */
int bridge_setup(void **state);
int bridge_teardown(void **state);
/* Adds members below number n, in VLAN 1 unless that was set before. */
void add(struct bridge_world *w, unsigned n);
/* Sets the address with this number; -1: broadcast. */
void set_mac(uint8_t *to, int n);
void put16(uint8_t *to, unsigned value);
/* A member sends len bytes of the world's frame. */
void input(struct bridge_world *w, unsigned from, uint32_t len);
/* Likewise a frame that is made. tci, inner: of its tags, -1: it has none. */
void send_tagged(struct bridge_world *w, unsigned from, int to, int source, int tci, int inner,
	uint32_t len);
/* Likewise 100 bytes without a tag. */
void send_plain(struct bridge_world *w, unsigned from, int to, int source);
/* Fails unless the last frame went to these members: a bit each. */
void expect(unsigned members);
const struct sent *sent_to(unsigned member);
/*
 * Fails unless the member got the last frame, whose bytes from `was` on follow its header, with
 * this tag (-1: none).
 */
void expect_form(unsigned member, int tci, uint32_t was, uint32_t len);
/* Returns how many frames were dropped for a reason, and fails if some were for others. */
uint64_t drops(const struct bridge_world *w, unsigned member, enum bridge_drop why);
