/* SPDX-License-Identifier: Apache-2.0 */
/* The device's program as a child of the test. */
#pragma once

#include <sys/types.h>

#include "tests/lib/kit_impl.h"
#include "vhost-user/front/vu_front.h"

struct kit_process {
	unsigned fds; /* open before the test */
	char **argv; /* without the socket */
	const char *control; /* --control, if the device has methods */
	pid_t pid; /* 0: none */
	int log;
	char *log_text;
	struct vu_front *front;
	uint64_t features;
	struct vu_front_inflight area;
	int kick[KIT_MAX_QUEUES], call[KIT_MAX_QUEUES], err[KIT_MAX_QUEUES];
	uint32_t base[KIT_MAX_QUEUES];
	unsigned config_changes;
	struct kit_shm shm;
	bool is_broken;
};

/* Takes the program's arguments; NULL ends them. */
void kit_process_options(struct kit *k, va_list options);
/* Starts the program; returns our end of its socket. */
int kit_process_spawn(struct kit_process *p);
/* Waits for its end; returns waitpid()'s status. */
int kit_process_reap(struct kit_process *p);
/* Returns the reply of its control socket; the caller frees. */
char *kit_process_call(struct kit *k, char *line);
/* Returns all that it and its predecessors have logged. */
const char *kit_process_log(struct kit *k);
