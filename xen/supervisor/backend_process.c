/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connects to back-ends, and starts and ends their programs. A program serves one connection, its
 * --fd: for another one it is ended and started again. It gets SIGTERM, then SIGKILL after TERM_MS;
 * the main loop goes on meanwhile.
 */
#include "xen/supervisor/backend_process.h"

#include "base/log.h"
#include "base/loop.h"
#include "base/sock.h"
#include "launch/child.h"

#define START_US (1 * G_TIME_SPAN_SECOND)
#define TERM_MS 2000

/* A running program; it may outlive its backend_process. */
struct backend_child {
	struct child *child;
	struct backend_process *owner; /* NULL: freed */
	char *name;
	struct loop_watch *timer; /* runs since SIGTERM */
};

struct backend_process {
	const struct backend_rules *rules;
	struct device_node *node;
	char *name;
	struct backend_rule *rule;
	struct backend_child *child; /* NULL: none runs */
	int64_t started; /* monotonic µs; 0: never */
};

static void on_end(void *opaque)
{
	struct backend_child *p = opaque;
	g_autoptr(GError) how = NULL;

	child_failed(p->child, 0, &how);
	log_msg(p->owner ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, p->name,
		"the back-end has ended: %s", how->message);
	if (p->owner)
		p->owner->child = NULL;
	loop_watch_free(p->timer);
	child_free(p->child);
	g_free(p->name);
	g_free(p);
}

static void on_timer(void *opaque)
{
	struct backend_child *p = opaque;

	log_warning(p->name, "the back-end did not end within %d ms and is killed", TERM_MS);
	child_kill(p->child);
}

static void backend_child_stop(struct backend_child *p)
{
	if (p->timer)
		return;
	child_stop(p->child);
	p->timer = loop_watch_timer(TERM_MS, on_timer, p);
}

struct backend_process *backend_process_new(
	const struct backend_rules *r, const struct device_node *n, const char *name)
{
	struct backend_process *s = g_new0(struct backend_process, 1);

	s->rules = r;
	s->node = device_node_copy(n);
	s->name = g_strdup(name);
	return s;
}

void backend_process_free(struct backend_process *s)
{
	if (!s)
		return;
	if (s->child) {
		s->child->owner = NULL;
		backend_child_stop(s->child);
	}
	backend_rule_free(s->rule);
	device_node_free(s->node);
	g_free(s->name);
	g_free(s);
}

static int not_now(GError **error, const char *why)
{
	g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN, why);
	return -1;
}

static int start(struct backend_process *s, GError **error)
{
	int64_t now = g_get_monotonic_time();
	struct backend_child *p;
	struct child *c;
	int fd = -1;

	if (s->child) {
		backend_child_stop(s->child);
		return not_now(error, "the previous back-end is still ending");
	}
	if (s->started && now - s->started < START_US)
		return not_now(error, "the back-end was started less than a second ago");
	s->started = now;
	c = child_start(s->rule->program, (const char *const *)s->rule->options, &fd, error);
	if (!c)
		return -1;
	p = g_new0(struct backend_child, 1);
	*p = (struct backend_child){ .child = c, .owner = s, .name = g_strdup(s->name) };
	child_on_end(c, on_end, p);
	s->child = p;
	return fd;
}

int backend_process_connect(struct backend_process *s, GError **error)
{
	struct backend_rule *r = backend_rules_find(s->rules, s->node, error);

	if (!r)
		return -1;
	backend_rule_free(s->rule);
	s->rule = r;
	if (r->program)
		return start(s, error);
	return sock_connect_now(r->socket, error);
}

const struct backend_rule *backend_process_rule(const struct backend_process *s)
{
	return s->rule;
}
