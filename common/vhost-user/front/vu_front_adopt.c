/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going on with a connection whose process died, at whatever instruction.
 *
 * Every message is taken from a socket whole or not at all (vu_msg_peek(), vu_msg_take()), and sent
 * whole or not at all (vu_msg_write()), so both streams are at a message's edge. What is not known
 * is which answers are still to come: to a request of the predecessor, and to those of predecessors
 * that died here. They come in order, so a request is sent whose answer cannot be taken for one of
 * theirs: a fence. All up to its answer is thrown away.
 *
 *	1st attempt	GET_PROTOCOL_FEATURES
 *	2nd attempt	GET_PROTOCOL_FEATURES GET_FEATURES
 *	3rd attempt	GET_PROTOCOL_FEATURES GET_FEATURES GET_FEATURES
 *
 * The first is sent nowhere else but in negotiation, before anybody can adopt; as many of the
 * second follow it at once, in one piece, as attempts have failed before. An older fence ends
 * sooner, so nothing but the answers to the newest is that long.
 */
#include "base/sock.h"
#include "vhost-user/front/vu_front_impl.h"

/* Attempts in a row that died: beyond that they are killed on purpose. */
#define MAX_ATTEMPTS 16
/* Answers to all fences of those, and to the request before. */
#define MAX_STALE (MAX_ATTEMPTS * (MAX_ATTEMPTS + 1) / 2 + 1)

void vu_front_publish(struct vu_front *f)
{
	struct vu_front_state *state = f->options.state;

	/* Without protocol features there is no fence. */
	if (!state || !(f->properties.features & VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES)))
		return;
	state->properties = f->properties;
	/* After all else: a process can be killed between any two stores. */
	__atomic_store_n(&state->adoptable, 1, __ATOMIC_RELEASE);
}

static bool check_state(struct vu_front *f, GError **error)
{
	const struct vu_front_state *state = f->options.state;

	if (!__atomic_load_n(&state->adoptable, __ATOMIC_ACQUIRE))
		return vu_front_fail(
			f, error, VU_FRONT_ERROR_GONE, "there is no connection to go on with");
	f->properties = state->properties;
	/* The one that sizes something: the predecessor may have damaged it. */
	if (f->properties.probe.config_size > VU_MAX_CONFIG)
		return vu_front_fail(
			f, error, VU_FRONT_ERROR_PROTOCOL, "the connection's state is damaged");
	return true;
}

static bool send_fence(struct vu_front *f, uint32_t repeats, GError **error)
{
	struct vu_header fence[1 + MAX_ATTEMPTS];
	int err;

	for (uint32_t i = 0; i <= repeats; i++)
		fence[i] = (struct vu_header){
			.request = i ? VU_GET_FEATURES : VU_GET_PROTOCOL_FEATURES,
			.flags = VU_VERSION,
		};
	err = sock_send(
		f->fd, fence, (1 + repeats) * sizeof(*fence), NULL, 0, f->options.deadline_ms);
	return err == 0 ||
		vu_front_fail(f, error, VU_FRONT_ERROR_GONE, "cannot send: %s", g_strerror(-err));
}

/* Reads up to the last answer to the fence. */
static bool pass_fence(struct vu_front *f, uint32_t repeats, GError **error)
{
	unsigned ms = f->options.deadline_ms;
	gint64 deadline = g_get_monotonic_time() + ms * G_TIME_SPAN_MILLISECOND;
	bool begun = false;
	uint32_t n = 0;

	for (unsigned i = 0; i < MAX_STALE; i++) {
		if (!vu_front_receive_until(f, "GET_PROTOCOL_FEATURES", ms, deadline, error))
			return false;
		vu_msg_clear(&f->msg);
		if (f->msg.header.request == VU_GET_PROTOCOL_FEATURES) {
			begun = true;
			n = 0;
		} else if (f->msg.header.request == VU_GET_FEATURES) {
			n++;
		}
		if (begun && n == repeats)
			return true;
	}
	return vu_front_fail(f, error, VU_FRONT_ERROR_PROTOCOL,
		"GET_PROTOCOL_FEATURES: no answer among %u messages", MAX_STALE);
}

static bool find_edge(struct vu_front *f, GError **error)
{
	struct vu_front_state *state = f->options.state;
	uint32_t repeats = state->fences;

	if (repeats >= MAX_ATTEMPTS)
		return vu_front_fail(f, error, VU_FRONT_ERROR_GONE,
			"%u processes in a row died that would go on with the connection",
			MAX_ATTEMPTS);
	/* Before it is sent: one that is not sent does no harm. */
	__atomic_store_n(&state->fences, repeats + 1, __ATOMIC_RELEASE);
	if (!send_fence(f, repeats, error) || !pass_fence(f, repeats, error))
		return false;
	__atomic_store_n(&state->fences, 0, __ATOMIC_RELEASE);
	return true;
}

struct vu_front *vu_front_adopt(const struct vu_front_sockets *sockets, const char *name,
	const struct vu_front_options *options, GError **error)
{
	g_autoptr(vu_front) f = vu_front_alloc(name, NULL, options);

	f->channel = sockets->channel;
	f->channel_peer = sockets->channel_peer;
	f->regions_unknown = true;
	if (!vu_front_open(f, sockets->fd, error) || !check_state(f, error))
		return NULL;
	/* The connection was accepted: it cannot be closed as busy any more. */
	f->answered = true;
	/* The channel first: the back-end may wait there before it answers. */
	if (!vu_front_channel_adopt(f, error) || !find_edge(f, error))
		return NULL;
	return g_steal_pointer(&f);
}
