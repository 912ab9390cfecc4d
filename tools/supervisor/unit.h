/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One device: its listening socket, which is ours for as long as the device is in the files, and
 * its process, which is started again whenever it ends. All of it runs on the main loop.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/loop.h"
#include "launch/child.h"
#include "launch/device_file.h"
#include "tools/supervisor/past.h"

/* Where all devices are, and what is to be told of a change. */
struct unit_place {
	const char *run; /* sockets are RUN/GUEST/DEVICE.sock */
	const char *programs; /* the folder of virtiod-TYPE */
	void (*changed)(void *opaque); /* a state has changed */
	void *opaque;
};

enum unit_state {
	UNIT_WAITING, /* for those of after= */
	UNIT_STARTING, /* runs, and is not ready */
	UNIT_READY,
	UNIT_RETRYING, /* ended, or could not begin: is started again in delay_ms */
	UNIT_STOPPING, /* was sent SIGTERM */
	UNIT_FAILED, /* its options are wrong: not before a reload or a restart */
	UNIT_STOPPED, /* for good */
};
extern const char *const unit_state_words[];

struct unit {
	const struct unit_place *place;
	char *name, *socket, *notify_path;
	const struct device_entry *entry; /* NULL: removed */
	char *fingerprint; /* of what runs */
	char type[DEVICE_TYPE_MAX + 1]; /* likewise */
	enum unit_state state;
	int listener, notify; /* -1: none */
	struct loop_watch *notify_watch;
	struct loop_watch *timer; /* of waiting, retrying or stopping */
	struct child *child; /* NULL: none runs */
	uint64_t birth; /* of its process: when it began, in the kernel's units */
	int64_t started; /* monotonic µs */
	bool waited; /* long enough for others */
	bool again; /* is started when it has ended */
	unsigned delay_ms; /* before the next start; 0: none was needed for long */
	unsigned n_restarts;
};

struct unit *unit_new(const struct unit_place *place, const char *name);
/* The process must have ended. */
void unit_free(struct unit *u);
/* Takes over fds and process. */
void unit_adopt(struct unit *u, const struct unit_past *past);
/* Tells what the next program takes over. */
void unit_tell(const struct unit *u, struct unit_past *past);

/*
 * Sets what it is now, and returns what that changes: a process of other options is ended and
 * started anew, one whose options are the same is left alone.
 */
enum unit_change {
	UNIT_SAME,
	UNIT_CHANGED
} unit_set(struct unit *u, const struct device_entry *entry);
/* Begins if it waits and may: ready tells whether all those of after= are. */
void unit_poke(struct unit *u, bool ready);
/* Ends its process and starts it again. */
void unit_restart(struct unit *u);
/* Ends its process, if any, for good: the state is UNIT_STOPPED when that is so. */
void unit_stop(struct unit *u);
/* Takes the socket away, so that nobody comes any more. */
void unit_close(struct unit *u);
/* Does not wait for its end any longer. */
void unit_kill(struct unit *u);
/* Returns whether a process runs. */
bool unit_runs(const struct unit *u);
