/* SPDX-License-Identifier: Apache-2.0 */
/* The host's side of a port in tests, and loads, for each device that has ports. */
#pragma once

#include "tests/lib/kit.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/sock.h"
#include "base/util.h"

#define HOST_PATIENCE_S 60

/* Returns an option's text: format has one %s, for the path of the file. */
static inline const char *spec(struct kit *k, const char *format, const char *name)
{
	static char text[4][256];
	static unsigned n;

	n = (n + 1) % G_N_ELEMENTS(text);
	g_snprintf(text[n], sizeof(text[n]), format, kit_path(k, name));
	return text[n];
}

/* Connects to a port's socket. */
static inline int join(struct kit *k, const char *name)
{
	int fd = sock_connect(kit_path(k, name), NULL);

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

/* Reads len bytes from the host's end, while the device works. any: a request that is under way. */
static inline void read_host(struct kit *k, int fd, void *to, size_t len, struct kit_request *any)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int64_t end = g_get_monotonic_time() + HOST_PATIENCE_S * G_USEC_PER_SEC;

	for (size_t done = 0; done < len;) {
		ssize_t n = read(fd, (char *)to + done, len - done);

		if (n > 0)
			done += n;
		else
			poll(&pfd, 1, kit_core(k) ? 0 : 5);
		kit_is_done(k, any);
		if (g_get_monotonic_time() > end)
			fail_msg("only %zu of %zu bytes came", done, len);
	}
}

/* Fills with the bytes that a stream has from this offset on. */
static inline void fill(uint8_t *to, size_t len, size_t offset)
{
	for (size_t i = offset; i < offset + len; i++)
		*to++ = i * 7 + i / 251;
}

static inline uint8_t *pattern(size_t len)
{
	uint8_t *bytes = g_malloc(len);

	fill(bytes, len, 0);
	return bytes;
}

/* Many bytes. */

#define BULK (10u << 20)
#define BULK_OUT (256u << 10)
#define BULK_IN (64u << 10)
#define BULK_DEPTH 4

struct bulk {
	struct kit *k;
	int fd;
	struct kit_request *out[BULK_DEPTH], *in[BULK_DEPTH];
	size_t sent, received; /* by the guest */
	size_t written, read; /* by the host */
};

/* Writes what there is room for, and reads what there is, as the host. */
static inline void bulk_host(struct bulk *b)
{
	static uint8_t bytes[BULK_IN], wanted[BULK_IN];
	ssize_t n;

	do {
		fill(bytes, sizeof(bytes), b->written);
		n = write(b->fd, bytes, MIN(sizeof(bytes), BULK - b->written));
		b->written += MAX(n, 0);
	} while (n > 0);
	while ((n = read(b->fd, bytes, sizeof(bytes))) > 0) {
		fill(wanted, n, b->read);
		assert_memory_equal(bytes, wanted, n);
		b->read += n;
	}
}

static inline void bulk_send(struct bulk *b, struct kit_request *r)
{
	fill(r->out, BULK_OUT, b->sent);
	b->sent += BULK_OUT;
	kit_add_again(b->k, r);
	kit_kick(b->k, r->queue);
}

static inline void bulk_receive(struct bulk *b, struct kit_request *r)
{
	g_autofree uint8_t *wanted = g_malloc(BULK_IN);

	fill(wanted, r->used, b->received);
	assert_memory_equal(r->in, wanted, r->used);
	b->received += r->used;
	kit_add_again(b->k, r);
	kit_kick(b->k, r->queue);
}

/* Sends 10 MiB from the guest to the host's client, fd, and from it to the guest, all at once. */
static inline void run_bulk(struct kit *k, int fd, unsigned rx, unsigned tx)
{
	struct bulk b = { .k = k, .fd = fd, .sent = BULK_DEPTH * BULK_OUT };
	int64_t end = g_get_monotonic_time() + HOST_PATIENCE_S * G_USEC_PER_SEC;
	g_autofree uint8_t *bytes = pattern(b.sent);
	unsigned next_out = 0, next_in = 0;

	for (unsigned i = 0; i < BULK_DEPTH; i++) {
		b.in[i] = kit_send(k, rx, NULL, 0, BULK_IN);
		b.out[i] = kit_send(k, tx, bytes + i * BULK_OUT, BULK_OUT, 0);
	}
	while (b.read < BULK || b.received < BULK) {
		struct pollfd pfd = { fd, POLLIN };

		bulk_host(&b);
		for (; kit_is_done(k, b.in[next_in]); next_in = (next_in + 1) % BULK_DEPTH)
			bulk_receive(&b, b.in[next_in]);
		for (; b.sent < BULK && kit_is_done(k, b.out[next_out]);
			next_out = (next_out + 1) % BULK_DEPTH)
			bulk_send(&b, b.out[next_out]);
		poll(&pfd, 1, kit_core(k) ? 0 : 1);
		if (g_get_monotonic_time() > end)
			fail_msg(
				"%zu bytes came to the host, %zu to the guest", b.read, b.received);
	}
}

/* Kills. */

#define MAX_RECORD 8192
#define PER_ROUND 6
#define MAX_OUT 24 /* of a port, before the next round */

/* A port to the host whose bytes must all arrive, while the device is killed again and again. */
struct load_port {
	const char *file; /* of its back-end */
	unsigned tx;
	enum { LOAD_FILE, LOAD_READ, LOAD_STUCK } kind;
	size_t max; /* bytes of a record; 0: MAX_RECORD */
	/* Makes a request of a record; NULL: it is one. */
	struct kit_request *(*add)(struct kit *k, unsigned port, const void *record, size_t len);
	int fd;
	GByteArray *arrived;
	GPtrArray *requests;
};

/* Returns a record that is like no other one. */
static inline size_t make_record(uint8_t *to, size_t max, unsigned port, unsigned n)
{
	size_t len = 64 + (n * 2654435761u >> 7) % ((max ? max : MAX_RECORD) - 64);

	memset(to, 'a' + n % 26, len);
	g_snprintf((char *)to, 32, "<port %u record %u>", port, n);
	return len;
}

/* Takes what has come to a port's client; join_again: it has lost the device. */
static inline void load_read(struct kit *k, struct load_port *p, bool join_again)
{
	uint8_t bytes[4096];
	ssize_t n;

	while (p->fd >= 0 && (n = read(p->fd, bytes, sizeof(bytes))) > 0)
		g_byte_array_append(p->arrived, bytes, n);
	if (join_again && p->kind == LOAD_READ) {
		fd_close(&p->fd);
		p->fd = join(k, p->file);
	}
}

/* Waits for a request to a port, whose client reads meanwhile. */
static inline void load_wait(struct kit *k, struct load_port *p, unsigned i)
{
	int64_t until = g_get_monotonic_time() + HOST_PATIENCE_S * G_USEC_PER_SEC;

	while (!kit_is_done(k, p->requests->pdata[i])) {
		load_read(k, p, false);
		if (g_get_monotonic_time() > until)
			fail_msg("%s: record %u is not taken", p->file, i);
	}
}

/* Sends records to a port, when there is room in its ring. */
static inline void load_send(struct kit *k, struct load_port *p, unsigned port)
{
	unsigned count = p->kind == LOAD_STUCK ? 1 : PER_ROUND;
	uint8_t record[MAX_RECORD];

	if (p->kind != LOAD_STUCK && p->requests->len > MAX_OUT)
		load_wait(k, p, p->requests->len - MAX_OUT);
	while (count--) {
		size_t len = make_record(record, p->max, port, p->requests->len);

		g_ptr_array_add(p->requests,
			p->add ? p->add(k, port, record, len) : kit_add(k, p->tx, record, len, 0));
	}
}

/* Sends records to each port, and lets the device complete some of the first one's. */
static inline void load_round(struct kit *k, struct load_port *p, unsigned n, unsigned round)
{
	unsigned wanted = g_random_int_range(0, PER_ROUND + 1);

	for (unsigned i = 0; i < n; i++)
		load_send(k, &p[i], i);
	for (unsigned i = 0; i < n; i++)
		kit_kick(k, p[i].tx);
	for (unsigned i = 0; i < n; i++)
		load_read(k, &p[i], kit_has_kills(k));
	if (wanted)
		load_wait(k, p, round * PER_ROUND + wanted - 1);
}

/* Requires that each record arrived in full, in order; some may have been repeated. */
static inline void load_check(struct load_port *p, unsigned port)
{
	const uint8_t *at = p->arrived->data, *end = at + p->arrived->len;
	uint8_t record[MAX_RECORD];

	for (unsigned i = 0; i < p->requests->len; i++) {
		size_t len = make_record(record, p->max, port, i);

		at = memmem(at, end - at, record, len);
		if (!at)
			fail_msg("port %u: record %u of %u is lost (%u bytes came)", port, i,
				p->requests->len, p->arrived->len);
		at += len;
	}
}

static inline void load_finish(struct kit *k, struct load_port *p, unsigned port)
{
	g_autofree char *text = NULL;
	gsize len;

	if (p->kind == LOAD_STUCK) {
		for (unsigned i = 0; i < p->requests->len; i++)
			assert_false(kit_is_done(k, p->requests->pdata[i]));
		p->fd = join(k, p->file);
	}
	for (unsigned i = 0; i < p->requests->len; i++)
		load_wait(k, p, i);
	load_read(k, p, false);
	if (p->kind == LOAD_FILE) {
		assert_true(g_file_get_contents(kit_path(k, p->file), &text, &len, NULL));
		g_byte_array_append(p->arrived, (uint8_t *)text, len);
	}
	load_check(p, port);
	fd_close(&p->fd);
	g_byte_array_unref(p->arrived);
	g_ptr_array_unref(p->requests);
}

/* Kills the device so many times. A client reads what was sent to it, then joins again. */
static inline void run_load(struct kit *k, struct load_port *p, unsigned n)
{
	unsigned kills = kit_rounds(k, 4);

	for (unsigned i = 0; i < n; i++) {
		p[i].fd = p[i].kind == LOAD_READ ? join(k, p[i].file) : -1;
		p[i].arrived = g_byte_array_new();
		p[i].requests = g_ptr_array_new();
	}
	for (unsigned round = 0; round < kills; round++) {
		load_round(k, p, n, round);
		kit_restart(k);
		for (unsigned i = 0; i < n; i++)
			load_read(k, &p[i], true);
	}
	for (unsigned i = 0; i < n; i++)
		load_finish(k, &p[i], i);
}
