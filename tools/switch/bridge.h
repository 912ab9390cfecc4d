/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forwarding of a learning switch: which ports a frame goes to, and with which tag. Pure: it
 * knows members, not files, and who calls tells the time.
 *
 * Frames come, and go, as on stream sockets: after their length, a big-endian 32-bit number. So
 * frames that follow each other in memory, and go to the same port as they came, are one piece.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "net/stream.h"
#include "tools/switch/mac_table.h"
#include "tools/switch/vlan_set.h"

#define BRIDGE_MAX_MEMBERS 256

/* Why frames do not go on. Those from a member count with it, others with whom they were for. */
enum bridge_drop {
	BRIDGE_DROP_SHORT, /* from it: no whole header, or no whole tag */
	BRIDGE_DROP_LONG, /* for it: no room for a tag */
	BRIDGE_DROP_RESERVED, /* from it: for the switch itself (pause frames, LLDP and the like) */
	BRIDGE_DROP_VLAN, /* from it: of a VLAN that it is not in */
	BRIDGE_DROP_ISOLATED, /* from it: for another isolated one */
	BRIDGE_DROP_NESTED, /* for it, untagged: a tag would remain that says another VLAN */
	BRIDGE_DROP_FULL, /* for it: it is too slow */
	BRIDGE_DROP_FAILED, /* for it: its file refused the frame */
	BRIDGE_DROPS,
};
extern const char *const bridge_drop_names[BRIDGE_DROPS];

struct bridge_stats {
	uint64_t rx_frames, rx_bytes; /* from the member */
	uint64_t tx_frames, tx_bytes; /* to it; counted by send() */
	uint64_t drops[BRIDGE_DROPS];
};

struct bridge_member {
	/* Set before it is added. */
	unsigned native; /* VLAN of its frames without a tag; 0: it has none */
	struct vlan_set tagged; /* VLANs of its frames with a tag */
	bool isolated; /* has no connection to other isolated members */

	struct bridge_stats stats;
	unsigned number; /* below BRIDGE_MAX_MEMBERS; while it is a member */
	unsigned place; /* bridge.c's */
	bool trunk; /* takes frames with a tag */
};

/* One to be sent. The pieces stay as they are until bridge_release(). */
struct bridge_frame {
	struct iovec iov[2]; /* the first begins with the length, and has the addresses, too */
	unsigned n;
	uint32_t len; /* of the frame alone */
};

/* Sends, or queues, a frame, counts it, and keeps no pointer to f itself. */
typedef void bridge_send(
	struct bridge_member *to, const struct bridge_member *from, const struct bridge_frame *f);

struct bridge {
	bridge_send *send;
	struct mac_table *macs;
	struct bridge_member *members[BRIDGE_MAX_MEMBERS]; /* by number */
	struct bridge_member *list[BRIDGE_MAX_MEMBERS]; /* the n that are there */
	unsigned n, max;
	uint64_t moves, refused; /* of addresses: to another port; for lack of room */
	uint8_t *scratch; /* frames with other tags */
	size_t used;
};

/* max: of members; macs, ageing_s, key: mac_table_new(). */
void bridge_init(struct bridge *b, bridge_send *send, unsigned max, unsigned macs,
	uint32_t ageing_s, uint64_t key);
void bridge_clear(struct bridge *b);
/* Adds a member; false: there are max of them. Statistics go on. */
bool bridge_add(struct bridge *b, struct bridge_member *m);
/* Removes it; all addresses behind it are forgotten. */
void bridge_remove(struct bridge *b, struct bridge_member *m);

/* Returns whether there is room for bridge_input(); if not, bridge_release() makes it. */
bool bridge_has_room(const struct bridge *b);
/* All frames were sent, or copied. */
void bridge_release(struct bridge *b);
/*
 * Takes a frame that a member sent: its length is in the 4 bytes before it. The frame, which may be
 * changed, stays until bridge_release(). now: seconds.
 */
void bridge_input(
	struct bridge *b, struct bridge_member *from, uint8_t *frame, uint32_t len, uint32_t now);
