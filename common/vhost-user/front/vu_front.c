/* SPDX-License-Identifier: Apache-2.0 */
/* The front-end's connection: one request at a time, each within its deadline. */
#include "vhost-user/front/vu_front.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/sock.h"
#include "base/util.h"
#include "vhost-user/front/vu_front_impl.h"

G_DEFINE_QUARK(vu_front_error, vu_front_error)

const char *const vu_probe_words[] = {
	[VU_PROBE_AUTO] = "auto",
	[VU_PROBE_FORCE] = "force",
	[VU_PROBE_OFF] = "off",
	NULL,
};

bool vu_front_fail(
	struct vu_front *f, GError **error, enum vu_front_error code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	error_setv(error, VU_FRONT_ERROR, code, f->name, format, args);
	va_end(args);
	switch (code) {
	case VU_FRONT_ERROR_REFUSED:
	case VU_FRONT_ERROR_PROPERTIES:
		break;
	case VU_FRONT_ERROR_BUSY:
	case VU_FRONT_ERROR_GONE:
	case VU_FRONT_ERROR_PROTOCOL:
		vu_front_close(f);
	}
	return false;
}

static void close_fds(struct vu_front *f)
{
	vu_front_channel_close(f);
	vu_front_shm_drop(f);
	vu_front_unwatch(f, f->fd);
	fd_close(&f->fd);
}

void vu_front_close(struct vu_front *f)
{
	if (f->options.state)
		__atomic_store_n(&f->options.state->adoptable, 0, __ATOMIC_RELEASE);
	/* Others may hold this socket, too: the back-end must not go on for them. */
	if (f->fd >= 0)
		shutdown(f->fd, SHUT_RDWR);
	close_fds(f);
}

bool vu_front_open(struct vu_front *f, int fd, GError **error)
{
	f->fd = fd;
	f->answered = false;
	return (vu_front_open_arrivals(f) && vu_front_watch(f, fd)) ||
		vu_front_fail(f, error, VU_FRONT_ERROR_GONE, "cannot watch the socket: %s",
			g_strerror(errno));
}

struct vu_msg *vu_front_request(struct vu_front *f, uint32_t request)
{
	vu_msg_init(&f->msg, request);
	return &f->msg;
}

/*
 * Fails. A back-end that serves another front-end accepts and closes: nothing was ever answered
 * then.
 */
static bool fail_gone(struct vu_front *f, const char *why, GError **error)
{
	if (f->answered)
		return vu_front_fail(f, error, VU_FRONT_ERROR_GONE, "%s", why);
	return vu_front_fail(
		f, error, VU_FRONT_ERROR_BUSY, "busy: the back-end serves another front-end");
}

static bool has_peer_closed(const struct vu_front *f)
{
	struct pollfd p = { .fd = f->fd };

	return poll(&p, 1, 0) == 1 && p.revents & POLLHUP;
}

bool vu_front_send(struct vu_front *f, GError **error)
{
	g_autoptr(GError) why = NULL;
	bool ok;

	if (f->fd < 0) {
		f->msg.n_fds = 0;
		return vu_front_fail(f, error, VU_FRONT_ERROR_GONE, "not connected");
	}
	if (f->options.cancel &&
		!vu_front_wait(&f->options, f->fd, POLLOUT, f->options.deadline_ms)) {
		f->msg.n_fds = 0;
		return vu_front_fail(f, error, VU_FRONT_ERROR_GONE, VU_FRONT_CANCELLED);
	}
	ok = vu_msg_write(f->fd, &f->msg, f->options.deadline_ms, &why);
	f->msg.n_fds = 0; /* they are the caller's */
	if (ok)
		return true;
	if (has_peer_closed(f))
		return fail_gone(f, "the back-end closed the connection", error);
	return vu_front_fail(
		f, error, VU_FRONT_ERROR_GONE, "the back-end takes no messages: %s", why->message);
}

static bool take(struct vu_front *f, const struct vu_header *header, GError **error)
{
	const struct vu_front_options *o = &f->options;

	if (f->reply_fds && o->take)
		return o->take(o->take_opaque, header, &f->msg, error);
	return vu_msg_take(f->fd, header, f->reply_fds, &f->msg, error);
}

/*
 * Checks that half a reply with fds becomes whole soon. Until then it stays in the socket, and with
 * it the fds: one of them may be the back-end's end of this socket, which then does not close when
 * the back-end ends.
 */
static bool check_rest(struct vu_front *f, GError **error)
{
	unsigned ms = MIN(f->options.deadline_ms, VU_FRONT_REST_MS);
	gint64 now = g_get_monotonic_time();

	if (!sock_has_unread_fds(f->fd)) {
		f->half_until = 0;
		return true;
	}
	if (!f->half_until)
		f->half_until = now + ms * G_TIME_SPAN_MILLISECOND;
	if (now < f->half_until)
		return true;
	g_set_error(error, VU_MSG_ERROR, VU_MSG_ERROR_GONE,
		"half a message with file descriptors, and no more within %u ms", ms);
	return false;
}

bool vu_front_receive_until(
	struct vu_front *f, const char *what, unsigned timeout_ms, gint64 deadline, GError **error)
{
	g_autoptr(GError) why = NULL;
	struct vu_header header;

	f->half_until = 0;
	for (;;) {
		switch (vu_msg_peek(f->fd, &header, &why)) {
		case VU_READ_DONE:
			if (take(f, &header, &why)) {
				f->answered = true;
				return true;
			}
			vu_msg_clear(&f->msg);
			break;
		case VU_READ_CLOSED:
			return fail_gone(f, "the back-end closed the connection", error);
		case VU_READ_ERROR:
			break;
		case VU_READ_AGAIN:
			if (!check_rest(f, &why))
				break;
			if (!vu_front_wait_for_input(f, what, timeout_ms, deadline, error))
				return false;
			continue;
		}
		return vu_front_fail(f, error,
			g_error_matches(why, VU_MSG_ERROR, VU_MSG_ERROR_GONE)
				? VU_FRONT_ERROR_GONE
				: VU_FRONT_ERROR_PROTOCOL,
			"after %s: %s", what, why->message);
	}
}

bool vu_front_receive(struct vu_front *f, const char *what, unsigned timeout_ms, GError **error)
{
	return vu_front_receive_until(f, what, timeout_ms,
		g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND, error);
}

/* Describes a request as a message for people names it: "SET_VRING_NUM 1024 of ring 3". */
static char *describe(const struct vu_msg *msg, const struct vu_shape *s)
{
	unsigned ring = vu_msg_ring_index(msg, s);

	if (s->ring == VU_RING_U32 && s->max_size == sizeof(struct vu_vring_state))
		return g_strdup_printf(
			"%s %" PRIu32 " of ring %u", s->name, msg->payload.state.num, ring);
	if (s->ring != VU_RING_NONE)
		return g_strdup_printf("%s of ring %u", s->name, ring);
	if (s->body == VU_BODY_REGION) {
		struct mem_region_desc desc;

		vu_msg_regions(msg, &desc);
		return g_strdup_printf("%s of memory at 0x%" PRIx64, s->name, desc.guest_addr);
	}
	if (msg->header.size == sizeof(uint64_t) && s->body == VU_BODY_PLAIN)
		return g_strdup_printf("%s 0x%" PRIx64, s->name, msg->payload.u64);
	return g_strdup(s->name);
}

bool vu_front_call(struct vu_front *f, GError **error)
{
	uint32_t request = f->msg.header.request;
	const struct vu_shape *shape = vu_shape(request);
	g_autofree char *what = describe(&f->msg, shape);
	g_autoptr(GError) why = NULL;
	bool own_reply = shape->reply == VU_REPLY_ALWAYS;
	bool ack = !own_reply && vu_front_acked(f, VU_F_REPLY_ACK);
	bool ok;

	if (ack)
		f->msg.header.flags |= VU_FLAG_NEED_REPLY;
	if (!vu_front_send(f, error))
		return false;
	if (!own_reply && !ack)
		return true;
	f->reply_fds = own_reply ? shape->reply_max_fds : 0;
	ok = vu_front_receive(
		f, what, f->answered ? f->options.deadline_ms : f->options.first_answer_ms, error);
	f->reply_fds = 0;
	if (!ok)
		return false;
	if (!vu_msg_check_reply(&f->msg, request, shape, &why)) {
		vu_msg_clear(&f->msg);
		return vu_front_fail(f, error, VU_FRONT_ERROR_PROTOCOL, "%s", why->message);
	}
	if (ack && f->msg.payload.u64 != 0)
		return vu_front_fail(f, error, VU_FRONT_ERROR_REFUSED,
			"the back-end refused %s (%" PRId64 ")", what, (int64_t)f->msg.payload.u64);
	return true;
}

bool vu_front_get_u64(struct vu_front *f, uint32_t request, uint64_t *value, GError **error)
{
	vu_front_request(f, request);
	if (!vu_front_call(f, error))
		return false;
	*value = f->msg.payload.u64;
	return true;
}

bool vu_front_set_u64(struct vu_front *f, uint32_t request, uint64_t value, GError **error)
{
	vu_msg_set_u64(vu_front_request(f, request), value);
	return vu_front_call(f, error);
}

struct vu_front *vu_front_alloc(
	const char *name, const char *path, const struct vu_front_options *options)
{
	struct vu_front *f = g_new0(struct vu_front, 1);

	f->name = g_strdup(name);
	f->path = g_strdup(path);
	f->options = *options;
	if (!f->options.deadline_ms)
		f->options.deadline_ms = VU_FRONT_DEADLINE_MS;
	if (!f->options.first_answer_ms)
		f->options.first_answer_ms = f->options.deadline_ms;
	f->fd = f->channel = f->channel_peer = -1;
	f->arrivals = f->changed = f->channel_timer = f->channel_poll = -1;
	f->regions = g_array_new(FALSE, FALSE, sizeof(struct vu_front_region));
	f->mappings = g_array_new(FALSE, FALSE, sizeof(struct vu_front_mapping));
	return f;
}

static struct vu_front *front_new(const struct vu_front_sockets *sockets, const char *name,
	const char *path, const struct vu_front_options *options, GError **error)
{
	g_autoptr(vu_front) f = vu_front_alloc(name, path, options);

	f->channel = sockets->channel;
	f->channel_peer = sockets->channel_peer;
	if (f->options.state)
		*f->options.state = (struct vu_front_state){ 0 };
	if (!vu_front_open(f, sockets->fd, error) || !vu_front_negotiate(f, error))
		return NULL;
	return g_steal_pointer(&f);
}

struct vu_front *vu_front_new_on(const struct vu_front_sockets *sockets, const char *name,
	const struct vu_front_options *options, GError **error)
{
	return front_new(sockets, name, NULL, options, error);
}

struct vu_front *vu_front_new(
	int fd, const char *name, const struct vu_front_options *options, GError **error)
{
	return front_new(&(struct vu_front_sockets){ fd, -1, -1 }, name, NULL, options, error);
}

struct vu_front *vu_front_connect(
	const char *path, const struct vu_front_options *options, GError **error)
{
	int fd = vu_front_dial(options, path, error);

	return fd < 0 ? NULL : vu_front_connect_on(fd, path, options, error);
}

struct vu_front *vu_front_connect_on(
	int fd, const char *path, const struct vu_front_options *options, GError **error)
{
	return front_new(&(struct vu_front_sockets){ fd, -1, -1 }, path, path, options, error);
}

void vu_front_free(struct vu_front *f)
{
	if (!f)
		return;
	/* Another process may have the sockets, and go on. */
	close_fds(f);
	fd_close(&f->arrivals);
	g_array_unref(f->regions);
	g_array_unref(f->mappings);
	g_free(f->name);
	g_free(f->path);
	g_free(f);
}

const struct vu_properties *vu_front_properties(const struct vu_front *f)
{
	return &f->properties;
}

bool vu_front_is_alive(const struct vu_front *f)
{
	return f->fd >= 0;
}

int vu_front_fd(const struct vu_front *f)
{
	return f->fd;
}

const char *vu_source_name(enum vu_source source)
{
	switch (source) {
	case VU_SOURCE_NONE:
		return "unknown";
	case VU_SOURCE_PROBE:
		return "PROBE";
	case VU_SOURCE_MESSAGE:
		return "negotiation";
	case VU_SOURCE_USER:
		return "the user";
	case VU_SOURCE_ASSUMED:
		return "assumed";
	}
	return "unknown";
}
