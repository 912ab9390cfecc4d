/* SPDX-License-Identifier: Apache-2.0 */
/* Names of system calls. */
#pragma once

/* Without pointers: nothing to relocate, and no page of it is touched before a name is needed. */
struct syscall_name {
	short number;
	char name[30];
};
extern const struct syscall_name syscall_names[]; /* ends with number -1 */

/* Returns the name of a system call of this machine, or NULL. Safe in a signal handler. */
const char *syscall_name(int number);
