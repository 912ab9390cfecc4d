/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of a case, and the record of them. */
#include "tools/check/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>

#include "base/util.h"

/* Multiples of what a simple request takes. */
#define TIMEOUT_TIMES 500
#define QUIET_TIMES 50
#define QUIET_FLOOR_US 20000
/* A peer that is busy is asked again after so long. */
#define BUSY_US 5000
/* A program that is started listens within so many time-outs. */
#define START_TIMES 10
/* Of a record, and of the bytes of one message. */
#define RECORD_MAX 24576
#define DUMP_MAX 96

uint64_t wire_timeout_us(const struct check *k)
{
	return MAX(k->options->floor_us, TIMEOUT_TIMES * k->peer.reply_us);
}

uint64_t wire_quiet_us(const struct check *k)
{
	return MAX(QUIET_FLOOR_US, QUIET_TIMES * k->peer.reply_us);
}

void wire_note(struct check *k, const char *format, ...)
{
	va_list ap;

	if (k->record->len > RECORD_MAX)
		return;
	va_start(ap, format);
	g_string_append_vprintf(k->record, format, ap);
	va_end(ap);
	g_string_append_c(k->record, '\n');
	if (k->record->len > RECORD_MAX)
		g_string_append(k->record, "... (the rest is left out)\n");
}

static void note_bytes(struct check *k, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n && i < DUMP_MAX; i += 16) {
		g_autoptr(GString) line = g_string_new(NULL);

		for (size_t j = i; j < n && j < i + 16; j++)
			g_string_append_printf(line, " %02x", bytes[j]);
		wire_note(k, "    %04zx %s", i, line->str);
	}
	if (n > DUMP_MAX)
		wire_note(k, "    ... %zu bytes in all", n);
}

const char *wire_name(uint32_t request, uint32_t size)
{
	static char number[16];
	const struct vu_shape *shape = vu_probe_shape(request, size, 0, 0, false);

	shape = shape ? shape : vu_shape(request);
	if (shape)
		return shape->name;
	g_snprintf(number, sizeof(number), "%" PRIu32, request);
	return number;
}

static void note_message(struct check *k, const char *arrow, const struct vu_header *h,
	const void *payload, size_t size, unsigned n_fds)
{
	wire_note(k, "%s %s flags 0x%" PRIx32 " size %" PRIu32 ", %u fds", arrow,
		wire_name(h->request, *arrow == '>' ? h->size : UINT32_MAX), h->flags, h->size,
		n_fds);
	note_bytes(k, (const uint8_t *)h, sizeof(*h));
	note_bytes(k, payload, size);
}

void wire_note_message(struct check *k, const char *arrow, const struct vu_msg *msg)
{
	note_message(k, arrow, &msg->header, msg->payload.bytes, msg->header.size, msg->n_fds);
}

static uint64_t now_us(void)
{
	return g_get_monotonic_time();
}

/* Waits for the socket; false: not in time. */
static bool wait_readable(const struct check *k, uint64_t until)
{
	struct pollfd pfd = { .fd = k->sock, .events = POLLIN };
	uint64_t now = now_us();
	int ms = now < until ? (int)((until - now + 999) / 1000) : 0;

	return poll(&pfd, 1, ms) > 0;
}

enum wire_next wire_next(struct check *k, uint64_t timeout_us)
{
	uint64_t until = now_us() + timeout_us;
	g_autoptr(GError) error = NULL;

	vu_msg_clear(&k->msg);
	while (!check_over(k)) {
		switch (vu_msg_read(&k->reader, k->sock, &k->msg, &error)) {
		case VU_READ_DONE:
			note_message(k, "<", &k->msg.header, k->msg.payload.bytes,
				k->msg.header.size, k->msg.n_fds);
			return WIRE_MESSAGE;
		case VU_READ_CLOSED:
			wire_note(k, "< closed");
			return WIRE_CLOSED;
		case VU_READ_ERROR:
			if (g_error_matches(error, VU_MSG_ERROR, VU_MSG_ERROR_FRAMING)) {
				check_fail(k, "%s", error->message);
				return WIRE_NOTHING;
			}
			wire_note(k, "< %s", error->message);
			return WIRE_CLOSED;
		case VU_READ_AGAIN:
			if (!wait_readable(k, until))
				return WIRE_NOTHING;
		}
	}
	return WIRE_NOTHING;
}

bool wire_receive(struct check *k)
{
	if (check_over(k))
		return false;
	switch (wire_next(k, wire_timeout_us(k))) {
	case WIRE_MESSAGE:
		return true;
	case WIRE_CLOSED:
		check_fail(k, "the back-end closed the connection instead of a reply");
		return false;
	case WIRE_NOTHING:
		check_fail(k, "no reply within %" PRIu64 " ms", wire_timeout_us(k) / 1000);
		return false;
	}
	return false;
}

void wire_bytes(struct check *k, const void *bytes, size_t size)
{
	if (check_over(k))
		return;
	wire_note(k, "> %zu bytes", size);
	note_bytes(k, bytes, size);
	if (sock_send(k->sock, bytes, size, NULL, 0, (int)(wire_timeout_us(k) / 1000)) < 0)
		wire_note(k, "> cannot be sent");
}

void wire_send(struct check *k, uint32_t request, uint32_t flags, const void *payload, size_t size,
	const int *fds, unsigned n_fds)
{
	struct vu_header h = { request, VU_VERSION | flags, (uint32_t)size };
	g_autofree uint8_t *wire = NULL;

	if (check_over(k))
		return;
	wire = g_malloc0(sizeof(h) + size);
	memcpy(wire, &h, sizeof(h));
	if (size)
		memcpy(wire + sizeof(h), payload, size);
	note_message(k, ">", &h, payload, size, n_fds);
	if (sock_send(k->sock, wire, sizeof(h) + size, fds, n_fds,
		    (int)(wire_timeout_us(k) / 1000)) < 0)
		wire_note(k, "> cannot be sent");
}

/* Returns whether the connection is served: its first request is answered. */
static bool is_served(struct check *k)
{
	wire_send(k, VU_GET_FEATURES, 0, NULL, 0, NULL, 0);
	return wire_next(k, wire_timeout_us(k)) == WIRE_MESSAGE;
}

/* Tries once: true if the connection is served. *error: why there is none. */
static bool try_connect(struct check *k, GError **error)
{
	k->sock = sock_connect_now(k->options->socket, error);
	if (k->sock < 0)
		return false;
	k->reader = (struct vu_reader){ 0 };
	wire_note(k, "> connect");
	if (is_served(k))
		return true;
	wire_close(k);
	return false;
}

void wire_connect(struct check *k)
{
	uint64_t start = now_us(), timeout = wire_timeout_us(k);

	while (!check_over(k)) {
		g_autoptr(GError) error = NULL;

		if (try_connect(k, &error))
			return;
		if (error && !g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN)) {
			if (check_process_start(k))
				timeout = START_TIMES * wire_timeout_us(k);
			k->dead = !check_over(k) && now_us() - start > timeout;
		}
		if (now_us() - start > timeout)
			check_fail(
				k, "%s", error ? error->message : "a new connection is not served");
		g_usleep(BUSY_US);
	}
}

void wire_close(struct check *k)
{
	vu_msg_clear(&k->msg);
	fd_close(&k->sock);
	k->acked = 0;
	k->features = 0;
}

void wire_check_reply(struct check *k, uint32_t request, const struct vu_shape *shape)
{
	g_autoptr(GError) error = NULL;

	if (check_over(k))
		return;
	if (!vu_msg_check_reply(&k->msg, request, shape, &error))
		check_fail(k, "%s", error->message);
	else if ((k->msg.header.flags & 0x7) != (VU_VERSION | VU_FLAG_REPLY))
		check_fail(k, "%s: reply with flags 0x%" PRIx32, shape->name, k->msg.header.flags);
}

/* Returns the message's row; of 41 to 43 the one that the size tells. */
static const struct vu_shape *shape_of(uint32_t request, size_t size)
{
	const struct vu_shape *probe = vu_probe_shape(request, (uint32_t)size, 0, 0, false);

	return probe ? probe : vu_shape(request);
}

uint64_t wire_ask(struct check *k, uint32_t request, const void *payload, size_t size)
{
	wire_send(k, request, 0, payload, size, NULL, 0);
	if (!wire_receive(k))
		return 0;
	wire_check_reply(k, request, shape_of(request, size));
	if (check_over(k))
		return 0;
	return k->msg.header.size == sizeof(uint32_t) ? k->msg.payload.u32 : k->msg.payload.u64;
}

uint64_t wire_ack(struct check *k, uint32_t request)
{
	if (!wire_receive(k))
		return 0;
	wire_check_reply(k, request, vu_shape(request));
	return check_over(k) ? 0 : k->msg.payload.u64;
}

void wire_tell(struct check *k, uint32_t request, const void *payload, size_t size, const int *fds,
	unsigned n_fds)
{
	bool acks = k->acked & VU_BIT(VU_F_REPLY_ACK);
	uint64_t value;

	wire_send(k, request, acks ? VU_FLAG_NEED_REPLY : 0, payload, size, fds, n_fds);
	value = acks ? wire_ack(k, request) : 0;
	if (value)
		check_fail(
			k, "%s is refused: acknowledged by %" PRIu64, wire_name(request, 0), value);
}

void wire_tell_u64(struct check *k, uint32_t request, uint64_t value)
{
	wire_tell(k, request, &value, sizeof(value), NULL, 0);
}

void wire_tell_state(struct check *k, uint32_t request, uint32_t index, uint32_t num)
{
	struct vu_vring_state s = { index, num };

	wire_tell(k, request, &s, sizeof(s), NULL, 0);
}

void wire_tell_fd(struct check *k, uint32_t request, uint32_t index, int fd)
{
	uint64_t u64 = index | (fd < 0 ? VU_VRING_FD_NONE : 0);

	wire_tell(k, request, &u64, sizeof(u64), &fd, fd >= 0);
}

void wire_barrier(struct check *k)
{
	wire_send(k, VU_GET_FEATURES, 0, NULL, 0, NULL, 0);
	if (!wire_receive(k))
		return;
	if (k->msg.header.request != VU_GET_FEATURES)
		check_fail(k, "%s came without being asked for",
			wire_name(k->msg.header.request, UINT32_MAX));
	else
		wire_check_reply(k, VU_GET_FEATURES, vu_shape(VU_GET_FEATURES));
}
