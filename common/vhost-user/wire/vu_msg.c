/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, checking and writing one vhost-user message. */
#include "vhost-user/wire/vu_msg.h"

#include <errno.h>
#include <inttypes.h>

#include "base/fd_kind.h"
#include "base/sock.h"
#include "base/util.h"

G_DEFINE_QUARK(vu_msg_error, vu_msg_error)

#define HEADER sizeof(struct vu_header)

void vu_msg_init(struct vu_msg *msg, uint32_t request)
{
	msg->header = (struct vu_header){ .request = request, .flags = VU_VERSION };
	msg->n_fds = 0;
	msg->truncated = false;
}

void vu_msg_clear(struct vu_msg *msg)
{
	fds_discard(msg->fds, msg->n_fds);
	msg->n_fds = 0;
}

int vu_msg_take_fd(struct vu_msg *msg, unsigned i)
{
	return i < msg->n_fds ? fd_steal(&msg->fds[i]) : -1;
}

void vu_msg_set_u64(struct vu_msg *msg, uint64_t value)
{
	msg->payload.u64 = value;
	msg->header.size = sizeof(value);
}

static enum vu_read fail_read(ssize_t n, GError **error)
{
	g_set_error(error, VU_MSG_ERROR, VU_MSG_ERROR_GONE, "cannot read: %s", g_strerror((int)-n));
	return VU_READ_ERROR;
}

/* Fails where the stream ended after this much of a message, but not at its end. */
static enum vu_read fail_short(size_t have, const struct vu_header *h, GError **error)
{
	if (have < HEADER)
		g_set_error(error, VU_MSG_ERROR, VU_MSG_ERROR_GONE,
			"closed after %zu of a header's %zu bytes", have, HEADER);
	else
		g_set_error(error, VU_MSG_ERROR, VU_MSG_ERROR_GONE,
			"closed after %zu of %" PRIu32 " bytes of payload of message %" PRIu32,
			have - HEADER, h->size, h->request);
	return VU_READ_ERROR;
}

/* Reads towards a total of `want` bytes, of which the first r->have are there. */
static enum vu_read read_part(
	struct vu_reader *r, int fd, struct vu_msg *msg, void *to, size_t want, GError **error)
{
	ssize_t n;

	n = sock_recv(fd, to, want - r->have, msg->fds, SOCK_MAX_FDS, &msg->n_fds, &msg->truncated);
	if (n == -EAGAIN)
		return VU_READ_AGAIN;
	if (r->have == 0 && (n == 0 || n == -ECONNRESET))
		return VU_READ_CLOSED;
	if (n < 0)
		return fail_read(n, error);
	if (n == 0)
		return fail_short(r->have, &msg->header, error);
	r->have += n;
	return r->have == want ? VU_READ_DONE : VU_READ_AGAIN;
}

static bool header_is_sound(const struct vu_header *h, GError **error)
{
	if ((h->flags & VU_VERSION_MASK) != VU_VERSION) {
		g_set_error(error, VU_MSG_ERROR, VU_MSG_ERROR_FRAMING,
			"message %" PRIu32 " (%" PRIu32
			" bytes of payload): protocol version %u instead of %u",
			h->request, h->size, h->flags & VU_VERSION_MASK, VU_VERSION);
		return false;
	}
	if (h->size > VU_MAX_PAYLOAD) {
		g_set_error(error, VU_MSG_ERROR, VU_MSG_ERROR_FRAMING,
			"message %" PRIu32 ": %" PRIu32 " bytes of payload are more than %zu",
			h->request, h->size, VU_MAX_PAYLOAD);
		return false;
	}
	return true;
}

enum vu_read vu_msg_read(struct vu_reader *r, int fd, struct vu_msg *msg, GError **error)
{
	enum vu_read got;

	if (r->have == 0)
		vu_msg_init(msg, 0);
	while (r->have < HEADER) {
		size_t before = r->have;

		got = read_part(r, fd, msg, (char *)&msg->header + before, HEADER, error);
		if (got != VU_READ_DONE && r->have == before)
			return got;
		if (got == VU_READ_DONE && !header_is_sound(&msg->header, error))
			return VU_READ_ERROR;
	}
	/* The size was checked when the header became whole, and has not changed since. */
	while (r->have < HEADER + msg->header.size) {
		size_t before = r->have;

		got = read_part(r, fd, msg, msg->payload.bytes + before - HEADER,
			HEADER + msg->header.size, error);
		if (got != VU_READ_DONE && r->have == before)
			return got;
	}
	r->have = 0;
	return VU_READ_DONE;
}

enum vu_read vu_msg_peek(int fd, struct vu_header *header, GError **error)
{
	ssize_t seen = sock_peek(fd, header, HEADER), have;
	bool ended;

	if (seen == -EAGAIN)
		return VU_READ_AGAIN;
	if (seen == 0 || seen == -ECONNRESET)
		return VU_READ_CLOSED;
	if (seen < 0)
		return fail_read(seen, error);
	have = sock_unread(fd, &ended);
	if (have < 0)
		return fail_read(have, error);
	if ((size_t)seen < HEADER) /* if the rest has come meanwhile: the next look finds it */
		return ended && have == seen ? fail_short(have, header, error) : VU_READ_AGAIN;
	if (!header_is_sound(header, error))
		return VU_READ_ERROR;
	if ((size_t)have >= HEADER + header->size)
		return VU_READ_DONE;
	return ended ? fail_short(have, header, error) : VU_READ_AGAIN;
}

bool vu_msg_take(int fd, const struct vu_header *header, unsigned max_fds, struct vu_msg *msg,
	GError **error)
{
	uint8_t wire[HEADER + VU_MAX_PAYLOAD];
	size_t want = HEADER + header->size, have = 0;

	vu_msg_init(msg, header->request);
	/* A page that was still to come could end the copy half-way in a process being killed. */
	memset(wire, 0, want);
	while (have < want) {
		ssize_t n = sock_recv(fd, wire + have, want - have, msg->fds, max_fds, &msg->n_fds,
			&msg->truncated);

		if (n <= 0) {
			fail_read(n, error);
			return false;
		}
		have += n;
	}
	memcpy(&msg->header, wire, HEADER);
	memcpy(msg->payload.bytes, wire + HEADER, header->size);
	return true;
}

static bool check_amounts(const struct vu_msg *msg, const struct vu_shape *s, GError **error)
{
	uint32_t size = msg->header.size;

	if (size < s->min_size || size > s->max_size) {
		if (s->min_size == s->max_size)
			g_set_error(error, VU_MSG_ERROR, VU_MSG_ERROR_SHAPE,
				"%s: %" PRIu32 " bytes of payload instead of %u", s->name, size,
				s->min_size);
		else
			g_set_error(error, VU_MSG_ERROR, VU_MSG_ERROR_SHAPE,
				"%s: %" PRIu32 " bytes of payload instead of %u to %u", s->name,
				size, s->min_size, s->max_size);
		return false;
	}
	if (msg->truncated) {
		g_set_error(error, VU_MSG_ERROR, VU_MSG_ERROR_SHAPE,
			"%s: some of its file descriptors were lost", s->name);
		return false;
	}
	if (msg->n_fds < s->min_fds || msg->n_fds > s->max_fds) {
		g_set_error(error, VU_MSG_ERROR, VU_MSG_ERROR_SHAPE,
			"%s: %u file descriptors instead of %s%u", s->name, msg->n_fds,
			s->min_fds == s->max_fds ? "" : "at most ", s->max_fds);
		return false;
	}
	return true;
}

static bool check_table(const struct vu_msg *msg, const struct vu_shape *s, GError **error)
{
	size_t size = msg->header.size - sizeof(struct vu_mem_table);
	uint32_t n = msg->payload.table.n_regions;

	if (n > VU_MAX_REGIONS ||
		(size != n * sizeof(struct vu_region) &&
			size != n * sizeof(struct vu_region_xen))) {
		g_set_error(error, VU_MSG_ERROR, VU_MSG_ERROR_SHAPE,
			"%s: %" PRIu32 " regions do not fill %" PRIu32 " bytes of payload", s->name,
			n, msg->header.size);
		return false;
	}
	if (msg->n_fds != n) {
		g_set_error(error, VU_MSG_ERROR, VU_MSG_ERROR_SHAPE,
			"%s: %u file descriptors for %" PRIu32 " regions", s->name, msg->n_fds, n);
		return false;
	}
	return true;
}

/*
 * Checks the size: of two sizes that are both within the limits, only these are a struct that
 * peers send.
 */
static bool check_size_is_one_of(
	const struct vu_msg *msg, const struct vu_shape *s, uint32_t a, uint32_t b, GError **error)
{
	uint32_t size = msg->header.size;

	if (size == a || size == b || size == s->min_size)
		return true;
	g_set_error(error, VU_MSG_ERROR, VU_MSG_ERROR_SHAPE,
		"%s: %" PRIu32 " bytes of payload instead of %" PRIu32 " or %" PRIu32, s->name,
		size, a, b);
	return false;
}

static bool check_config(const struct vu_msg *msg, const struct vu_shape *s, GError **error)
{
	size_t data = msg->header.size - sizeof(struct vu_config);

	if (msg->payload.config.size == data)
		return true;
	g_set_error(error, VU_MSG_ERROR, VU_MSG_ERROR_SHAPE,
		"%s: %zu bytes of configuration instead of %" PRIu32, s->name, data,
		msg->payload.config.size);
	return false;
}

static bool check_body(const struct vu_msg *msg, const struct vu_shape *s, GError **error)
{
	switch (s->body) {
	case VU_BODY_PLAIN:
		return true;
	case VU_BODY_TABLE:
		return check_table(msg, s, error);
	case VU_BODY_REGION:
	case VU_BODY_INFLIGHT:
		return check_size_is_one_of(msg, s,
			s->body == VU_BODY_REGION ? s->min_size : VU_INFLIGHT_UNPADDED, s->max_size,
			error);
	case VU_BODY_CONFIG:
		return check_config(msg, s, error);
	}
	return false;
}

bool vu_msg_check(const struct vu_msg *msg, const struct vu_shape *shape, GError **error)
{
	unsigned promised;

	if (!check_amounts(msg, shape, error) || !check_body(msg, shape, error))
		return false;
	if (shape->ring != VU_RING_FD)
		return true;
	promised = msg->payload.u64 & VU_VRING_FD_NONE ? 0 : 1;
	if (msg->n_fds != promised) {
		g_set_error(error, VU_MSG_ERROR, VU_MSG_ERROR_SHAPE,
			"%s: %u file descriptors instead of %u, as its bit 8 says", shape->name,
			msg->n_fds, promised);
		return false;
	}
	return true;
}

bool vu_msg_check_reply(
	const struct vu_msg *msg, uint32_t request, const struct vu_shape *shape, GError **error)
{
	/* An acknowledgement is a u64, too. */
	bool own = shape->reply == VU_REPLY_ALWAYS;
	const struct vu_shape as_request = {
		.name = shape->name,
		.min_size = own ? shape->reply_min : sizeof(uint64_t),
		.max_size = own ? shape->reply_max : sizeof(uint64_t),
		.max_fds = shape->reply_max_fds,
	};

	if (msg->header.request != request || !(msg->header.flags & VU_FLAG_REPLY)) {
		g_set_error(error, VU_MSG_ERROR, VU_MSG_ERROR_SHAPE,
			"%s: answered by message %" PRIu32 ", flags 0x%" PRIx32, shape->name,
			msg->header.request, msg->header.flags);
		return false;
	}
	if (!check_amounts(msg, &as_request, error)) {
		g_prefix_error(error, "reply to ");
		return false;
	}
	return true;
}

unsigned vu_msg_ring_index(const struct vu_msg *msg, const struct vu_shape *shape)
{
	return shape->ring == VU_RING_FD ? msg->payload.u64 & VU_VRING_FD_INDEX_MASK
					 : msg->payload.u32;
}

unsigned vu_msg_regions(const struct vu_msg *msg, struct mem_region_desc *desc)
{
	/* The table's and the single region's first eight bytes take the same room. */
	bool table = msg->header.request == VU_SET_MEM_TABLE;
	unsigned n = table ? msg->payload.table.n_regions : 1;
	size_t stride = n ? (msg->header.size - sizeof(struct vu_mem_table)) / n : 0;
	const uint8_t *from = msg->payload.bytes + sizeof(struct vu_mem_table);

	for (unsigned i = 0; i < n; i++, from += stride) {
		struct vu_region_xen r = { 0 };

		memcpy(&r, from, stride);
		desc[i] = (struct mem_region_desc){
			.guest_addr = r.guest_addr,
			.size = r.size,
			.user_addr = r.user_addr,
			.mmap_offset = r.mmap_offset,
			.xen_flags = r.xen_flags,
			.xen_domid = r.xen_domid,
		};
	}
	return n;
}

bool vu_msg_write(int fd, const struct vu_msg *msg, int timeout_ms, GError **error)
{
	/*
	 * In one piece: some peers read a payload with one read() and take no less. So small, it
	 * is one buffer of the socket, or none if that is full.
	 */
	uint8_t wire[HEADER + VU_MAX_PAYLOAD];
	int err;

	memcpy(wire, &msg->header, HEADER);
	memcpy(wire + HEADER, msg->payload.bytes, msg->header.size);
	err = sock_send(fd, wire, HEADER + msg->header.size, msg->fds, msg->n_fds, timeout_ms);
	if (err == 0)
		return true;
	g_set_error(error, VU_MSG_ERROR, VU_MSG_ERROR_GONE, "cannot send message %" PRIu32 ": %s",
		msg->header.request, g_strerror(-err));
	return false;
}
