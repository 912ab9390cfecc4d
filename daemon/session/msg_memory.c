/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages about guest memory. Every vring is stopped while the table changes, and goes on at
 * its own index with its addresses looked up anew.
 */
#include "daemon/session/backend_impl.h"

/*
 * Checks the kind of a region: QEMU takes XEN_MMAP for granted and sends ordinary regions: the
 * other way round is a mistake.
 */
static bool check_xen(
	const struct backend *b, const struct mem_region_desc *desc, unsigned n, GError **error)
{
	for (unsigned i = 0; i < n; i++)
		if (desc[i].xen_flags && !(b->protocol_features & VU_BIT(VU_F_XEN_MMAP)))
			return refuse(error, EINVAL,
				"memory region at 0x%" PRIx64
				" is a Xen guest's, and XEN_MMAP was not negotiated",
				desc[i].guest_addr);
	return true;
}

bool on_set_mem_table(struct backend *b, struct backend_request *rq, GError **error)
{
	struct mem_region_desc desc[VU_MAX_REGIONS];
	unsigned n = vu_msg_regions(&rq->in, desc);

	return check_xen(b, desc, n, error) && guest_mem_set(b->mem, desc, rq->in.fds, n, error);
}

bool on_add_mem_reg(struct backend *b, struct backend_request *rq, GError **error)
{
	struct mem_region_desc desc;

	vu_msg_regions(&rq->in, &desc);
	return check_xen(b, &desc, 1, error) && guest_mem_add(b->mem, &desc, rq->in.fds[0], error);
}

bool on_rem_mem_reg(struct backend *b, struct backend_request *rq, GError **error)
{
	struct mem_region_desc desc;

	vu_msg_regions(&rq->in, &desc);
	return guest_mem_remove(b->mem, &desc, error);
}

bool on_get_max_mem_slots(struct backend *b, struct backend_request *rq, GError **error)
{
	vu_msg_set_u64(&rq->out, GUEST_MEM_MAX_REGIONS);
	return true;
}
