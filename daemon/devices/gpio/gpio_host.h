/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls of gpio_chip.c, which its test replaces: few machines have a chip. */
#pragma once

/* Opens a chip of /dev. Returns an fd that the caller owns, or -1 with errno. */
int gpio_host_open(const char *name);
/* ioctl() of linux/gpio.h: at least 0, or -1 with errno. */
int gpio_host_ioctl(int fd, unsigned long request, void *arg);
