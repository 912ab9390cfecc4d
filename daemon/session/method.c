/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of the device, for the control socket. */
#include "daemon/session/backend_impl.h"

static void run(struct virtio_device *d, void *opaque)
{
	struct backend_call *call = opaque;

	call->ok = call->method->call(d, call->args, call->result, &call->error);
}

void backend_call(struct backend *b, struct backend_call *call)
{
	g_assert(!b->call.pending);
	call->ok = false;
	call->error = NULL;
	/* The front-end may just have started the queues: they are there for the method. */
	b->call =
		(struct pool_verb){ .run = run, .done = call->done, .opaque = call, .late = true };
	pool_run(b->pool, &b->call);
	if (!b->call.pending)
		call->done(call);
}

void backend_watch_events(
	struct backend *b, void (*event)(void *opaque, const char *line, size_t len), void *opaque)
{
	b->event = event;
	b->event_opaque = opaque;
	pool_want_events(b->pool, event);
}

uint64_t backend_lost_events(struct backend *b)
{
	return pool_lost_events(b->pool);
}
