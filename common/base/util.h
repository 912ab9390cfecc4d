/* SPDX-License-Identifier: Apache-2.0 */
/* The few things that every file needs: owned fds, container_of(), byte order. */
#pragma once

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/*
 * A file descriptor that closes at the end of its scope; -1 is "none".
 * fd_steal() hands it on:  autofd fd = open(...);  return fd_steal(&fd);
 */
#define autofd __attribute__((cleanup(fd_close))) int

static inline void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline void fds_close(int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		fd_close(&fds[i]);
}

static inline int fd_steal(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

/* Members that different threads write are so far apart. */
#define CACHE_LINE 64

/* The struct of which *ptr is the member named. */
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

static inline uint64_t align_up(uint64_t value, uint64_t power_of_two)
{
	return (value + power_of_two - 1) & ~(power_of_two - 1);
}
