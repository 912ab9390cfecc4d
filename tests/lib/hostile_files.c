/* SPDX-License-Identifier: Apache-2.0 */
/* See hostile_files.h. */
#include "tests/lib/hostile_files.h"

#include "tests/lib/test.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

int hostile_own(struct hostile *h, int fd)
{
	g_array_append_val(h->own, fd);
	return fd;
}

static int own_socket(struct hostile *h)
{
	int fd;

	pthread_mutex_lock(&h->b->lock);
	fd = h->b->conn;
	pthread_mutex_unlock(&h->b->lock);
	return fd;
}

static int listener(struct hostile *h)
{
	return h->b->listener;
}

static int deaf_file(struct hostile *h)
{
	return h->deaf.fd;
}

static int disk_file(struct hostile *h)
{
	return hostile_own(h, open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
}

static int device_file(struct hostile *h)
{
	return hostile_own(h, open("/dev/zero", O_RDWR | O_CLOEXEC));
}

static int event(struct hostile *h)
{
	return hostile_own(h, eventfd(0, EFD_CLOEXEC));
}

static int epoll(struct hostile *h)
{
	return hostile_own(h, epoll_create1(EPOLL_CLOEXEC));
}

static int network_socket(struct hostile *h)
{
	return hostile_own(h, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int short_memory(struct hostile *h)
{
	return hostile_own(h, memfd_create("short", MFD_CLOEXEC));
}

/* Makes memory that can be mapped, but not cleared. */
static int sealed_memory(struct hostile *h)
{
	int fd = hostile_own(h, memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));

	assert_int_equal(ftruncate(fd, HOSTILE_AREA_SIZE), 0);
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE);
	return fd;
}

static const struct {
	const char *name;
	int (*get)(struct hostile *h);
} files[HOSTILE_FILES] = {
	{ "its socket", own_socket },
	{ "its listening socket", listener },
	[HOSTILE_DEAF_FILE] = { "a deaf file", deaf_file },
	{ "a file", disk_file },
	{ "a device", device_file },
	{ "an eventfd", event },
	{ "an epoll", epoll },
	{ "a network socket", network_socket },
	{ "short memory", short_memory },
	{ "sealed memory", sealed_memory },
};

const char *hostile_file_name(unsigned file)
{
	return files[file].name;
}

int hostile_file(struct hostile *h, unsigned file)
{
	return files[file].get(h);
}
