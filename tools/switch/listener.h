/* SPDX-License-Identifier: Apache-2.0 */
/* A socket at which ports of one kind connect (--listen). */
#pragma once

#include "tools/switch/switcher.h"

struct switch_listener;

/* settings stay the caller's, fd, which listens, does not. */
struct switch_listener *listener_new(struct switcher *sw, struct port_settings *settings, int fd);
/* Begins to accept. */
void listener_start(struct switch_listener *l);
/* The ports that came by it stay. */
void listener_free(struct switch_listener *l);
