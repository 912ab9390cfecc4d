/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a whole message to its answer. A message is a row of the table below, and each is served in
 * the same steps:
 *
 *	classify	is it known, well-formed, offered? which vring does it name?
 *	drain		the vrings that it concerns stop, and what it waits for ends
 *	handle		the row's handler takes what the message sets
 *	verb		the row's part of the device, if there is one
 *	start		vrings that are complete run, again or for the first time
 *	answer		a reply, or an acknowledgement if one was asked for
 *
 * For example, SET_VRING_ADDR: its row is { SCOPE_VRING, .handle = on_vring_addr }; the vring that
 * it names is drained; on_vring_addr() (msg_vring.c) notes the addresses; vring_start() (vring.c)
 * maps them and lets the pool run the queue; and need_reply is answered.
 *
 * To drain may take as long as the host's disk does, and the device's part as long as the device
 * likes: the connection is not read meanwhile, and the main loop goes on. A handler never waits.
 *
 * A message that is refused (vhost-user.rst, "REPLY_ACK") is answered by a non-zero acknowledgement
 * if one was asked for; not at all if the message has none; and where it has a reply of its own,
 * which cannot tell an error, by the end of the connection.
 */
#include <stdarg.h>

#include "base/error.h"
#include "base/trace.h"
#include "base/util.h"
#include "daemon/session/backend_impl.h"

/* A front-end that does not read its replies for so long is disconnected. */
#define REPLY_TIMEOUT_MS 1000

static const struct handler handlers[VU_REQUEST_END] = {
	[VU_GET_FEATURES] = { .handle = on_get_features },
	[VU_SET_FEATURES] = { SCOPE_ALL, changes_features, .handle = on_set_features },
	[VU_SET_OWNER] = { .handle = on_nothing },
	[VU_RESET_OWNER] = { .handle = on_nothing }, /* deprecated: "should be ignored" */
	/* The table is taken, or refused; a vring that it does not hold waits for its addresses. */
	[VU_SET_MEM_TABLE] = { SCOPE_ALL, .handle = on_set_mem_table, .lenient = true },
	[VU_SET_LOG_BASE] = { SCOPE_ALL, is_logging, .handle = on_set_log_base, .lenient = true },
	[VU_SET_LOG_FD] = { SCOPE_ALL, is_logging, .handle = on_set_log_fd, .lenient = true },
	[VU_SET_VRING_NUM] = { SCOPE_VRING, .handle = on_vring_num },
	[VU_SET_VRING_ADDR] = { SCOPE_VRING, .handle = on_vring_addr },
	[VU_SET_VRING_BASE] = { SCOPE_VRING, .handle = on_vring_base },
	[VU_GET_VRING_BASE] = { SCOPE_VRING, .handle = on_get_vring_base },
	[VU_SET_VRING_KICK] = { SCOPE_VRING, .handle = on_vring_kick },
	[VU_SET_VRING_CALL] = { .handle = on_vring_call },
	[VU_SET_VRING_ERR] = { .handle = on_vring_err },
	[VU_GET_PROTOCOL_FEATURES] = { .handle = on_get_protocol_features },
	[VU_SET_PROTOCOL_FEATURES] = { .handle = on_set_protocol_features },
	[VU_GET_QUEUE_NUM] = { .handle = on_get_queue_num },
	[VU_SET_VRING_ENABLE] = { SCOPE_VRING, disables_vring, .handle = on_vring_enable },
	[VU_SET_BACKEND_REQ_FD] = { .handle = on_backend_req_fd },
	[VU_GET_CONFIG] = { .handle = on_get_config },
	[VU_SET_CONFIG] = { .handle = on_set_config, .verb = verb_set_config },
	[VU_GET_INFLIGHT_FD] = { .handle = on_get_inflight_fd },
	[VU_SET_INFLIGHT_FD] = { SCOPE_ALL, .handle = on_set_inflight_fd },
	[VU_RESET_DEVICE] = { SCOPE_ALL, .handle = on_reset_device },
	[VU_GET_MAX_MEM_SLOTS] = { .handle = on_get_max_mem_slots },
	/* A table that is built region by region need not hold every vring yet. */
	[VU_ADD_MEM_REG] = { SCOPE_ALL, .handle = on_add_mem_reg, .lenient = true },
	[VU_REM_MEM_REG] = { SCOPE_ALL, .handle = on_rem_mem_reg, .lenient = true },
	[VU_SET_STATUS] = { SCOPE_ALL, clears_status, .handle = on_set_status },
	[VU_GET_STATUS] = { .handle = on_get_status },
	[VU_GET_SHMEM_CONFIG] = { .handle = on_get_shmem_config },
	[VU_SEND_RARP] = { .handle = on_nothing, .verb = verb_send_rarp },
	[VU_NET_SET_MTU] = { .handle = on_net_set_mtu, .verb = verb_net_set_mtu },
	[VU_GPU_SET_SOCKET] = { .handle = on_gpu_set_socket, .verb = verb_gpu_set_socket },
	[VU_CREATE_CRYPTO_SESSION] = { .handle = on_answered_in_place,
		.verb = verb_create_crypto_session },
	[VU_CLOSE_CRYPTO_SESSION] = { .handle = on_nothing, .verb = verb_close_crypto_session },
	[VU_GET_SHARED_OBJECT] = { .handle = on_answered_in_place, .verb = verb_get_shared_object },
	[VU_SET_DEVICE_STATE_FD] = { .handle = on_set_device_state_fd },
	[VU_CHECK_DEVICE_STATE] = { .ready = transfer_has_ended, .handle = on_check_device_state },
};

static const struct handler probe_handler = { .handle = on_probe };

G_DEFINE_QUARK(virtiod_backend_error, backend_error)

bool refuse(GError **error, int err, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	error_setv(error, BACKEND_ERROR, err, NULL, format, ap);
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

/* Finds the handler, and checks the message; the error names the message. */
static bool classify(struct backend *b, struct backend_request *rq, GError **error)
{
	uint32_t number = rq->in.header.request;
	unsigned index;

	rq->vring = NULL;
	rq->handler = &probe_handler;
	rq->shape = vu_probe_shape(number, rq->in.header.size, rq->in.n_fds, b->protocol_features,
		b->transfer.awaits_check);
	if (!rq->shape) {
		rq->shape = vu_shape(number);
		rq->handler = &handlers[rq->shape ? number : 0];
	}
	if (!rq->shape)
		return refuse(error, EOPNOTSUPP, "message %" PRIu32 " is not known", number);
	TRACE3(message, number, rq->in.header.size, rq->shape->name);
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
	rq->vring = &b->vrings[index];
	return true;
}

/* Returns whether the front-end awaits an acknowledgement of this message. */
static bool wants_ack(const struct backend *b, const struct backend_request *rq)
{
	bool acks = b->protocol_features & VU_BIT(VU_F_REPLY_ACK);

	/* This one turns acknowledgements on, or off, for itself. */
	if (rq->in.header.request == VU_SET_PROTOCOL_FEATURES)
		acks = rq->in.header.size == sizeof(rq->in.payload.u64) &&
			rq->in.payload.u64 & VU_BIT(VU_F_REPLY_ACK);
	return acks && rq->in.header.flags & VU_FLAG_NEED_REPLY;
}

/* Returns the value of an acknowledgement, "Zero indicates success, non-zero error": an errno. */
static uint64_t ack_value(const GError *refused)
{
	if (!refused)
		return 0;
	return refused->domain == BACKEND_ERROR ? refused->code : EINVAL;
}

/* Sends the answer. refused: NULL if the request was served. */
static void send_answer(struct backend *b, const GError *refused)
{
	struct backend_request *rq = &b->request;
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

static bool concerns(const struct backend_request *rq, const struct backend_vring *v)
{
	switch (rq->handler->scope) {
	case SCOPE_NONE:
		break;
	case SCOPE_VRING:
		return v == rq->vring;
	case SCOPE_ALL:
		return true;
	}
	return false;
}

static void end_request(struct backend *b, const GError *refused)
{
	send_answer(b, refused);
	vu_msg_clear(&b->request.in);
	vu_msg_clear(&b->request.out);
}

/* The steps. One that returns false waits, and is asked again whenever something has happened. */
typedef bool step_fn(struct backend *b, struct backend_request *rq);

static bool wait_for_drain(struct backend *b, struct backend_request *rq)
{
	return !pool_any(b->pool, QUEUE_DRAINING) && (!rq->handler->ready || rq->handler->ready(b));
}

static bool handle(struct backend *b, struct backend_request *rq)
{
	if (rq->handler->handle(b, rq, &rq->error) && rq->handler->verb)
		pool_run(b->pool, &b->verb);
	return true;
}

static bool wait_for_device(struct backend *b, struct backend_request *rq)
{
	return !b->verb.pending && !b->reset.pending;
}

/* Starts what the message made complete, or had stopped. The first error is the message's. */
static bool start_vrings(struct backend *b, struct backend_request *rq)
{
	bool blame = !rq->error && !rq->handler->lenient;

	for (unsigned i = 0; i < b->device.num_queues; i++) {
		struct backend_vring *v = &b->vrings[i];
		g_autoptr(GError) failed = NULL;

		if (!concerns(rq, v))
			continue;
		quiet_described(v);
		if (vring_start(v, &failed))
			continue;
		if (blame && !rq->error)
			g_propagate_error(&rq->error, g_steal_pointer(&failed));
		else
			log_limited(&b->refusals, LOG_LEVEL_WARNING, NULL, "does not run: %s",
				failed->message);
	}
	return true;
}

static bool answer(struct backend *b, struct backend_request *rq)
{
	g_autoptr(GError) refused = g_steal_pointer(&rq->error);

	rq->open = false;
	if (refused)
		g_prefix_error(&refused, "%s: ", rq->shape->name);
	end_request(b, refused);
	return true;
}

static step_fn *const steps[] = {
	wait_for_drain,
	handle,
	wait_for_device,
	start_vrings,
	wait_for_device, /* which a start may have reset */
	answer,
};

void dispatch_resume(struct backend *b)
{
	struct backend_request *rq = &b->request;

	while (rq->open) {
		if (!steps[rq->step](b, rq)) {
			backend_pause(b);
			return;
		}
		rq->step++;
	}
	if (b->state == BACKEND_SERVING)
		backend_listen(b);
}

/* Runs a verb_fn, as the pool calls it. */
static void run_verb(struct virtio_device *d, void *opaque)
{
	struct backend *b = opaque;
	struct backend_request *rq = &b->request;

	if (!rq->handler->verb(d, rq, &rq->error) && !rq->error)
		refuse(&rq->error, EIO, "the device refuses");
}

void dispatch_init(struct backend *b)
{
	b->verb = (struct pool_verb){ .run = run_verb, .done = backend_resume, .opaque = b };
}

static bool must_stop(const struct backend *b, const struct backend_request *rq)
{
	return rq->handler->scope != SCOPE_NONE &&
		(!rq->handler->must_stop || rq->handler->must_stop(b, rq));
}

void dispatch(struct backend *b)
{
	struct backend_request *rq = &b->request;
	g_autoptr(GError) error = NULL;

	vu_msg_init(&rq->out, rq->in.header.request);
	if (!classify(b, rq, &error)) {
		end_request(b, error);
		return;
	}
	for (unsigned i = 0; must_stop(b, rq) && i < b->device.num_queues; i++) {
		if (concerns(rq, &b->vrings[i]))
			vring_drain(&b->vrings[i]);
	}
	rq->open = true;
	rq->step = 0;
	dispatch_resume(b);
}
