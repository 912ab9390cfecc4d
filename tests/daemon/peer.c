/* SPDX-License-Identifier: Apache-2.0 */
/* The tests' front-end and driver. */
#include "tests/daemon/peer.h"

#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/sock.h"
#include "daemon/session/backend_impl.h"
#include "tests/lib/test.h"

static GString *log_lines;
static GMutex log_lock; /* workers log, too */

static void on_log(enum log_level level, const char *line, void *opaque)
{
	g_mutex_lock(&log_lock);
	g_string_append_printf(log_lines, "%s\n", line);
	g_mutex_unlock(&log_lock);
}

bool log_has(const char *text)
{
	bool has;

	g_mutex_lock(&log_lock);
	has = strstr(log_lines->str, text);
	g_mutex_unlock(&log_lock);
	return has;
}

const char *log_text(void)
{
	return log_lines->str;
}

void log_clear(void)
{
	g_mutex_lock(&log_lock);
	g_string_truncate(log_lines, 0);
	g_mutex_unlock(&log_lock);
}

/* What a leak would change. */
struct census {
	unsigned fds, mappings;
};

static struct census census(void)
{
	struct census c = { .fds = count_fds() };
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	while (fgets(line, sizeof(line), maps))
		c.mappings += strstr(line, "memfd:") != NULL;
	fclose(maps);
	return c;
}

unsigned peer_mappings(void)
{
	return census().mappings;
}

static struct census before;
static struct backend *served; /* the peer's: there is one at a time */

void peer_run_loop(void)
{
	for (int i = 0; i < 1000 && g_main_context_iteration(NULL, FALSE); i++)
		;
}

static void do_nothing(struct virtio_device *d, void *opaque)
{
}

/*
 * Verbs run when workers have served what was there before. What they report then may make more
 * work for the main loop, and what that does for them.
 */
void peer_run(void)
{
	struct pool_verb verb = { .run = do_nothing };

	peer_run_loop();
	for (unsigned i = 0; served && i < 3; i++) {
		pool_run(served->pool, &verb);
		while (verb.pending)
			g_main_context_iteration(NULL, TRUE);
		peer_run_loop();
	}
}

static void on_closed(void *opaque, bool heard)
{
	struct peer *p = opaque;

	p->closed++;
}

void peer_connect(struct peer *p)
{
	int pair[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	p->sock = pair[0];
	p->reader = (struct vu_reader){ 0 };
	backend_serve(p->backend, pair[1], on_closed, p);
}

void peer_disconnect(struct peer *p)
{
	fd_close(&p->sock);
	fd_close(&p->channel);
	peer_run();
}

struct backend_options peer_options;

void peer_make_backend(struct peer *p, const struct virtio_device_ops *ops)
{
	g_autoptr(GError) error = NULL;

	backend_free(p->backend);
	p->backend = served = NULL;
	p->backend = backend_new(ops, &peer_options, NULL);
	assert_non_null(p->backend);
	if (!backend_start_workers(p->backend, &error))
		fail_msg("%s", error->message);
	served = p->backend;
}

int peer_setup_workers(void **state, unsigned workers)
{
	struct peer *p = g_new0(struct peer, 1);

	peer_options = (struct backend_options){ .probe = true, .workers = workers, .poll_us = 50 };

	log_lines = g_string_new(NULL);
	log_set_sink(on_log, NULL);
	log_set_level(LOG_LEVEL_DEBUG);
	peer_run(); /* the main context has an fd of its own */
	before = census();

	toy = (struct toy){ 0 };
	peer_make_backend(p, &toy_ops);
	p->gpa = MEM_GPA;
	p->uva = MEM_UVA;
	p->memfd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(p->memfd, MEM_SIZE), 0);
	p->mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, p->memfd, 0);
	for (unsigned i = 0; i < PEER_QUEUES; i++) {
		p->kick[i] = eventfd(0, EFD_CLOEXEC);
		p->call[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		p->err[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	p->channel = -1;
	vu_msg_init(&p->msg, 0);
	peer_connect(p);
	*state = p;
	return 0;
}

int peer_setup(void **state)
{
	return peer_setup_workers(state, 1);
}

int peer_teardown(void **state)
{
	struct peer *p = *state;
	struct census after;

	vu_msg_clear(&p->msg);
	peer_disconnect(p);
	if (toy.held) {
		for (unsigned i = 0; i < TOY_QUEUES; i++)
			eventfd_write(toy.release[i], 1);
		peer_run();
	}
	assert_int_equal(backend_state(p->backend), BACKEND_IDLE);
	assert_int_equal(toy.held, 0);
	assert_int_equal(toy.starts, toy.stops);
	backend_free(p->backend);
	served = NULL;
	munmap(p->mem, MEM_SIZE);
	close(p->memfd);
	for (unsigned i = 0; i < PEER_QUEUES; i++) {
		close(p->kick[i]);
		close(p->call[i]);
		close(p->err[i]);
	}
	g_free(p);
	log_set_sink(NULL, NULL);
	g_string_free(log_lines, TRUE);
	after = census();
	assert_int_equal(after.fds, before.fds);
	assert_int_equal(after.mappings, before.mappings);
	return 0;
}

void peer_send(struct peer *p, uint32_t request, uint32_t flags, const void *payload, size_t size,
	const int *fds, unsigned n_fds)
{
	struct vu_header header = { request, VU_VERSION | flags, size };
	uint8_t wire[sizeof(header) + VU_MAX_PAYLOAD + 1] = { 0 };

	assert_true(size <= VU_MAX_PAYLOAD + 1);
	memcpy(wire, &header, sizeof(header));
	if (payload)
		memcpy(wire + sizeof(header), payload, size);
	assert_int_equal(sock_send(p->sock, wire, sizeof(header) + size, fds, n_fds, 0), 0);
}

void peer_tell(struct peer *p, uint32_t request, const void *payload, size_t size)
{
	peer_send(p, request, 0, payload, size, NULL, 0);
	peer_run();
	assert_false(peer_receive(p));
	assert_false(peer_is_closed(p));
}

bool peer_receive(struct peer *p)
{
	vu_msg_clear(&p->msg);
	peer_run();
	if (p->sock < 0)
		return false;
	switch (vu_msg_read(&p->reader, p->sock, &p->msg, NULL)) {
	case VU_READ_DONE:
		return true;
	case VU_READ_AGAIN:
		return false;
	case VU_READ_CLOSED:
	case VU_READ_ERROR:
		break;
	}
	fd_close(&p->sock);
	return false;
}

bool peer_is_closed(struct peer *p)
{
	struct pollfd pfd = { .fd = p->sock, .events = POLLIN };

	peer_run();
	if (p->sock >= 0 && poll(&pfd, 1, 0) == 1 && pfd.revents & POLLHUP)
		fd_close(&p->sock);
	return p->sock < 0;
}

/* Waits for a reply, which may take several turns between the control thread and workers. */
static void receive_reply(struct peer *p, uint32_t request)
{
	int64_t deadline = test_deadline(TEST_WAIT_MS);

	while (!peer_receive(p)) {
		if (p->sock < 0 || g_get_monotonic_time() > deadline)
			fail_msg("no reply to message %u\n%s", request, log_text());
	}
	assert_int_equal(p->msg.header.request, request);
	assert_int_equal(p->msg.header.flags, VU_VERSION | VU_FLAG_REPLY);
	assert_int_equal(p->msg.n_fds, 0);
}

uint64_t peer_ask(struct peer *p, uint32_t request, const void *payload, size_t size)
{
	peer_send(p, request, 0, payload, size, NULL, 0);
	receive_reply(p, request);
	return p->msg.header.size == sizeof(uint32_t) ? p->msg.payload.u32 : p->msg.payload.u64;
}

uint64_t peer_ack(struct peer *p, uint32_t request, const void *payload, size_t size,
	const int *fds, unsigned n_fds)
{
	peer_send(p, request, VU_FLAG_NEED_REPLY, payload, size, fds, n_fds);
	receive_reply(p, request);
	assert_int_equal(p->msg.header.size, sizeof(uint64_t));
	return p->msg.payload.u64;
}

uint64_t peer_ack_u64(struct peer *p, uint32_t request, uint64_t value)
{
	return peer_ack(p, request, &value, sizeof(value), NULL, 0);
}

uint64_t peer_ack_state(struct peer *p, uint32_t request, uint32_t index, uint32_t num)
{
	struct vu_vring_state s = { index, num };

	return peer_ack(p, request, &s, sizeof(s), NULL, 0);
}

uint64_t peer_ack_fd(struct peer *p, uint32_t request, uint32_t index, int fd)
{
	uint64_t u64 = index | (fd < 0 ? VU_VRING_FD_NONE : 0);

	return peer_ack(p, request, &u64, sizeof(u64), &fd, fd >= 0);
}

uint32_t peer_get_base(struct peer *p, uint32_t index)
{
	struct vu_vring_state s = { index, 0 };

	peer_ask(p, VU_GET_VRING_BASE, &s, sizeof(s));
	assert_int_equal(p->msg.header.size, sizeof(s));
	assert_int_equal(p->msg.payload.state.index, index);
	return p->msg.payload.state.num;
}

void peer_check_served(struct peer *p)
{
	if (!peer_is_closed(p)) {
		assert_true(peer_ask(p, VU_GET_FEATURES, NULL, 0) & VU_BIT(VIRTIO_F_VERSION_1));
		peer_disconnect(p);
	}
	assert_int_equal(backend_state(p->backend), BACKEND_IDLE);
	peer_connect(p);
	assert_true(peer_ask(p, VU_GET_FEATURES, NULL, 0) & VU_BIT(VIRTIO_F_VERSION_1));
}

uint64_t eventfd_take(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	eventfd_t count = 0;

	if (poll(&pfd, 1, 0) == 1)
		assert_int_equal(eventfd_read(fd, &count), 0);
	return count;
}

void peer_open_channel(struct peer *p)
{
	int pair[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(peer_ack(p, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
	close(pair[1]);
	fd_close(&p->channel);
	p->channel = pair[0];
}
