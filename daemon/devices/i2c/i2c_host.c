/* SPDX-License-Identifier: Apache-2.0 */
/* See i2c_host.h. */
#include "daemon/devices/i2c/i2c_host.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>

int i2c_host_open(unsigned bus)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/i2c-%u", bus);
	return open(path, O_RDWR | O_CLOEXEC);
}

int i2c_host_ioctl(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg);
}
