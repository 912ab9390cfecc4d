/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tap interfaces of Linux, as open files: one a queue, each frame read or written whole, by one
 * call. With a header before each frame (struct virtio_net_hdr_v1, 12 bytes, little-endian) frames
 * come and go without checksums, and larger than the network's, as agreed by
 * net_tap_set_offloads().
 */
#pragma once

#include <glib.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdbool.h>
#include <sys/ioctl.h>

#include "base/syscall_rule.h"

#define NET_TAP_HEADER 12 /* bytes */
#define NET_TAP_QUEUES 256

/* What whoever reads can take without a checksum, or larger: the kernel's TUN_F_*. */
enum net_tap_offload {
	NET_TAP_CSUM = 0x01,
	NET_TAP_TSO4 = 0x02,
	NET_TAP_TSO6 = 0x04,
	NET_TAP_ECN = 0x08,
	NET_TAP_USO4 = 0x20,
	NET_TAP_USO6 = 0x40,
};

struct net_tap {
	char name[IF_NAMESIZE];
	bool header; /* frames have one */
	bool multi_queue;
};

/*
 * Opens n queues of the interface, which is made, and set up, if there is none of this name; one
 * that is there (ip tuntap add) must be the user's. Without a header: as bridges of plain frames
 * need it. fds receives n, non-blocking and CLOEXEC. False, with an error, and none is open.
 */
bool net_tap_open(const char *name, bool header, unsigned n, int *fds, GError **error);
/* Checks an open file that another program made, and makes it non-blocking and CLOEXEC. */
bool net_tap_take(int fd, struct net_tap *tap, GError **error);
/* Returns which of the wanted offloads the kernel knows; none are agreed. */
unsigned net_tap_probe_offloads(int fd, unsigned wanted);
/* Agrees on offloads. Returns 0 or -errno. */
int net_tap_set_offloads(int fd, unsigned offloads);
/* Has the kernel use this queue, or not (TUNSETQUEUE). Returns 0 or -errno. */
int net_tap_set_queue(int fd, bool used);
/* Sets the interface's carrier, which the host sees. Returns 0 or -errno (Linux 5.0). */
int net_tap_set_carrier(int fd, bool carrier);

/* What agreeing and using takes (base/syscall_rule.h). */
#define NET_TAP_SYSCALLS SYSCALL_IOCTL(TUNSETOFFLOAD), SYSCALL_IOCTL(TUNSETQUEUE)
