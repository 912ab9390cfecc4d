/* SPDX-License-Identifier: Apache-2.0 */
/* A whole virtiod-<device>, run as management software runs it, and its socket in a new folder. */
#pragma once

#include "tests/lib/test.h"

#include <signal.h>
#include <sys/types.h>

extern const char *program; /* to be set by main() */
extern char *dir, *path, *path_option; /* the folder, the socket, --socket-path= */

/* cmocka's setup and teardown: the folder is empty at the end. */
int program_setup(void **state);
int program_teardown(void **state);

/* A running program. out, err: what it writes. */
struct running {
	pid_t pid;
	int out, err;
};

/* fd: becomes fd 3 of the child, or -1. env: NAME=value to add, or NULL. */
struct running start(int fd, const char *env, const char *const *options);
#define START(fd, env, ...) start(fd, env, (const char *const[]){ __VA_ARGS__, NULL })
/* Waits for its end: the exit status. */
int end(struct running *c, char **out, char **err);
void assert_ends(struct running *c, int want, const char *message);

/* Dials until somebody listens. */
int dial(void);
/* GET_FEATURES is answered: 1; the connection was closed instead: 0. */
int is_served(int fd);
