/* SPDX-License-Identifier: Apache-2.0 */
/* Messages about one vring. The core has resolved it, and starts it once it is complete. */
#include <linux/virtio_config.h>

#include "base/fd_kind.h"
#include "base/util.h"
#include "daemon/session/backend_impl.h"

bool on_vring_num(struct backend *b, struct backend_request *rq, GError **error)
{
	struct backend_vring *v = rq->vring;
	uint32_t n = rq->in.payload.state.num;

	if (n == 0 || n > VQ_MAX_SIZE)
		return refuse(error, EINVAL, "%s: %" PRIu32 " descriptors, not 1 to %u",
			vring_name(v), n, VQ_MAX_SIZE);
	/* virtio 1.2 §2.7: a split ring's size is a power of two. */
	if (n & (n - 1) && !(b->features & VU_BIT(VIRTIO_F_RING_PACKED)))
		return refuse(error, EINVAL, "%s: %" PRIu32 " descriptors are no power of two",
			vring_name(v), n);
	v->size = n;
	return true;
}

bool on_vring_addr(struct backend *b, struct backend_request *rq, GError **error)
{
	struct backend_vring *v = rq->vring;
	const struct vu_vring_addr *addr = &rq->in.payload.addr;

	if (addr->flags & ~VU_VRING_LOG)
		return refuse(error, EOPNOTSUPP, "%s: unknown flags 0x%" PRIx32, vring_name(v),
			addr->flags);
	v->addr = *addr;
	v->has_addr = true;
	return true;
}

bool on_vring_base(struct backend *b, struct backend_request *rq, GError **error)
{
	struct backend_vring *v = rq->vring;
	uint32_t base = rq->in.payload.state.num;

	if (base > UINT16_MAX && !(b->features & VU_BIT(VIRTIO_F_RING_PACKED)))
		return refuse(error, EINVAL, "%s: %" PRIu32 " is no index of a split ring",
			vring_name(v), base);
	v->base = base;
	return true;
}

bool on_get_vring_base(struct backend *b, struct backend_request *rq, GError **error)
{
	struct backend_vring *v = rq->vring;

	vring_take_back(v);
	vring_yield(b);
	rq->out.payload.state = (struct vu_vring_state){ .index = v->index, .num = v->base };
	rq->out.header.size = sizeof(rq->out.payload.state);
	return true;
}

/*
 * Refuses what does not signal: with the front-end's own socket, for example, its end would never
 * be seen.
 */
static bool check_fd(const struct backend_request *rq, GError **error)
{
	return !rq->in.n_fds || fd_can_signal(rq->in.fds[0]) ||
		refuse(error, EINVAL, "%s: %s is neither an eventfd nor a pipe",
			vring_name(rq->vring), fd_kind_name(fd_kind(rq->in.fds[0])));
}

/* Replaces *fd by the fd of the message, or by -1 where bit 8 is set. */
static void replace_fd(int *fd, struct vu_msg *msg)
{
	fd_close(fd);
	*fd = vu_msg_take_fd(msg, 0);
}

bool on_vring_kick(struct backend *b, struct backend_request *rq, GError **error)
{
	struct backend_vring *v = rq->vring;

	if (!check_fd(rq, error))
		return false;
	replace_fd(&v->kick, &rq->in);
	v->has_kick = true;
	return true;
}

bool on_vring_call(struct backend *b, struct backend_request *rq, GError **error)
{
	if (!check_fd(rq, error))
		return false;
	pool_queue_set_call(b->pool, rq->vring->index, vu_msg_take_fd(&rq->in, 0));
	return true;
}

bool on_vring_err(struct backend *b, struct backend_request *rq, GError **error)
{
	struct backend_vring *v = rq->vring;

	if (!check_fd(rq, error))
		return false;
	replace_fd(&v->err, &rq->in);
	return true;
}

bool on_vring_enable(struct backend *b, struct backend_request *rq, GError **error)
{
	struct backend_vring *v = rq->vring;
	uint32_t enable = rq->in.payload.state.num;

	if (enable > 1)
		return refuse(error, EINVAL, "%s: %" PRIu32 ", not 0 or 1", vring_name(v), enable);
	v->enabled = enable;
	return true;
}

bool disables_vring(const struct backend *b, const struct backend_request *rq)
{
	return rq->in.payload.state.num == 0;
}
