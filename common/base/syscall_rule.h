/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls that a program needs, as constant tables: what a sandbox goes on allowing
 * (priv/syscall_filter.h). A table ends with SYSCALL_END.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>

/* A call, whatever its arguments are, or one whose argument, as 32 bits, has this value. */
struct syscall_rule {
	int number; /* SYS_...; -1 ends the table */
	bool has_condition;
	uint8_t argument; /* 0 to 5 */
	uint32_t mask, value; /* allowed if (argument & mask) == value */
};

#define SYSCALL(name)                \
	{                            \
		.number = SYS_##name \
	}
#define SYSCALL_IF(name, which, bits, wanted)                                                     \
	{                                                                                         \
		.number = SYS_##name, .has_condition = true, .argument = (which), .mask = (bits), \
		.value = (wanted)                                                                 \
	}
#define SYSCALL_IOCTL(request) SYSCALL_IF(ioctl, 1, UINT32_MAX, request)
#define SYSCALL_FCNTL(command) SYSCALL_IF(fcntl, 1, UINT32_MAX, command)
#define SYSCALL_END          \
	{                    \
		.number = -1 \
	}
