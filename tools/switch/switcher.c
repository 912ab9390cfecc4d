/* SPDX-License-Identifier: Apache-2.0 */
/* See switcher.h. */
#include "tools/switch/switcher.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/util.h"
#include "tools/switch/listener.h"
#include "tools/switch/port.h"

/* After so many rounds the main loop looks at what else there is: signals, listeners. */
#define ROUNDS 32

uint32_t switcher_now(void)
{
	return (uint32_t)(clock_now_ns() / 1000000000);
}

void switcher_add_dirty(struct switcher *sw, struct port *p)
{
	if (p->dirty)
		return;
	p->dirty = true;
	sw->dirty[sw->n_dirty++] = p;
}

void switcher_flush(struct switcher *sw)
{
	while (sw->n_dirty) {
		struct port *p = sw->dirty[--sw->n_dirty];

		p->dirty = false;
		port_flush(p);
	}
	bridge_release(&sw->bridge);
}

bool switcher_has_room(const struct switcher *sw)
{
	return sw->n_dynamic + sw->ports->len < sw->bridge.max;
}

void switcher_attach(struct switcher *sw, struct port *p, int fd)
{
	bridge_add(&sw->bridge, &p->member);
	if (!p->is_static) {
		p->name = g_strdup_printf("%s.%u", p->settings->name, p->member.number);
		sw->n_dynamic++;
	}
	port_up(p, fd);
	log_limited(&sw->limit, LOG_LEVEL_INFO, p->name, "is up");
}

static struct port *port_of(struct bridge_member *m)
{
	return container_of(m, struct port, member);
}

/* Takes a port that has ended out of the switch: no other port needs its frames any more. */
static void detach(struct switcher *sw, struct port *p)
{
	bridge_remove(&sw->bridge, &p->member);
	log_limited(&sw->limit, LOG_LEVEL_INFO, p->name, "is down");
	if (!p->is_static) {
		sw->n_dynamic--;
		port_free(p);
		return;
	}
	port_down(p);
	if (p->settings->path)
		port_dial_later(p);
}

/* Lets the ports that are readable have their turn, a different one first in each round. */
static void take_turns(struct switcher *sw)
{
	struct bridge *b = &sw->bridge;
	uint32_t now = switcher_now();

	sw->turn++;
	for (unsigned i = 0; i < b->n; i++) {
		struct port *p = port_of(b->list[(sw->turn + i) % b->n]);

		if (p->ready || p->backlog)
			port_turn(p, now);
		p->ready = false;
	}
}

/* Closes what has ended. Returns whether a port has frames that were read. */
static bool finish(struct switcher *sw)
{
	struct bridge *b = &sw->bridge;
	bool more = false;

	for (unsigned i = b->n; i-- > 0;) {
		struct port *p = port_of(b->list[i]);

		more |= p->backlog;
		if (p->ended)
			detach(sw, p);
	}
	return more;
}

/* Returns how many ports had something to do; *more: some have, whatever their files say. */
static int run_round(struct switcher *sw, bool *more)
{
	struct epoll_event events[BRIDGE_MAX_MEMBERS];
	int n = epoll_wait(sw->epoll, events, BRIDGE_MAX_MEMBERS, 0);

	for (int i = 0; i < n; i++) {
		struct port *p = events[i].data.ptr;

		p->ready = events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR);
		if (events[i].events & EPOLLOUT) {
			port_unblock(p);
			switcher_add_dirty(sw, p);
		}
	}
	if (n <= 0 && !*more)
		return 0;
	take_turns(sw);
	switcher_flush(sw);
	*more = finish(sw);
	return 1;
}

static void run(struct switcher *sw);

static void on_again(void *opaque)
{
	struct switcher *sw = opaque;

	g_clear_pointer(&sw->again, loop_watch_free);
	run(sw);
}

static void run(struct switcher *sw)
{
	bool more = true;

	for (unsigned i = 0; i < ROUNDS && run_round(sw, &more); i++)
		;
	if (more && !sw->again)
		sw->again = loop_watch_soon(on_again, sw);
}

static void on_ready(void *opaque, uint32_t revents)
{
	run(opaque);
}

static void start_port(struct port *p)
{
	if (p->settings->path)
		port_dial(p);
	else
		switcher_attach(p->sw, p, fd_steal(&p->settings->fd));
}

void switcher_start(struct switcher *sw)
{
	sw->watch = loop_watch_fd(sw->epoll, EPOLLIN, on_ready, sw);
	for (unsigned i = 0; i < sw->listeners->len; i++)
		listener_start(sw->listeners->pdata[i]);
	for (unsigned i = 0; i < sw->ports->len; i++)
		start_port(sw->ports->pdata[i]);
}

bool switcher_init(
	struct switcher *sw, unsigned max_ports, unsigned macs, uint32_t ageing_s, GError **error)
{
	uint64_t key = 0;

	*sw = (struct switcher){ .epoll = epoll_create1(EPOLL_CLOEXEC) };
	if (sw->epoll < 0)
		return error_errno(error, errno, "cannot make an epoll instance");
	if (getrandom(&key, sizeof(key), 0) != sizeof(key))
		key = clock_now_ns();
	bridge_init(&sw->bridge, port_send, max_ports, macs, ageing_s, key);
	sw->listeners = g_ptr_array_new_with_free_func((GDestroyNotify)listener_free);
	sw->ports = g_ptr_array_new_with_free_func((GDestroyNotify)port_free);
	return true;
}

void switcher_clear(struct switcher *sw)
{
	g_clear_pointer(&sw->watch, loop_watch_free);
	g_clear_pointer(&sw->again, loop_watch_free);
	g_clear_pointer(&sw->listeners, g_ptr_array_unref);
	while (sw->bridge.n) {
		struct port *p = port_of(sw->bridge.list[0]);

		bridge_remove(&sw->bridge, &p->member);
		if (!p->is_static)
			port_free(p);
	}
	g_clear_pointer(&sw->ports, g_ptr_array_unref);
	bridge_clear(&sw->bridge);
	fd_close(&sw->epoll);
}
