/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls of spi_dev.c. */
#include "daemon/devices/spi/spi_host.h"

#include <fcntl.h>
#include <sys/ioctl.h>

int spi_host_open(const char *path)
{
	return open(path, O_RDWR | O_CLOEXEC);
}

int spi_host_ioctl(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg);
}
