/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages about the dirty log, by which a front-end learns what the device writes while it copies
 * the guest's memory to another host (vhost-user.rst, "Migration"). QEMU sends, in this order:
 *
 *	SET_LOG_BASE	the log, whenever guest memory has outgrown it
 *	SET_FEATURES	VHOST_F_LOG_ALL: buffers are marked in the log from now on
 *	SET_VRING_ADDR	with VHOST_VRING_F_LOG, for each vring: so are writes to it
 *
 * Each vring that runs is stopped for this, and goes on where it was with the log: no lock, and no
 * look at what has changed, on a request's way.
 */
#include "base/fd_kind.h"
#include "base/util.h"
#include "daemon/session/backend_impl.h"
#include "memory/dirty_log.h"

bool is_logging(const struct backend *b, const struct backend_request *rq)
{
	return b->features & VU_BIT(VHOST_F_LOG_ALL);
}

void log_apply(struct backend *b)
{
	guest_mem_set_log(b->mem, is_logging(b, NULL) ? b->log : NULL);
}

void log_drop(struct backend *b)
{
	guest_mem_set_log(b->mem, NULL);
	g_clear_pointer(&b->log, dirty_log_free);
	fd_close(&b->log_call);
}

/*
 * Checks that it covers the table: a page without a bit would be missing where the guest goes
 * on. Of a table that comes later, what is not in the log is left out, with a warning: the
 * front-end makes the log larger first.
 */
static bool check_covers(const struct backend *b, const struct dirty_log *log, GError **error)
{
	uint64_t last = guest_mem_last(b->mem), end = dirty_log_end(log);

	if (last < end)
		return true;
	if (last > INT64_MAX)
		return refuse(error, EOPNOTSUPP,
			"memory that a Xen guest grants page by page cannot be logged");
	return refuse(error, EINVAL,
		"the log ends at guest address 0x%" PRIx64 ", and guest memory at 0x%" PRIx64, end,
		last);
}

bool on_set_log_base(struct backend *b, struct backend_request *rq, GError **error)
{
	const struct vu_log area = rq->in.payload.log;
	g_autoptr(dirty_log) fresh = NULL;

	if (!rq->in.n_fds)
		return refuse(error, EINVAL, "it comes without an fd");
	fresh = dirty_log_new(rq->in.fds[0], area.mmap_size, area.mmap_offset, error);
	if (!fresh || !check_covers(b, fresh, error))
		return false;
	dirty_log_set_call(fresh, b->log_call);
	dirty_log_free(b->log);
	b->log = g_steal_pointer(&fresh);
	log_apply(b);
	log_debug(NULL, "dirty log: up to guest address 0x%" PRIx64, dirty_log_end(b->log));
	/* rust-vmm insists on the struct; QEMU looks at the message's number only. */
	rq->out.payload.log = area;
	rq->out.header.size = sizeof(area);
	return true;
}

bool on_set_log_fd(struct backend *b, struct backend_request *rq, GError **error)
{
	if (!fd_can_signal(rq->in.fds[0]))
		return refuse(error, EINVAL, "%s is neither an eventfd nor a pipe",
			fd_kind_name(fd_kind(rq->in.fds[0])));
	fd_close(&b->log_call);
	b->log_call = vu_msg_take_fd(&rq->in, 0);
	if (b->log)
		dirty_log_set_call(b->log, b->log_call);
	return true;
}
