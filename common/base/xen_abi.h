/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the kernel's interface to Xen that is used: privcmd, gntdev and evtchn in /dev/xen.
 * It is small and stable; with definitions of its own, a build without Xen's headers serves Xen
 * guests, too.
 */
#pragma once

#include <linux/ioctl.h>
#include <stddef.h>
#include <stdint.h>

/* Grants, frame numbers and these calls count in pages of this size, whatever the host's is. */
#define XEN_PAGE_SIZE 4096u
#define XEN_PAGE_SHIFT 12
/* The largest id of a domain; those above it have special meanings (DOMID_SELF and others). */
#define XEN_MAX_DOMID 0x7fefu
/* An address with this bit is no guest address but a grant reference << 12 and an offset. */
#define XEN_GRANT_BIT (UINT64_C(1) << 63)

struct xen_mmap_batch {
	uint32_t num;
	uint16_t domid;
	uint64_t addr; /* begins a mapping of privcmd that has exactly num pages */
	const uint64_t *gfn;
	int *err; /* per page: 0 or -errno; -ENOENT: paged out, try again */
};
/* IOCTL_PRIVCMD_MMAPBATCH_V2 */
#define XEN_IOCTL_MMAP_BATCH _IOC(_IOC_NONE, 'P', 4, sizeof(struct xen_mmap_batch))

struct xen_dm_op_buffer {
	void *data;
	size_t size;
};

struct xen_dm_op_call {
	uint16_t domid;
	uint16_t n;
	const struct xen_dm_op_buffer *buffers; /* the first holds Xen's struct xen_dm_op */
};
#define XEN_IOCTL_DM_OP _IOC(_IOC_NONE, 'P', 5, sizeof(struct xen_dm_op_call))

/* Restricts the fd to one domain, for good; the argument is a uint16_t *. */
#define XEN_IOCTL_RESTRICT _IOC(_IOC_NONE, 'P', 6, sizeof(uint16_t))

struct xen_grant_ref {
	uint32_t domid, ref;
};

struct xen_map_grants {
	uint32_t count, pad;
	uint64_t index; /* out: the offset to mmap() */
	struct xen_grant_ref ref[1]; /* count of them */
};
#define XEN_IOCTL_MAP_GRANTS _IOC(_IOC_NONE, 'G', 0, sizeof(struct xen_map_grants))

struct xen_unmap_grants {
	uint64_t index;
	uint32_t count, pad;
};
#define XEN_IOCTL_UNMAP_GRANTS _IOC(_IOC_NONE, 'G', 1, sizeof(struct xen_unmap_grants))

union xen_copy_end {
	void *local;
	struct {
		uint32_t ref;
		uint16_t offset; /* offset + len must stay within the page */
		uint16_t domid;
	} grant;
};

/* One page's part of a copy; which end is a grant is told by flags. */
struct xen_copy_segment {
	union xen_copy_end source, dest;
	uint16_t len, flags;
	int16_t status; /* out: 0 or negative (GNTST_*) */
};
#define XEN_COPY_FROM_GRANT 1
#define XEN_COPY_TO_GRANT 2

struct xen_copy_grants {
	uint32_t count;
	struct xen_copy_segment *segment;
};
#define XEN_IOCTL_COPY_GRANTS _IOC(_IOC_NONE, 'G', 8, sizeof(struct xen_copy_grants))

struct xen_evtchn_notify {
	uint32_t port;
};
#define XEN_IOCTL_EVTCHN_NOTIFY _IOC(_IOC_NONE, 'E', 4, sizeof(struct xen_evtchn_notify))
