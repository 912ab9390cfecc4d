/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel interfaces that no library covers (linux/xen/privcmd.h, gntdev.h): the files for
 * back-ends, and ioeventfd and irqfd (Linux 6.7 and later, if built with XEN_PRIVCMD_EVENTFD, which
 * Debian's kernels are not).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Opens /dev/xen/privcmd, restricted for good to this domain: it can map that domain's memory and
 * do device model operations on it, nothing else. Returns -1 with an error.
 */
int privcmd_open_restricted(unsigned domid, GError **error);
/*
 * Opens /dev/xen/gntdev, once for each back-end: mappings made through an open file are accessible
 * to all that share it.
 */
int privcmd_open_gntdev(GError **error);

/*
 * Pulses an edge-triggered interrupt. Any thread. Returns false with errno. (Not by
 * libxendevicemodel: the second file that it opens, for hypercalls, cannot be restricted; a worker
 * must not have it.)
 */
bool privcmd_pulse_irq(int privcmd, unsigned domid, uint32_t irq);
/* Injects the guest's interrupt whenever fd is signalled, or stops that. False with errno. */
bool privcmd_irqfd(int privcmd, unsigned domid, uint32_t irq, int fd, bool assign);

struct privcmd_kick {
	unsigned domid;
	void *ioreq; /* the page, as this process got it from foreign_memory_map_ioreq() */
	const uint32_t *ports; /* one per vCPU, bound by this process */
	unsigned vcpus;
	uint64_t addr; /* of the register, QueueNotify; writes of 32 bits */
	uint32_t queue; /* the value */
};
/* Signals fd whenever the guest makes that write, or stops that. False with errno. */
bool privcmd_ioeventfd(int privcmd, const struct privcmd_kick *kick, int fd, bool assign);

/* The kernel's calls: open() and ioctl(). */
struct privcmd_ops {
	int (*open)(const char *path, int flags);
	int (*ioctl)(int fd, unsigned long request, void *arg);
};
/* Replaces the calls, for tests. NULL: the kernel's again. */
void privcmd_set_ops(const struct privcmd_ops *ops);
