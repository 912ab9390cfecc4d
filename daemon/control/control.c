/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of the device run one after the other, and its events go to those who ask. */
#include "daemon/control/control.h"

#include "base/util.h"
#include "daemon/control/control_impl.h"

/* Events. */

static void on_event(void *opaque, const char *line, size_t len)
{
	struct control *c = opaque;

	control_server_event(&c->server, line, len, backend_lost_events(c->backend));
}

void control_update_events(struct control *c)
{
	bool wanted = false;

	for (const GList *l = c->server.clients; l; l = l->next)
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

static void on_leave(struct control_client *client)
{
	struct control_job *job = client->job;

	if (job)
		job->client = NULL;
	if (client->watches)
		control_update_events(control_of(client));
}

static void on_quit(struct control_server *s)
{
	server_quit(container_of(s, struct control, server)->daemon);
}

static const struct control_ops ops = {
	.serve = control_serve_line,
	.leave = on_leave,
	.quit = on_quit,
};

struct control *control_new(struct backend *b, struct server *s, int fd)
{
	struct control *c = g_new(struct control, 1);

	*c = (struct control){ .backend = b, .daemon = s };
	control_server_start(&c->server, &ops, fd);
	return c;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	control_server_stop(&c->server);
	g_queue_clear_full(&c->jobs, (GDestroyNotify)free_job);
	g_free(c);
}
