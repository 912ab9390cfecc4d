#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# syscall_names.sh CC...: prints the system calls of the machine that CC compiles for, as the C
# source of the table in syscall_name.h.
set -e
cat <<-'END'
	#include <sys/syscall.h>
	#include "priv/syscall_name.h"
	const struct syscall_name syscall_names[] = {
END
echo '#include <sys/syscall.h>' | "$@" -E -dM - |
	sed -n '/_syscalls \|_arch_specific_/d
		s/^#define __NR_\([a-z][a-z0-9_]*\) .*/	{ __NR_\1, "\1" },/p' | sort
echo '	{ -1, "" },'
echo '};'
