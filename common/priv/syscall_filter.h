/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter of system calls (seccomp). What is not allowed is logged with the call's name, and ends
 * the process by SIGSYS. clone3(), whose flags a filter cannot see, fails with ENOSYS instead, so
 * that the C library uses clone().
 */
#pragma once

#include "base/syscall_rule.h"

/*
 * What the C library, GLib and common/ need, in any program: memory that is not executable,
 * threads, open files and sockets, time. Of processes: closing a descriptor whose file system does
 * not answer (base/fd_kind.h). No file, no socket and no other process can be named.
 */
extern const struct syscall_rule syscall_core[];

/*
 * Filters all threads of the process, for good: tables, and signals to the process's own threads.
 * No new privileges must be set. Returns 0 or -errno; -ENOSYS, -EINVAL: the kernel has no filters.
 */
int syscall_filter_load(const struct syscall_rule *const *tables);
