/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The switch as a program has it: ports and listeners on the main loop, on one thread. All files of
 * ports are in one epoll, which the main loop watches. Work is done in rounds: each port that is
 * readable gives its share of frames, in turn, and then each port sends what it got.
 */
#pragma once

#include "base/log.h"
#include "base/loop.h"
#include "tools/switch/bridge.h"
#include "tools/switch/settings.h"

struct port;

struct switcher {
	struct bridge bridge;
	int epoll;
	struct loop_watch *watch, *again;
	unsigned turn; /* which port is the first in a round */
	struct port *dirty[BRIDGE_MAX_MEMBERS]; /* have something to send */
	unsigned n_dirty;
	GPtrArray *listeners; /* of struct switch_listener */
	GPtrArray *ports; /* of --port */
	unsigned n_dynamic; /* ports that came by a listener */
	struct log_limit limit;
};

/* Arguments: bridge_init(). False: there is no epoll. */
bool switcher_init(
	struct switcher *sw, unsigned max_ports, unsigned macs, uint32_t ageing_s, GError **error);
/* Closes all ports and listeners. */
void switcher_clear(struct switcher *sw);

/*
 * Adds a port, or a listener, whose settings stay the caller's until switcher_clear(), but not
 * their fd. Before the sandbox: opens what is to be opened, but for connections.
 */
bool switcher_add_port(struct switcher *sw, struct port_settings *s, GError **error);
bool switcher_add_listener(
	struct switcher *sw, struct port_settings *s, mode_t mode, gid_t group, GError **error);
/* Begins to serve. */
void switcher_start(struct switcher *sw);

/* Returns seconds since an arbitrary moment. */
uint32_t switcher_now(void);

/* For its parts. */

void switcher_flush(struct switcher *sw);
void switcher_add_dirty(struct switcher *sw, struct port *p);
/* Returns whether there is room for one more port that comes by a listener. */
bool switcher_has_room(const struct switcher *sw);
/* The port, for which there is room, is up with this file. */
void switcher_attach(struct switcher *sw, struct port *p, int fd);
