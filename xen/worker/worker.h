/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker: one guest's traps and devices, in a process that can be replaced at any instruction.
 * All that a successor needs is in memory and open files that the supervisor holds, too: the ioreq
 * pages, the journal, each device's state (vmm_dev.h).
 */
#pragma once

/*
 * Serves the guest that is described over these two sockets (ipc.h) until QUIT or their end.
 * Returns the exit status.
 */
int worker_run(int commands, int requests);
