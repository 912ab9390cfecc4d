/* SPDX-License-Identifier: Apache-2.0 */
/* See collect.h. */
#include "tools/metrics/collect.h"

#include <poll.h>
#include <signal.h>

#include "tools/control/metrics_text.h"
#include "tools/control/round.h"

#define PATIENCE_US (G_TIME_SPAN_SECOND - 1)

/* A daemon, and what it answered this time. */
struct collected {
	struct round_daemon round;
	bool late; /* what comes next is an answer to an earlier question */
	char *line; /* NULL: nothing */
	struct json_value result; /* in line */
};

struct collector {
	struct collected *daemons;
	struct pollfd *pfds; /* by daemon */
	unsigned n;
};

struct collector *collector_new(char *const *paths)
{
	struct collector *c = g_new(struct collector, 1);

	c->n = g_strv_length((GStrv)paths);
	c->daemons = g_new0(struct collected, c->n);
	c->pfds = g_new(struct pollfd, c->n);
	for (unsigned i = 0; i < c->n; i++)
		c->daemons[i].round = (struct round_daemon){ .path = paths[i], .client.fd = -1 };
	return c;
}

void collector_free(struct collector *c)
{
	for (unsigned i = 0; i < c->n; i++)
		round_leave(&c->daemons[i].round);
	g_free(c->daemons);
	g_free(c->pfds);
	g_free(c);
}

/* Takes what has come of late answers, which nobody wants any more. */
static void drop_late(struct collected *d)
{
	g_autofree char *line = NULL;
	struct json_value result;

	d->late = d->round.asked && round_take(&d->round, &line, &result) == ROUND_WAIT;
}

/* Waits until something has come; false: there is nothing to wait for, or no time. */
static bool wait_for_some(struct collector *c, int64_t until)
{
	int64_t left_us = until - g_get_monotonic_time();
	const struct timespec limit = { 0, MAX(left_us, 0) % G_USEC_PER_SEC * 1000 };
	bool any = false;
	sigset_t none;

	for (unsigned i = 0; i < c->n; i++) {
		const struct collected *d = &c->daemons[i];
		bool wanted = d->round.asked && !d->late;

		c->pfds[i] =
			(struct pollfd){ .fd = wanted ? d->round.client.fd : -1, .events = POLLIN };
		any |= wanted;
	}
	sigemptyset(&none); /* a signal ends the program */
	return any && left_us > 0 && ppoll(c->pfds, c->n, &limit, &none) > 0;
}

static void ask_all(struct collector *c)
{
	int64_t until = g_get_monotonic_time() + PATIENCE_US;

	for (unsigned i = 0; i < c->n; i++) {
		drop_late(&c->daemons[i]);
		if (!c->daemons[i].late)
			round_ask(&c->daemons[i].round);
	}
	while (wait_for_some(c, until)) {
		for (unsigned i = 0; i < c->n; i++) {
			struct collected *d = &c->daemons[i];

			if (c->pfds[i].revents)
				round_take(&d->round, &d->line, &d->result);
		}
	}
}

char *collector_text(struct collector *c)
{
	g_autoptr(metrics) m = metrics_new();

	ask_all(c);
	for (unsigned i = 0; i < c->n; i++) {
		struct collected *d = &c->daemons[i];

		if (!d->line || !metrics_add(m, d->round.path, &d->result))
			metrics_add_silent(m, d->round.path);
		g_clear_pointer(&d->line, g_free);
	}
	return metrics_text(m);
}
