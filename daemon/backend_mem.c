/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages about guest memory. Every ring is stopped while the table changes, and goes on at its
 * own index with its addresses looked up anew.
 */
#include "daemon/backend_impl.h"

bool on_set_mem_table(struct backend *b, struct request *rq, GError **error)
{
	struct mem_region_desc desc[VU_MAX_REGIONS];
	unsigned n = vu_msg_regions(&rq->in, desc);

	return guest_mem_set(b->mem, desc, rq->in.fds, n, error);
}

bool on_add_mem_reg(struct backend *b, struct request *rq, GError **error)
{
	struct mem_region_desc desc;

	vu_msg_regions(&rq->in, &desc);
	return guest_mem_add(b->mem, &desc, rq->in.fds[0], error);
}

bool on_rem_mem_reg(struct backend *b, struct request *rq, GError **error)
{
	struct mem_region_desc desc;

	vu_msg_regions(&rq->in, &desc);
	return guest_mem_remove(b->mem, &desc, error);
}

bool on_get_max_mem_slots(struct backend *b, struct request *rq, GError **error)
{
	vu_msg_set_u64(&rq->out, GUEST_MEM_MAX_REGIONS);
	return true;
}
