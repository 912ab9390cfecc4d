/* SPDX-License-Identifier: Apache-2.0 */
/* Shared memory that other processes may be given. */
#pragma once

#include <stdint.h>

/*
 * Returns a memfd of `size` zeroed bytes, sealed against shrinking and growing: no holder of the
 * fd can take memory away from under a mapping. The name shows in /proc. The caller owns the fd;
 * -1 and errno on failure.
 */
int memfd_sealed(const char *name, uint64_t size);
