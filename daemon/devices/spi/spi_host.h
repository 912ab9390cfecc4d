/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls of spi_dev.c; a test has others in their place. */
#pragma once

/* As open() for reading and writing, and ioctl(). */
int spi_host_open(const char *path);
int spi_host_ioctl(int fd, unsigned long request, void *arg);
