/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that connects to sockets for a sandboxed one. It is confined, too: it can connect to
 * Unix sockets, and has nothing else to do. It ends with the process that started it.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/sock_maker.h"

/*
 * Starts it: from now on sock_connect() and sock_pair() of this process have it make the socket
 * (base/sock_maker.h). Relative paths are relative to the present working directory. It becomes
 * user uid in group gid; uid 0: it stays who this process is. To be called while the process has
 * one thread; connector_wait() must follow.
 */
bool connector_start(const struct sock_maker_paths *paths, uid_t uid, gid_t gid, GError **error);
/*
 * Waits until it has left the files of this process: with a listening socket it would keep the
 * place of this process, if that is killed.
 */
void connector_wait(void);
