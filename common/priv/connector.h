/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that connects to sockets for a sandboxed one. It is confined, too: it can connect to
 * Unix sockets, and has nothing else to do. It ends with the process that started it.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

/*
 * Starts it: from now on sock_connect() and sock_pair() of this process have it make the socket
 * (base/sock_maker.h). paths: a NULL-ended list, relative ones to the present working directory. To
 * be called while the process has one thread.
 */
bool connector_start(const char *const *paths, GError **error);
