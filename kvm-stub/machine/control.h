/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket of the machine: its devices, which come and go in spare slots. */
#pragma once

#include "control/server.h"
#include "kvm-stub/machine/slots.h"

struct machine_control {
	struct control_server server;
	struct slots *slots; /* outlive it */
	void (*quit)(void *opaque);
	void *opaque;
};

/* fd listens, and is the server's from now on. quit: a client asks for the machine's end. */
void machine_control_start(struct machine_control *c, int fd, struct slots *all,
	void (*quit)(void *opaque), void *opaque);
/* Does nothing if it was not started (zeroes). */
void machine_control_stop(struct machine_control *c);
/* What it takes of a sandbox. */
extern const struct syscall_rule machine_control_calls[];
