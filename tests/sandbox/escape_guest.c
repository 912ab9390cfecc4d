/* SPDX-License-Identifier: Apache-2.0 */
/* A guest of fake_kvm.c that has taken a vCPU thread of virtiod-kvm over: it calls the kernel. */
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/fault/fake_kvm.h"

void fake_guest(void)
{
	syscall(SYS_getppid);
}
