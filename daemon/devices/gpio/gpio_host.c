/* SPDX-License-Identifier: Apache-2.0 */
/* See gpio_host.h. */
#include "daemon/devices/gpio/gpio_host.h"

#include <fcntl.h>
#include <glib.h>
#include <sys/ioctl.h>

int gpio_host_open(const char *name)
{
	g_autofree char *path = g_build_filename("/dev", name, NULL);

	return open(path, O_RDWR | O_CLOEXEC);
}

int gpio_host_ioctl(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg);
}
