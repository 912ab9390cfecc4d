/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bursts, and when the driver is to kick.
 *
 * A queue is armed (the driver kicks for the next request) only when the device has
 * found it empty; with the first fetch after that it is not any more. vq_burst_end() arms and
 * looks again. A device that leaves requests of its own will resumes by itself, so there is nothing
 * to arm and no VQ_MORE for it.
 */
#include "ring/vq_req_impl.h"

void vq_burst_begin(struct vq *q)
{
	q->budget = VQ_BURST;
	q->burst_over = false;
	q->unclocked = 0;
	q->burst_start = 0;
	q->clocked = false;
}

void vq_announce(struct vq *q)
{
	q->drained = false;
}

enum vq_more vq_burst_pause(struct vq *q)
{
	vq_publish(q);
	if (!q->taking)
		return VQ_IDLE;
	if (q->owes_call) {
		q->owes_call = false;
		vq_count(q->stats.calls, 1);
		q->hooks->call(q->opaque);
	}
	if (q->burst_over)
		return VQ_MORE;
	if (q->stalled && vq_pool_has_room(q)) {
		q->stalled = false;
		return VQ_MORE;
	}
	return VQ_IDLE;
}

bool vq_has_more(const struct vq *q)
{
	return q->taking && q->drained && q->ops->peek(q);
}

enum vq_more vq_burst_end(struct vq *q)
{
	bool more;

	if (vq_burst_pause(q) == VQ_MORE)
		return VQ_MORE;
	if (!q->taking || !q->drained || q->notify == VQ_NOTIFY_ARMED)
		return VQ_IDLE;
	q->notify = VQ_NOTIFY_ARMED;
	more = q->ops->arm(q);
	if (G_UNLIKELY(q->log))
		vq_log_notify(q);
	return more ? VQ_MORE : VQ_IDLE;
}
