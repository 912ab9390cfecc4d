/* SPDX-License-Identifier: Apache-2.0 */
/* --sandbox: what the machine gives up before it reads what a back-end or a guest sends. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "base/syscall_rule.h"
#include "kvm-stub/options.h"

/*
 * To be called once files and KVM are open, standard output too, and back-ends are started, while
 * the process has one thread. rules: further system calls, a table. Sockets of --device can be
 * connected to, later as well.
 */
bool kvm_sandbox_enter(
	const struct kvm_options *o, const struct syscall_rule *rules, GError **error);
