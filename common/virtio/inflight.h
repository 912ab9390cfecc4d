/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-flight area (vhost-user.rst, "Inflight I/O tracking"): memory that outlives a back-end and
 * says which requests it had taken and not completed. The front-end keeps it; the engine writes it
 * as requests come and go, if vq_setup names it. An area is a run of such parts, one for each queue.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Bytes of one queue's part for rings of size descriptors, a multiple of 64, so that queues of
 * different threads share no cache line.
 */
size_t vq_inflight_size(uint16_t size, bool packed);
