/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who runs a ring: waits for its kicks and for the device's fds, calls the device, publishes what
 * it completed. Today every ring is owned by the main loop; this is the seam behind which other
 * threads can own some.
 */
#pragma once

#include "daemon/backend_impl.h"

/* What the owner keeps of a ring, at the beginning and the end of its life. */
void owner_init(struct ring *r);
void owner_fini(struct ring *r);

/* The ring, whose vq has been started, runs from now on; its first burst follows soon. */
void owner_start(struct ring *r);
/*
 * Takes nothing more from the ring, and lets the requests in flight end; then, perhaps before this
 * returns, ring_drained().
 */
void owner_drain(struct ring *r);
/* The ring has broken: no burst is of use any more; completions still are. */
void owner_broken(struct ring *r);
/* virtio_queue_watch() for this ring. */
void owner_watch(struct ring *r, int fd, uint32_t events,
	void (*cb)(struct virtio_device *d, struct vq *q, uint32_t revents));
/* A verb of the device that runs on no queue's behalf (reload), and may complete requests. */
void owner_run(struct backend *b, void (*verb)(struct virtio_device *d));
