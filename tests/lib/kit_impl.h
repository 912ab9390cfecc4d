/* SPDX-License-Identifier: Apache-2.0 */
/* What the kit's own files share. */
#pragma once

#include "tests/lib/kit.h"
#include "tests/lib/kit_core.h"
#include "vhost-user/wire/vu_msg.h"

/* Where the device runs. Failures fail the test. */
struct kit_world {
	void (*setup)(struct kit *k);
	/* Returns 0, or -1 if something was left behind. */
	int (*teardown)(struct kit *k);
	/* Sets k->mem and k->ring. */
	void (*start)(struct kit *k, va_list options);
	void (*start_fails)(struct kit *k, const char *text, va_list options);
	/* Requests were added to this queue's ring. */
	void (*kick)(struct kit *k, unsigned queue);
	/* Lets the device work; waits at most so long for something to happen. */
	bool (*step)(struct kit *k, int timeout_ms);
	void (*pause)(struct kit *k);
	/* Sets k->mem and k->ring anew. */
	void (*reset)(struct kit *k);
	/*
	 * Kills the device's process and starts another in its place; in this process, closes the
	 * device and opens another one.
	 */
	void (*kill)(struct kit *k);
	/* The front-end disconnects, and another one connects. */
	void (*leave)(struct kit *k);
	/* As kit_core_message() and kit_core_state(). */
	bool (*message)(struct kit *k, struct vu_msg *msg);
	bool (*state)(struct kit *k, GByteArray *state, bool load);
	/* Returns the reply to a line of JSON-RPC (changed); the caller frees. */
	char *(*call)(struct kit *k, char *line);
	/* The front-end's shared memory. */
	struct kit_shm *(*shm)(struct kit *k);
	void (*config_read)(struct kit *k, uint32_t offset, void *to, uint32_t size);
	void (*config_write)(struct kit *k, uint32_t offset, const void *from, uint32_t size);
	unsigned (*config_changes)(struct kit *k);
	bool (*is_broken)(struct kit *k);
	/* All that was logged. */
	const char *(*log)(struct kit *k);
};
extern const struct kit_world kit_world_core, kit_world_process;

enum kit_trouble { KIT_NOTHING, KIT_PAUSES, KIT_KILLS, KIT_HOSTILE };

struct kit {
	const struct kit_world *world;
	uint64_t features; /* of ring and device */
	bool in_pieces;
	enum kit_trouble trouble;
	bool no_area; /* the queues have no in-flight area */
	const char *program;
	unsigned rounds; /* of a long run; 0: as usual */

	struct driver_mem *mem;
	struct driver_ring *ring[KIT_MAX_QUEUES];
	unsigned n_queues;
	GPtrArray *requests;
	unsigned completed;
	char *dir;
	GPtrArray *paths;

	void *data; /* the world's own */
};

/* Reaps what is complete. */
void kit_reap(struct kit *k);
/* After a test: sends what no driver should, and sees the device live on. */
void kit_be_hostile(struct kit *k);
