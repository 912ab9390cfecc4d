/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a process of ours. No other code waits for it, so its pid is not reused before: it
 * may be signalled for as long as it has not ended here.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/syscall_rule.h"

struct reaper {
	pid_t pid;
	int fd; /* readable: look; -1: not watched */
	bool by_fd; /* signals are sent by it */
	bool ended; /* and waited for: no process has this pid any more */
	int status; /* then: waitpid()'s */
};

/* One that ended before it began: for what is cleaned up in any case. */
#define REAPER_NONE ((struct reaper){ .fd = -1, .ended = true })

/* Of a process just started, by pid. False, and errno: *r is good for all but watching. */
bool reaper_init(struct reaper *r, pid_t pid);
/* Has it ended? If not, r->fd is readable again when that may be otherwise. */
bool reaper_look(struct reaper *r);
/*
 * The same, and waits for it: false if it has not ended after so many ms. That may be so even after
 * SIGKILL, while it closes a file of a file system that does not answer.
 */
bool reaper_wait(struct reaper *r, unsigned ms);
/* Nothing to one that has ended. */
void reaper_kill(const struct reaper *r, int signum);
/* What reaper_kill() takes of a sandbox (priv/syscall_filter.h), but for what its core has. */
struct syscall_rule reaper_kill_rule(const struct reaper *r);
/* "was ended by signal 9 (Killed)", "ended with status 1"; to free. */
char *reaper_describe(const struct reaper *r);
/* Closes the fd. */
void reaper_close(struct reaper *r);
