/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared memory regions of devices: for each a window of guest-physical addresses, which KVM finds
 * in an anonymous mapping; files of back-ends are mapped over parts of it.
 */
#pragma once

#include <glib.h>

#include "kvm-stub/ram.h"
#include "kvm-stub/vm/vm.h"
#include "vhost-user/front/vu_front.h"

struct shm; /* all windows of a machine */

/* vm outlives it; the windows lie where this RAM is not. */
struct shm *shm_new(struct vm *vm, const struct ram *r);
/* The vCPUs have stopped for good. */
void shm_free(struct shm *s);

/*
 * Makes a window of size bytes, whole pages, all zero, for region id of the device in a slot.
 * Slots may do so at the same time, each on one thread.
 */
bool shm_reserve(
	struct shm *s, unsigned slot, uint8_t id, uint64_t size, uint64_t *base, GError **error);
/* Maps a file where nothing is mapped yet. Returns 0 or an errno. */
int shm_map(struct shm *s, unsigned slot, const struct vu_front_mapping *m);
/* Puts zeroes in the place of what is mapped there. */
void shm_unmap(struct shm *s, unsigned slot, uint8_t id, uint64_t at, uint64_t len);
