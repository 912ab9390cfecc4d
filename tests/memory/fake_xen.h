/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel with Xen's devices, in place of the real one. A guest has FAKE_PAGES pages: page i,
 * which is at first full of the byte i + 1, has frame number FAKE_GFN + i and grant reference i.
 * What the kernel would refuse fails here, and a leak fails the test.
 */
#pragma once

#include "tests/lib/test.h"

#include "memory/types/mem_xen.h"

#define FAKE_PAGES 2048u
#define FAKE_GFN 0x40000u
#define FAKE_DOMID 7

struct fake_xen_kernel {
	int memfd; /* the guest */
	int device; /* stands for both devices */
	bool hole[FAKE_PAGES]; /* has no frame */
	bool bad[FAKE_PAGES]; /* is not granted */
	bool readonly[FAKE_PAGES]; /* is granted for reading only */
	unsigned paged; /* this many calls find all pages of the guest paged out */
	int ioctl_errno; /* all ioctls fail with it; 0: none */
	bool fail_mmap;
	/* Calls seen. */
	unsigned batches, grant_maps, grant_unmaps, mmaps, munmaps, copies;
	unsigned segments; /* of copies */
	unsigned refs; /* mapped by all grant_maps */
	unsigned live; /* grant maps not unmapped yet */
	unsigned readonly_maps;
};

extern struct fake_xen_kernel fake_xen;

void fake_xen_start(void);
/* Fails the test if anything is still mapped. */
void fake_xen_stop(void);
/* Returns the byte at an offset of a page. */
uint8_t fake_xen_byte(unsigned page, unsigned offset);
