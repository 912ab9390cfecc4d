/* SPDX-License-Identifier: Apache-2.0 */
/* Clients come, and methods of the device run one after the other. */
#include "daemon/control/control.h"

#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"
#include "daemon/control/control_impl.h"

/* How long no client is accepted after fds or memory were short. */
#define ACCEPT_PAUSE_MS 500

static bool may_connect(const struct control *c, int fd)
{
	uid_t uid;
	gid_t gid;

	if (!sock_peer_user(fd, &uid, &gid))
		return false;
	return uid == 0 || uid == c->uid || uid == geteuid() || gid == c->gid || gid == getegid();
}

/* Returns the client that has been silent for longest, of those that wait for nothing. */
static struct control_client *find_idle(const struct control *c)
{
	struct control_client *idle = NULL;

	for (const GList *l = c->clients; l; l = l->next) {
		struct control_client *client = l->data;

		if (!client->job && !client->watches && (!idle || client->active < idle->active))
			idle = client;
	}
	return idle;
}

/* Returns whether there is room for one more. */
static bool make_room(struct control *c)
{
	struct control_client *idle;

	if (g_list_length(c->clients) < CONTROL_MAX_CLIENTS)
		return true;
	idle = find_idle(c);
	if (idle)
		control_client_free(idle);
	return idle;
}

static void on_client(void *opaque, uint32_t revents);

static void listen_again(void *opaque)
{
	struct control *c = opaque;

	g_clear_pointer(&c->pause, loop_watch_free);
	c->watch = loop_watch_fd(c->fd, EPOLLIN, on_client, c);
}

static void on_client(void *opaque, uint32_t revents)
{
	struct control *c = opaque;
	autofd fd = sock_accept(c->fd);
	const char *why = NULL;

	if (fd < 0) {
		if (errno == EAGAIN || errno == ECONNABORTED)
			return;
		/* It stays in the backlog: the watch would call at once. */
		g_clear_pointer(&c->watch, loop_watch_free);
		c->pause = loop_watch_timer(ACCEPT_PAUSE_MS, listen_again, c);
		return;
	}
	if (!may_connect(c, fd))
		why = "its user and group are others";
	else if (!make_room(c))
		why = "there are too many";
	if (why)
		log_limited(&c->log_limit, LOG_LEVEL_WARNING, "control",
			"a client was turned away: %s", why);
	else
		control_client_pump(control_client_new(c, fd_steal(&fd)));
}

/* Events. */

static void on_event(void *opaque, const char *line, size_t len)
{
	struct control *c = opaque;
	uint64_t lost = backend_lost_events(c->backend);

	for (GList *l = c->clients, *next; l; l = next) {
		struct control_client *client = l->data;

		next = l->next;
		if (!client->watches)
			continue;
		client->lost += lost;
		control_client_event(client, line, len);
	}
}

void control_update_events(struct control *c)
{
	bool wanted = false;

	for (const GList *l = c->clients; l; l = l->next)
		wanted |= ((struct control_client *)l->data)->watches;
	backend_watch_events(c->backend, wanted ? on_event : NULL, c);
}

/* Jobs. */

static void free_job(struct control_job *job)
{
	if (!job)
		return;
	if (job->client)
		job->client->job = NULL;
	g_string_free(job->json.out, TRUE);
	g_clear_error(&job->call.error);
	g_free(job->line);
	g_free(job);
}

static void answer(struct control_job *job)
{
	GString *out = job->client->out;

	if (job->request.is_notification)
		return;
	if (!job->call.ok) {
		control_reply_error(out, &job->request, CONTROL_FAILED, job->call.error->message);
		return;
	}
	control_reply_end(&job->json);
	g_string_append_len(out, job->json.out->str, job->json.out->len);
}

static void start(struct control *c);

static void on_done(void *call)
{
	struct control_job *job = call;
	struct control *c = job->control;
	struct control_client *client = job->client;

	g_queue_pop_head(&c->jobs);
	if (client)
		answer(job);
	free_job(job);
	if (client)
		control_client_wake(client);
	c->running = false;
	start(c);
}

/* Runs the next job, and those that follow it while each is done at once. */
static void start(struct control *c)
{
	if (c->starting)
		return;
	c->starting = true;
	while (!c->running && !g_queue_is_empty(&c->jobs)) {
		struct control_job *job = g_queue_peek_head(&c->jobs);

		c->running = true;
		backend_call(c->backend, &job->call);
	}
	c->starting = false;
}

void control_add_job(struct control *c, struct control_job *job)
{
	job->call.done = on_done;
	g_queue_push_tail(&c->jobs, job);
	start(c);
}

/* Its life. */

struct control *control_new(struct backend *b, struct server *s, int fd)
{
	struct control *c = g_new(struct control, 1);

	*c = (struct control){
		.backend = b,
		.server = s,
		.fd = fd,
		.uid = geteuid(),
		.gid = getegid(),
	};
	listen_again(c);
	return c;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	loop_watch_free(c->watch);
	loop_watch_free(c->pause);
	for (GList *l = c->clients; l; l = l->next)
		((struct control_client *)l->data)->watches = false;
	while (c->clients)
		control_client_free(c->clients->data);
	g_queue_clear_full(&c->jobs, (GDestroyNotify)free_job);
	fd_close(&c->fd);
	g_free(c);
}
