/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps what belongs to guests out of core dumps. */
#pragma once

#include <stddef.h>

/*
 * Lowers the soft limit of core files to 0, for this program and those that it starts. An
 * administrator may raise it again: prlimit --core=unlimited --pid=PID.
 */
void core_dump_forbid(void);
/*
 * Excludes a mapping, also from what a pipe or systemd-coredump gets, to which the limit does not
 * apply. Returns addr, which may be MAP_FAILED; errno stays as it is.
 */
void *core_dump_exclude(void *addr, size_t len);
