/* SPDX-License-Identifier: Apache-2.0 */
/* The two system calls of i2c_dev.c, which its test replaces: few machines have an adapter. */
#pragma once

/* Opens /dev/i2c-N. Returns an fd that the caller owns, or -1 with errno. */
int i2c_host_open(unsigned bus);
/* ioctl() of linux/i2c-dev.h: at least 0, or -1 with errno. arg: a pointer or an address. */
int i2c_host_ioctl(int fd, unsigned long request, void *arg);
