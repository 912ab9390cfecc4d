/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the control socket share. */
#pragma once

#include "base/loop.h"
#include "daemon/control/control.h"
#include "daemon/control/request.h"

#define CONTROL_MAX_CLIENTS 16
#define CONTROL_MAX_LINE (64u << 10) /* bytes of a request */
#define CONTROL_MAX_BACKLOG (64u << 10) /* bytes that are not sent yet: no event is added */

/* A method of the device that was asked for. */
struct control_job {
	struct backend_call call; /* the first member */
	struct control *control;
	struct control_client *client; /* NULL: it has left */
	char *line; /* what request and call point into */
	struct control_request request;
	struct json json; /* the reply */
};

struct control_client {
	struct control *control;
	int fd;
	struct loop_watch *watch; /* NULL: nothing of it is waited for */
	uint32_t events; /* of the watch */
	GString *in, *out; /* not served yet; not sent yet */
	struct control_job *job; /* no further request is served meanwhile; NULL: none */
	bool ended; /* sends no more */
	bool watches; /* gets events */
	uint64_t lost; /* events that it did not get, and was not told of */
	int64_t active; /* when it sent something, monotonic µs */
};

struct control {
	struct backend *backend;
	struct server *server;
	int fd;
	struct loop_watch *watch, *pause; /* one of them */
	uid_t uid;
	gid_t gid;
	GList *clients; /* of struct control_client */
	GQueue jobs; /* of struct control_job, in their order */
	bool running; /* the first one does */
	bool starting; /* start() is at work */
	bool quit; /* was asked for */
	struct log_limit log_limit;
};

/* control.c */

/* Queues a method of the device, and runs it when those before it are done. */
void control_add_job(struct control *c, struct control_job *job);
/* Whether any client gets events has changed. */
void control_update_events(struct control *c);

/* methods.c: answers a line, or makes it a job. */
void control_serve_line(struct control_client *client, const char *line, size_t len);

/* client.c */

struct control_client *control_client_new(struct control *c, int fd);
/* Its job, if it has one, goes on. */
void control_client_free(struct control_client *client);
/* Serves, sends and waits for more; may free the client. */
void control_client_pump(struct control_client *client);
/* Something of it is to be sent: pumps soon, from the main loop. */
void control_client_wake(struct control_client *client);
/* Sends a line that is an event; may free the client. */
void control_client_event(struct control_client *client, const char *line, size_t len);
