/* SPDX-License-Identifier: Apache-2.0 */
/* The services of device.h for guest memory that the payload of a request names. */
#include <errno.h>

#include "daemon/worker/worker_impl.h"
#include "memory/guest_pages.h"

static struct guest_pages *pages_of(struct virtio_pages *p)
{
	return (struct guest_pages *)p;
}

int virtio_pages_hold(
	struct vq *q, const struct virtio_pages_range *r, unsigned n, struct virtio_pages **pages)
{
	g_autofree struct guest_pages_range *ranges = NULL;
	struct guest_pages *held;
	int err;

	*pages = NULL;
	if (n > GUEST_PAGES_MAX_RANGES)
		return -E2BIG;
	ranges = g_try_new(struct guest_pages_range, n);
	if (n && !ranges)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		ranges[i] = (struct guest_pages_range){ .addr = r[i].addr, .len = r[i].len };
	err = guest_pages_hold(queue_of(q)->pool->mem, ranges, n, &held);
	if (!err)
		*pages = (struct virtio_pages *)held;
	return err;
}

const struct iovec *virtio_pages_iov(struct virtio_pages *p, unsigned *n)
{
	return guest_pages_iov(pages_of(p), n);
}

void virtio_pages_written(struct virtio_pages *p, uint64_t offset, uint64_t len)
{
	guest_pages_written(pages_of(p), offset, len);
}

void virtio_pages_release(struct virtio_pages *p)
{
	guest_pages_release(pages_of(p));
}

void virtio_pages_discard(struct vq *q, const struct virtio_pages_range *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		guest_mem_discard(queue_of(q)->pool->mem, r[i].addr, r[i].len);
}
