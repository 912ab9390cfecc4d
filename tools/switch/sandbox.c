/* SPDX-License-Identifier: Apache-2.0 */
/* See sandbox.h. */
#include "tools/switch/sandbox.h"

#include "base/fd_kind.h"
#include "base/service.h"

/* Besides those of ports: listeners, the control socket and its clients, captures. */
#define FILES 1024

static const struct syscall_rule switch_calls[] = { SYSCALL(accept4), SYSCALL_END };

/* Returns the sockets that ports connect to, to free (the array); NULL: there are none. */
static const char **list_sockets(const struct switch_options *o)
{
	GPtrArray *paths = g_ptr_array_new();

	for (unsigned i = 0; i < o->ports->len; i++) {
		const struct port_settings *s = o->ports->pdata[i];

		if (s->path)
			g_ptr_array_add(paths, s->path);
	}
	if (paths->len)
		g_ptr_array_add(paths, NULL);
	return (const char **)g_ptr_array_free(paths, !paths->len);
}

bool switch_sandbox_enter(struct switch_options *o, GError **error)
{
	g_autofree const char **sockets = list_sockets(o);
	const struct resource_limit limits[] = {
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_NOFILE, FILES + o->max_ports },
	};
	const struct syscall_rule *const calls[] = { syscall_core, switch_calls, NULL };
	struct privileges *p = &o->privileges;

	p->sockets = sockets;
	p->limits = limits;
	p->n_limits = G_N_ELEMENTS(limits);
	p->calls = calls;
	if (p->sandbox != SANDBOX_NONE) {
		service_notify_keep();
		fd_kind_keep_proc();
	}
	return privileges_drop(p, error) && privileges_seal(p, error);
}
