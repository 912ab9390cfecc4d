/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a whole message to its answer: shape, legality, ring index, handler, reply.
 *
 * A handler that needs rings to be quiescent says so in its row. The rings are then drained first,
 * which may take as long as the host's disk does, and the connection is not read meanwhile; the
 * main loop goes on. The handler itself never waits.
 *
 * What is refused, and how the front-end hears of it (vhost-user.rst, "REPLY_ACK"): by a non-zero
 * acknowledgement if it asked for one; not at all if the message has none; and where the message
 * has a reply of its own, which cannot tell an error, by the end of the connection.
 */
#include <stdarg.h>

#include "base/util.h"
#include "daemon/worker/pool.h"

/* A front-end that does not read its replies for so long is gone. */
#define REPLY_TIMEOUT_MS 1000

static const struct handler handlers[VU_REQUEST_END] = {
	[VU_GET_FEATURES] = { on_get_features },
	[VU_SET_FEATURES] = { on_set_features, SCOPE_ALL, changes_features },
	[VU_SET_OWNER] = { on_nothing },
	[VU_RESET_OWNER] = { on_nothing }, /* deprecated: "should be ignored" */
	[VU_SET_MEM_TABLE] = { on_set_mem_table, SCOPE_ALL },
	[VU_SET_VRING_NUM] = { on_vring_num, SCOPE_RING },
	[VU_SET_VRING_ADDR] = { on_vring_addr, SCOPE_RING },
	[VU_SET_VRING_BASE] = { on_vring_base, SCOPE_RING },
	[VU_GET_VRING_BASE] = { on_get_vring_base, SCOPE_RING },
	[VU_SET_VRING_KICK] = { on_vring_kick, SCOPE_RING },
	[VU_SET_VRING_CALL] = { on_vring_call },
	[VU_SET_VRING_ERR] = { on_vring_err },
	[VU_GET_PROTOCOL_FEATURES] = { on_get_protocol_features },
	[VU_SET_PROTOCOL_FEATURES] = { on_set_protocol_features },
	[VU_GET_QUEUE_NUM] = { on_get_queue_num },
	[VU_SET_VRING_ENABLE] = { on_vring_enable, SCOPE_RING, disables_ring },
	[VU_SET_BACKEND_REQ_FD] = { on_backend_req_fd },
	[VU_GET_CONFIG] = { on_get_config },
	[VU_SET_CONFIG] = { on_set_config, .pauses = true },
	[VU_GET_INFLIGHT_FD] = { on_get_inflight_fd },
	[VU_SET_INFLIGHT_FD] = { on_set_inflight_fd, SCOPE_ALL },
	[VU_RESET_DEVICE] = { on_reset_device, SCOPE_ALL },
	[VU_GET_MAX_MEM_SLOTS] = { on_get_max_mem_slots },
	/* A table that is built region by region need not hold every ring yet. */
	[VU_ADD_MEM_REG] = { on_add_mem_reg, SCOPE_ALL, .lenient = true },
	[VU_REM_MEM_REG] = { on_rem_mem_reg, SCOPE_ALL, .lenient = true },
	[VU_SET_STATUS] = { on_set_status, SCOPE_ALL, clears_status },
	[VU_GET_STATUS] = { on_get_status },
	[VU_GET_SHARED_OBJECT] = { on_get_shared_object },
};

static const struct handler probe_handler = { on_probe };

G_DEFINE_QUARK(virtiod_backend_error, backend_error)

bool refuse(GError **error, int err, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	g_propagate_error(error, g_error_new_valist(BACKEND_ERROR, err, format, ap));
	va_end(ap);
	return false;
}

static bool is_offered(const struct backend *b, const struct vu_shape *shape, GError **error)
{
	unsigned bit = shape->needs_feature_plus1 - 1u;

	if (!shape->needs_feature_plus1 || backend_protocol_features(b) & VU_BIT(bit))
		return true;
	return refuse(error, EOPNOTSUPP, "%s: %s is not offered", shape->name,
		vu_protocol_feature_name(bit));
}

/* Which handler, and is the message as it must be? The error names the message. */
static bool classify(struct backend *b, struct request *rq, GError **error)
{
	uint32_t number = rq->in.header.request;
	unsigned index;

	rq->ring = NULL;
	rq->handler = &probe_handler;
	rq->shape = vu_probe_shape(
		number, rq->in.header.size, rq->in.n_fds, b->protocol_features, false);
	if (!rq->shape) {
		rq->shape = vu_shape(number);
		rq->handler = &handlers[rq->shape ? number : 0];
	}
	if (!rq->shape)
		return refuse(error, EOPNOTSUPP, "message %" PRIu32 " is not known", number);
	if (!vu_msg_check(&rq->in, rq->shape, error) || !is_offered(b, rq->shape, error))
		return false;
	if (!rq->handler->handle)
		return refuse(error, EOPNOTSUPP, "%s is not supported", rq->shape->name);
	if (rq->shape->ring == VU_RING_NONE)
		return true;
	index = vu_msg_ring_index(&rq->in, rq->shape);
	if (index >= b->device.num_queues)
		return refuse(error, EINVAL, "%s: there is no ring %u, only %u", rq->shape->name,
			index, b->device.num_queues);
	rq->ring = &b->rings[index];
	return true;
}

/* Whether the front-end awaits an acknowledgement of this message. */
static bool wants_ack(const struct backend *b, const struct request *rq)
{
	bool acks = b->protocol_features & VU_BIT(VU_F_REPLY_ACK);

	/* This one turns acknowledgements on, or off, for itself. */
	if (rq->in.header.request == VU_SET_PROTOCOL_FEATURES)
		acks = rq->in.header.size == sizeof(rq->in.payload.u64) &&
			rq->in.payload.u64 & VU_BIT(VU_F_REPLY_ACK);
	return acks && rq->in.header.flags & VU_FLAG_NEED_REPLY;
}

/* "Zero indicates success, non-zero error": an errno. */
static uint64_t ack_value(const GError *refused)
{
	if (!refused)
		return 0;
	return refused->domain == BACKEND_ERROR ? refused->code : EINVAL;
}

/* Ends the request; refused: NULL if it was served. */
static void answer(struct backend *b, const GError *refused)
{
	struct request *rq = &b->request;
	bool has_reply = rq->shape && rq->shape->reply == VU_REPLY_ALWAYS;
	g_autoptr(GError) error = NULL;

	if (refused)
		log_limited(&b->refusals, LOG_LEVEL_WARNING, "front-end", "%s: %s",
			has_reply ? "closing the connection" : "refused", refused->message);
	if (has_reply && refused) {
		backend_disconnect(b);
		return;
	}
	if (!has_reply && wants_ack(b, rq))
		vu_msg_set_u64(&rq->out, ack_value(refused));
	else if (!has_reply)
		return;
	rq->out.header.flags |= VU_FLAG_REPLY;
	if (!vu_msg_write(b->fd, &rq->out, REPLY_TIMEOUT_MS, &error)) {
		log_limited(&b->refusals, LOG_LEVEL_WARNING, "front-end",
			"closing the connection: %s", error->message);
		backend_disconnect(b);
	}
}

static bool concerns(const struct request *rq, const struct ring *r)
{
	switch (rq->handler->scope) {
	case SCOPE_NONE:
		break;
	case SCOPE_RING:
		return r == rq->ring;
	case SCOPE_ALL:
		return true;
	}
	return false;
}

/* Starts what the request made complete, or had stopped; *error: the first that failed. */
static bool start_rings(struct backend *b, struct request *rq, GError **error)
{
	bool ok = true;

	for (unsigned i = 0; i < b->device.num_queues; i++) {
		struct ring *r = &b->rings[i];
		g_autoptr(GError) failed = NULL;

		if (!concerns(rq, r) || ring_start(r, &failed))
			continue;
		if (ok && error) {
			g_propagate_error(error, g_steal_pointer(&failed));
			ok = false;
		} else {
			log_limited(&b->refusals, LOG_LEVEL_WARNING, NULL, "does not run: %s",
				failed->message);
		}
	}
	return ok;
}

static void end_request(struct backend *b, const GError *refused)
{
	answer(b, refused);
	vu_msg_clear(&b->request.in);
	vu_msg_clear(&b->request.out);
}

static void serve(struct backend *b)
{
	struct request *rq = &b->request;
	g_autoptr(GError) error = NULL;
	bool ok;

	ok = rq->handler->handle(b, rq, &error);
	if (!start_rings(b, rq, ok && !rq->handler->lenient ? &error : NULL) || !ok)
		g_prefix_error(&error, "%s: ", rq->shape->name);
	end_request(b, error);
}

static void serve_now(struct backend *b)
{
	b->request.waits = false;
	serve(b);
	if (b->state == BACKEND_SERVING)
		backend_listen(b);
}

static void on_paused(struct backend *b)
{
	/* It may have been another connection's. */
	if (b->request.waits && b->request.pauses)
		serve_now(b);
}

void dispatch_resume(struct backend *b)
{
	struct request *rq = &b->request;

	if (!rq->waits || rq->pauses)
		return;
	if (rings_any(b, RING_DRAINING)) {
		backend_pause(b);
	} else if (rq->handler->pauses) {
		rq->pauses = true;
		backend_pause(b);
		owner_pause(b, on_paused);
	} else {
		serve_now(b);
	}
}

static bool must_stop(const struct backend *b, const struct request *rq)
{
	return rq->handler->scope != SCOPE_NONE &&
		(!rq->handler->must_stop || rq->handler->must_stop(b, rq));
}

void dispatch(struct backend *b)
{
	struct request *rq = &b->request;
	g_autoptr(GError) error = NULL;

	vu_msg_init(&rq->out, rq->in.header.request);
	if (!classify(b, rq, &error)) {
		end_request(b, error);
		return;
	}
	if (must_stop(b, rq)) {
		for (unsigned i = 0; i < b->device.num_queues; i++) {
			if (concerns(rq, &b->rings[i]))
				ring_drain(&b->rings[i]);
		}
	}
	rq->waits = true;
	rq->pauses = false;
	dispatch_resume(b);
}
