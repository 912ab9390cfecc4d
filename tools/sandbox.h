/* SPDX-License-Identifier: Apache-2.0 */
/* --sandbox: what a subcommand gives up before it reads what a back-end sends. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "base/syscall_rule.h"
#include "priv/sandbox.h"

/*
 * To be called once files are open, while the process has one thread. socket: the path that can be
 * connected to, later as well; NULL: none.
 */
bool ctl_sandbox_enter(enum sandbox_mode mode, const char *socket, GError **error);
/*
 * Likewise with several sockets, a list that ends in NULL and may be empty, and further system
 * calls; NULL: none.
 */
bool ctl_sandbox_enter_many(enum sandbox_mode mode, const char *const *sockets,
	const struct syscall_rule *more, GError **error);
