/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's own part (linux/xen/privcmd.h, gntdev.h), for which there is no library: files for
 * back-ends, and the kernel's short ways for kicks and interrupts (Linux 6.6 and 6.7, if built with
 * XEN_PRIVCMD_EVENTFD; false from Debian's own kernels).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * /dev/xen/privcmd, RESTRICTed to this domain for ever: it maps that domain's memory, does device
 * model operations on it, and nothing else. -1 with an error.
 */
int privcmd_open_restricted(unsigned domid, GError **error);
/*
 * /dev/xen/gntdev: one for each back-end, as what one maps through an open file, others could map
 * through the same one.
 */
int privcmd_open_gntdev(GError **error);

/*
 * Pulses an edge-triggered interrupt. Any thread. False and errno. (Not by libxendevicemodel: the
 * other file that it opens, for hypercalls, stays unrestricted; a worker must not have that.)
 */
bool privcmd_pulse_irq(int privcmd, unsigned domid, uint32_t irq);
/* The guest's interrupt when fd is signalled. False and errno. */
bool privcmd_irqfd(int privcmd, unsigned domid, uint32_t irq, int fd, bool assign);

struct privcmd_kick {
	unsigned domid;
	void *ioreq; /* the page, as foreign_memory_map_ioreq() gave it to this very process */
	const uint32_t *ports; /* one per vCPU, bound by this process */
	unsigned vcpus;
	uint64_t addr; /* of the register, QueueNotify; writes of 32 bits */
	uint32_t queue; /* the value */
};
/* Signals fd when the guest writes so. False and errno. */
bool privcmd_ioeventfd(int privcmd, const struct privcmd_kick *kick, int fd, bool assign);

/* The kernel; as open() and ioctl(). */
struct privcmd_ops {
	int (*open)(const char *path, int flags);
	int (*ioctl)(int fd, unsigned long request, void *arg);
};
/* For tests. NULL: the kernel again. */
void privcmd_set_ops(const struct privcmd_ops *ops);
