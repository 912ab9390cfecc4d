/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a virtiod leaves to the next one: by exec(), in a file without a name, with all fds; and if
 * it is killed, in RUN/.state, by which the next one ends the processes that go on.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "launch/device_file.h"

/* One device. */
struct unit_past {
	char name[DEVICE_GUEST_MAX + DEVICE_NAME_MAX + 2];
	char type[DEVICE_TYPE_MAX + 1], fingerprint[65]; /* of what runs; "-": nothing has */
	int listener, output, notify; /* -1: none */
	pid_t pid; /* 0: none */
	uint64_t birth;
	bool ready;
	unsigned delay_ms, n_restarts;
};

struct past_state {
	int control; /* the control socket, listening; -1: none */
	GArray *units; /* struct unit_past */
};
typedef struct past_state past_state; /* for g_auto */
void past_state_clear(struct past_state *p);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(past_state, past_state_clear)

/* Returns what tells a device's program, options and socket from others; the caller frees. */
char *past_fingerprint(const struct device_entry *e);
/* When a process began, in the kernel's units: no other one has the same pid and this. 0: none. */
uint64_t past_birth(pid_t pid);

/* Returns the text of it, one line for each; the caller frees. */
char *past_text(const struct past_state *p);
/* Reads such a text. False: it is none; *p is then to be cleared all the same. */
bool past_parse(struct past_state *p, const char *text);

/* Writes RUN/.state anew. */
void past_save(const struct past_state *p, const char *run);
/* Ends the processes that RUN/.state names, if any: SIGTERM, after two seconds SIGKILL; waits. */
void past_end_processes(const char *run);
void past_remove(const char *run);

/*
 * Has the next program inherit all fds, and another of the text, which is returned; -1: an error.
 * If exec() fails, past_set_inherited(p, false) takes that back.
 */
int past_hand_over(const struct past_state *p, GError **error);
void past_set_inherited(const struct past_state *p, bool inherited);
/* Returns the fds, ended by -1, for start_close_fds(); the caller frees. */
int *past_fds(const struct past_state *p);
/* Reads what past_hand_over() gave and closes fd. */
bool past_take_over(struct past_state *p, int fd, GError **error);
