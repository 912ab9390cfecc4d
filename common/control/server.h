/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket of a program: clients that send requests, one a line, and take answers, and
 * events if they ask for them. What the lines mean is the program's: request.h reads them. All of
 * it runs on the main loop. A client that does not read gets no further answer, and delays none but
 * its own; nothing that clients do makes the program grow beyond bounds.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "base/loop.h"

struct control_server;

struct control_client {
	struct control_server *server;
	GString *out; /* not sent yet: answers are added here, each with its line's end */
	void *job; /* no further request is served meanwhile; NULL: none. The program's */
	bool watches; /* gets events. The program sets it */

	/* client.c's */
	int fd;
	struct loop_watch *watch; /* NULL: nothing of it is waited for */
	uint32_t events; /* of the watch */
	GString *in; /* not served yet */
	bool ended; /* sends no more */
	uint64_t lost; /* events that it did not get, and was not told of */
	int64_t active; /* when it sent something, monotonic µs */
};

struct control_ops {
	/* Answers a line, or begins a job and sets client->job. */
	void (*serve)(struct control_client *client, const char *line, size_t len);
	/* The client is leaving, perhaps with a job, which forgets it; NULL: nothing is to do. */
	void (*leave)(struct control_client *client);
	/* What set server->quit has been answered. */
	void (*quit)(struct control_server *server);
};

struct control_server {
	const struct control_ops *ops;
	int fd;
	struct loop_watch *watch, *pause; /* one of them */
	uid_t uid;
	gid_t gid;
	GList *clients; /* of struct control_client */
	bool quit; /* was asked for */
	struct log_limit log_limit;
};

/*
 * fd listens, and is the server's from now on. Root, the user or group that calls this, and those
 * that the process has when a client connects may use it.
 */
void control_server_start(struct control_server *s, const struct control_ops *ops, int fd);
/* All clients leave. */
void control_server_stop(struct control_server *s);
/* Sends a line to the clients that watch; lost: how many there were before that are not sent. */
void control_server_event(struct control_server *s, const char *line, size_t len, uint64_t lost);
/* The client's job is done, and answered: sends that soon, from the main loop. */
void control_client_wake(struct control_client *client);
