/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile driver may write, and where: all fields of a vring and all registers. */
#pragma once

#include "tests/storm/guest_disk.h"

enum attack_on {
	ATTACK_DESC, /* the descriptors */
	ATTACK_AVAIL, /* the available ring; packed: the driver's event suppression */
	ATTACK_USED, /* the used ring; packed: the device's event suppression */
	ATTACK_TABLE, /* the first descriptor's indirect table */
	ATTACK_HEADER, /* of the first request */
	ATTACK_SETTING, /* a register, before the queue is ready */
	ATTACK_RUNNING, /* a register, while requests are in flight */
};

struct attack {
	enum attack_on on;
	unsigned at, width; /* bytes */
	uint64_t value;
	bool is_change; /* the value is added to what is there */
	bool must_break; /* the device cannot but notice */
};

/* Returns all of them, for a packed or a split vring of DISK_RING descriptors: struct attack. */
GArray *attacks_new(bool packed);
void attack_register(struct disk *k, const struct attack *a);
/* Of a ring with requests in flight. */
void attack_memory(struct disk *k, const struct attack *a);
