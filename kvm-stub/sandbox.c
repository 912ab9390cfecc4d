/* SPDX-License-Identifier: Apache-2.0 */
/* See sandbox.h. */
#include "kvm-stub/sandbox.h"

#include "base/fd_kind.h"
#include "kvm-stub/machine/control.h"
#include "kvm-stub/machine/device_spec.h"
#include "kvm-stub/machine/terminal.h"
#include "kvm-stub/vm/vm.h"
#include "priv/privileges.h"

static const struct resource_limit limits[] = {
	{ RLIMIT_CORE, 0 },
	/* Two for each queue of each device, and some. */
	{ RLIMIT_NOFILE, 16384 },
};

/* A restart loads the kernel again. */
static const struct syscall_rule boot_calls[] = { SYSCALL(pread64), SYSCALL_END };

/* Returns the paths of all devices' sockets, to free (the array); NULL: there is no device. */
static const char **list_sockets(const struct kvm_options *o)
{
	GPtrArray *paths = o->devices->len ? g_ptr_array_new() : NULL;

	for (unsigned i = 0; i < o->devices->len; i++) {
		const struct device_spec *spec = o->devices->pdata[i];

		if (spec->socket)
			g_ptr_array_add(paths, spec->socket);
	}
	if (!paths)
		return NULL;
	g_ptr_array_add(paths, NULL);
	return (const char **)g_ptr_array_free(paths, FALSE);
}

bool kvm_sandbox_enter(
	const struct kvm_options *o, const struct syscall_rule *rules, GError **error)
{
	g_autofree const char **sockets = list_sockets(o);
	/* KVM's first: of calls with conditions the first are the fastest. */
	const struct syscall_rule *const calls[] = { vm_calls, vm_arch_calls, syscall_core,
		terminal_calls, boot_calls, rules, o->control ? machine_control_calls : NULL,
		NULL };
	const char *const folders[] = { o->plug_dir, NULL };
	struct privileges p = {
		.root = -1,
		.sandbox = o->sandbox,
		.sockets = sockets,
		.socket_folders = o->n_spare ? folders : NULL,
		.keep_signals = rules->number >= 0,
		.limits = limits,
		.n_limits = G_N_ELEMENTS(limits),
		.calls = calls,
	};

	if (o->sandbox != SANDBOX_NONE)
		fd_kind_keep_proc();
	return privileges_drop(&p, error) && privileges_seal(&p, error);
}
