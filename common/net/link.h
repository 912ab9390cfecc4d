/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether an interface of the host is up and has a carrier, and changes of that. The socket goes on
 * telling in a sandbox, and of the network namespace in which it was opened.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct net_link {
	int fd; /* readable: net_link_read() may find changes; -1: not open */
	unsigned index;
	bool up;
};

/* Opens it; false: there is no interface of this name. On error fd is -1. */
bool net_link_open(struct net_link *l, const char *name, GError **error);
/* Reads what has happened, without waiting. Returns whether `up` has changed. */
bool net_link_read(struct net_link *l);
void net_link_close(struct net_link *l);
