/* SPDX-License-Identifier: Apache-2.0 */
/* What virtiod-switch gives up before it reads the first byte of a peer. */
#pragma once

#include "tools/switch/options.h"

/*
 * Drops the privileges that the options name, and, by --sandbox, all that the switch does not need
 * any more; all files are open. To be called once, while the process has one thread. On error it
 * must exit.
 */
bool switch_sandbox_enter(struct switch_options *o, GError **error);
