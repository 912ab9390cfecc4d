/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's core in the test's process and thread: opens the program's device with options as
 * from a command line, runs its queues on the real ring engine, and provides the services of
 * daemon/device.h. The test is the driver. Nothing happens but in calls of these functions.
 */
#pragma once

#include <glib.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "daemon/device.h"
#include "driver/driver_mem.h"
#include "driver/driver_ring.h"
#include "memory/guest_mem.h"
#include "ring/vq_engine.h"
#include "tests/lib/kit_shm.h"

#define KIT_WORKERS 2
#define KIT_MEMORY (16u << 20)
#define KIT_MAX_QUEUES 8
/* Features of the ring that a driver here can use. */
#define KIT_RING_FEATURES                                                 \
	(1ull << VIRTIO_F_RING_PACKED | 1ull << VIRTIO_RING_F_EVENT_IDX | \
		1ull << VIRTIO_RING_F_INDIRECT_DESC)
/* Only a failing test waits as long. */
#define KIT_PATIENCE_MS 60000

struct kit_queue {
	struct kit_core *core;
	struct vq *q; /* NULL: not made yet */
	struct driver_ring *ring;
	void *inflight; /* its in-flight area, as a front-end keeps it */
	uint32_t base; /* where a stopped queue goes on */
	bool ready; /* a burst is due */
};

struct kit_core {
	struct virtio_device device;
	struct driver_mem *mem;
	struct guest_mem *guest;
	struct kit_queue queue[KIT_MAX_QUEUES];
	unsigned n_queues; /* that the driver uses; 0: as many as the device has */
	unsigned ring_size; /* 0: 128 */
	bool no_area; /* the queues have no in-flight area */
	struct kit_shm shm;
	unsigned config_changes;
	char *broken; /* why the first queue broke; NULL: none has */
	char *log; /* every line logged since the test began, or since the test cleared it */

	/* The core's own. */
	int epoll, wake;
	bool is_open, stopping;
	struct virtio_watch *watches;
	struct virtio_wakeup *wakeups;
	struct virtio_shm_map *shm_maps; /* that await an answer */
	GPtrArray *timers;
	char **argv;
	GArray *saved_options;
	unsigned fds; /* open before the test */
};

/*
 * cmocka's setup and teardown: *state is a struct kit_core. Teardown fails if an fd is left open.
 */
int kit_core_setup(void **state);
int kit_core_teardown(void **state);

/* Parses the options (NULL ends them) and opens the device. */
bool kit_core_open(struct kit_core *c, GError **error, ...) G_GNUC_NULL_TERMINATED;
bool kit_core_openv(struct kit_core *c, va_list ap, GError **error);
/* Fails the test if open() does not fail, or if its error does not contain text. */
void kit_core_open_fails(struct kit_core *c, const char *text, ...) G_GNUC_NULL_TERMINATED;
void kit_core_open_failsv(struct kit_core *c, const char *text, va_list ap);
void kit_core_close(struct kit_core *c);
/* Makes a driver with these features (VERSION_1 is added) and starts its queues. */
void kit_core_start(struct kit_core *c, uint64_t driver_features);
/* Stops the queues when their requests have ended or are kept. */
void kit_core_stop(struct kit_core *c);
/* Starts them again, where they were. */
void kit_core_resume(struct kit_core *c);
/* Another device takes the place of this one, with the same options and rings. */
void kit_core_restart(struct kit_core *c);
/* The driver starts afresh: the queues are stopped, the device is reset, new rings are started. */
void kit_core_reset(struct kit_core *c);

/* Publishes what was added to queue i's ring and runs bursts until the queue is idle. */
void kit_core_kick(struct kit_core *c, unsigned i);
/*
 * Waits at most timeout_ms for a watch, a timer or a wake-up, and runs all that are due. Returns
 * false if there was none.
 */
bool kit_core_step(struct kit_core *c, int timeout_ms);
/* Lets the timer that is the next one expire now; the clock does not change. */
void kit_core_hurry(struct kit_core *c);
/* The next completed request of queue i, in order of completion; false: none. */
bool kit_core_reap(struct kit_core *c, unsigned i, void **token, uint32_t *len);
/* Requests that the device has taken and not completed, in all queues. */
unsigned kit_core_in_flight(const struct kit_core *c);

/* Returns the address of len bytes of guest memory, filled with `fill`. */
uint64_t kit_core_alloc(struct kit_core *c, uint64_t len, uint8_t fill);
void *kit_core_host(struct kit_core *c, uint64_t addr);

/* kit_call.c: runs a method of the device; line is changed. The caller frees. */
char *kit_core_call(struct kit_core *c, char *line);

/* Between kit_core.c, kit_core_shm.c and kit_services.c. */

/*
 * Runs what a callback does for the group of q (all queues, if q is NULL), and what follows from
 * it.
 */
void kit_core_begin(struct kit_core *c, const struct vq *q);
void kit_core_end(struct kit_core *c, const struct vq *q);
/* Returns the thread that the device wants queue i on. */
unsigned kit_core_thread(const struct kit_core *c, unsigned i);
/* Removes the sources of a thread of which no queue runs. */
void kit_services_stopped(struct kit_core *c, unsigned thread);
bool kit_services_step(struct kit_core *c, int timeout_ms);
/* Ends one request to map shared memory; false: there is none. */
bool kit_core_shm_answer(struct kit_core *c);
void kit_services_open(struct kit_core *c);
void kit_services_close(struct kit_core *c);
/* kit_options.c: parses as main() does; afterwards the variables get their defaults again. */
bool kit_options_parse(struct kit_core *c, va_list ap, GError **error);
void kit_options_restore(struct kit_core *c);
/* The same options for another device. */
void kit_options_parse_again(struct kit_core *c);
