/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon's core is to a device, for tests: opens it with options as from a command line,
 * runs its queue 0 on the real ring engine, watches fds. The test is the driver.
 */
#pragma once

#include <glib.h>

#include "daemon/device.h"
#include "driver/driver_mem.h"
#include "driver/driver_ring.h"
#include "memory/guest_mem.h"
#include "ring/vq_engine.h"

#define CORE_WORKERS 2
#define CORE_MEMORY (16u << 20)

struct core {
	struct virtio_device device;
	struct driver_mem *mem;
	struct driver_ring *ring;
	struct guest_mem *guest;
	struct vq *q;
	unsigned ring_size; /* 0: as usual */
	uint32_t base;
	unsigned config_changes;
	char *broken; /* why; NULL: it is not */
	char *log; /* every line that was logged since the test began, or was last cleared */
	struct core_watch {
		int fd;
		uint32_t events;
		void (*cb)(struct virtio_device *d, struct vq *q, uint32_t revents);
	} watch[4];
	GArray *saved_options;
	unsigned fds; /* open before the test */
};

/* cmocka's setup and teardown: *state is a struct core. Teardown fails if an fd is left open. */
int core_setup(void **state);
int core_teardown(void **state);

/* Parses the options (NULL ends them) and opens the device. */
bool core_open(struct core *c, GError **error, ...) G_GNUC_NULL_TERMINATED;
/* Fails the test if open() does not fail, or if its error does not contain text. */
void core_open_fails(struct core *c, const char *text, ...) G_GNUC_NULL_TERMINATED;
void core_close(struct core *c);
/* Makes a driver with these features (VERSION_1 is added) and starts queue 0. */
void core_start(struct core *c, uint64_t driver_features);
/* Stops the queue when its requests have ended; core_resume() goes on where it was. */
void core_stop(struct core *c);
void core_resume(struct core *c);

/* Bursts until the queue is idle. */
void core_kick(struct core *c);
/* Waits at most timeout_ms for a watch, and runs its callback in a burst. False: none. */
bool core_wait(struct core *c, int timeout_ms);
/* The next completed request, in order of completion; false: none. */
bool core_reap(struct core *c, void **token, uint32_t *len);

/* len bytes of guest memory, filled with `fill`; the address. */
uint64_t core_alloc(struct core *c, uint64_t len, uint8_t fill);
void *core_host(struct core *c, uint64_t addr);
