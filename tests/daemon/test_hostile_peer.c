/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A front-end that tries to make virtiod-toy (argv[1]) keep what it must not keep, or wait where it
 * must not wait, and leaves. After each of argv[2] rounds the next one is served at once; in the
 * end no thread waits for a file system, and SIGTERM ends the program.
 */
#include "tests/daemon/program.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <linux/virtio_config.h>

#include "base/sock.h"
#include "base/util.h"
#include "driver/driver_mem.h"
#include "driver/driver_ring.h"
#include "tests/lib/deaf_file.h"
#include "tests/lib/figures.h"
#include "vhost-user/front/vu_front.h"
#include "vhost-user/wire/vu_msg.h"

#define RING_SIZE 8

static unsigned rounds = 24;
static struct figures served = { "served again" }, ended = { "ended" };

/* The hostile front-end. */
struct hostile_front {
	struct vu_front *f;
	struct driver_mem *mem;
	struct driver_ring *ring;
	struct deaf_file deaf; /* fd -1: none */
	int kick, call, err;
	int silent; /* a connection that stays; -1 */
};

/* Sends a message with an fd; an answer is not waited for. */
static void send_fd(
	struct hostile_front *h, uint32_t request, const void *payload, size_t size, int fd)
{
	static struct vu_msg msg;

	vu_msg_init(&msg, request);
	if (size)
		memcpy(msg.payload.bytes, payload, size);
	msg.header.size = size;
	msg.fds[0] = fd;
	msg.n_fds = 1;
	vu_msg_write(vu_front_fd(h->f), &msg, -1, NULL);
}

static void send_vring_fds(struct hostile_front *h, int fd)
{
	const uint32_t requests[] = { VU_SET_VRING_KICK, VU_SET_VRING_CALL, VU_SET_VRING_ERR };
	const uint64_t ring = 0;

	for (unsigned i = 0; fd >= 0 && i < G_N_ELEMENTS(requests); i++)
		send_fd(h, requests[i], &ring, sizeof(ring), fd);
}

static void own_socket_as_eventfd(struct hostile_front *h)
{
	send_vring_fds(h, vu_front_fd(h->f));
}

static void own_socket_as_channel(struct hostile_front *h)
{
	send_fd(h, VU_SET_BACKEND_REQ_FD, NULL, 0, vu_front_fd(h->f));
}

static void own_socket_in_unfinished_message(struct hostile_front *h)
{
	const struct vu_header header = { VU_SET_VRING_CALL, VU_VERSION, sizeof(uint64_t) };
	int fd = vu_front_fd(h->f);

	sock_send(fd, &header, sizeof(header), &fd, 1, -1);
}

static void deaf_file_as_eventfd(struct hostile_front *h)
{
	send_vring_fds(h, h->deaf.fd);
}

static void deaf_file_as_memory(struct hostile_front *h)
{
	const struct vu_inflight area = { .mmap_size = 65536, .num_queues = 1, .queue_size = 8 };
	const uint64_t region[] = { 0, 0x1000000, 0x1000, 0x1000000, 0 };

	if (h->deaf.fd < 0)
		return;
	send_fd(h, VU_ADD_MEM_REG, region, sizeof(region), h->deaf.fd);
	send_fd(h, VU_SET_INFLIGHT_FD, &area, sizeof(area), h->deaf.fd);
	send_fd(h, VU_SET_BACKEND_REQ_FD, NULL, 0, h->deaf.fd);
}

static void nothing_at_all(struct hostile_front *h)
{
	h->silent = sock_connect(path, NULL);
}

/* Starts the ring with eventfds that block. */
static void start_ring(struct hostile_front *h)
{
	struct vu_ring_setup setup = { .size = RING_SIZE, .kick = h->kick, .call = h->call };
	struct mem_region_desc desc;
	int fd;

	setup.err = h->err;
	driver_mem_describe(h->mem, &desc, &fd);
	driver_ring_addresses(h->ring, &setup.desc, &setup.avail, &setup.used);
	assert_true(vu_front_set_memory(h->f, &desc, &fd, 1, NULL));
	assert_true(vu_front_set_features(h->f, VU_BIT(VIRTIO_F_VERSION_1), NULL));
	assert_true(vu_front_setup_ring(h->f, 0, &setup, NULL));
	assert_true(vu_front_enable_ring(h->f, 0, true, NULL));
}

static void fill(int fd)
{
	eventfd_t count;

	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	while (eventfd_write(fd, UINT64_MAX - 1) < 0)
		eventfd_read(fd, &count);
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
}

/* Leaves when the worker is about to call, or does already. */
static void full_call(struct hostile_front *h)
{
	const struct driver_buf buf = { driver_mem_alloc(h->mem, 64, 64), 64 };
	uint32_t len;
	void *token;

	start_ring(h);
	fill(h->call);
	driver_ring_arm(h->ring);
	for (unsigned i = 0; i < RING_SIZE; i++)
		driver_ring_add(h->ring, &buf, 0, 1, h);
	driver_ring_publish(h->ring);
	eventfd_write(h->kick, 1);
	WAIT_UNTIL(driver_ring_reap(h->ring, &token, &len) == 1);
}

/* Breaks the ring: so many requests at a time there cannot be. */
static void full_err(struct hostile_front *h)
{
	uint64_t desc, avail, used;

	start_ring(h);
	fill(h->err);
	driver_ring_addresses(h->ring, &desc, &avail, &used);
	((uint16_t *)driver_mem_host(h->mem, avail, 4))[1] = 0x4000;
	eventfd_write(h->kick, 1);
}

static void (*const tricks[])(struct hostile_front *h) = { own_socket_as_eventfd,
	own_socket_as_channel, own_socket_in_unfinished_message, deaf_file_as_eventfd,
	deaf_file_as_memory, nothing_at_all, full_call, full_err };

/* Returns how long the next front-end waits. */
static struct figures_time be_served(void)
{
	struct figures_time start = figures_now();
	int64_t until = test_deadline(TEST_WAIT_MS);
	bool ok = false;

	while (!ok && g_get_monotonic_time() < until) {
		autofd fd = dial();

		ok = is_served(fd);
	}
	assert_true(ok);
	return figures_since(start);
}

static void attack(unsigned round, bool deaf)
{
	void (*trick)(struct hostile_front * h) = tricks[round % G_N_ELEMENTS(tricks)];
	const struct vu_front_options options = { .inflight = true };
	struct hostile_front h = { .silent = -1, .deaf.fd = -1 };
	g_autofree char *when = g_strdup_printf("round %u", round);
	int64_t honest = be_served().us;

	h.kick = eventfd(0, EFD_CLOEXEC);
	h.call = eventfd(0, EFD_CLOEXEC);
	h.err = eventfd(0, EFD_CLOEXEC);
	h.mem = driver_mem_new(0x10000, NULL);
	h.ring = driver_ring_new(h.mem, RING_SIZE, 0, NULL);
	if (deaf && (trick == deaf_file_as_eventfd || trick == deaf_file_as_memory))
		deaf_file_open(&h.deaf);
	if (trick != nothing_at_all)
		h.f = vu_front_new(dial(), "toy", &options, NULL);
	assert_true(h.f || trick == nothing_at_all);
	trick(&h);
	vu_front_free(h.f);
	figures_add(&served, when, be_served(), honest);
	if (h.deaf.fd >= 0)
		deaf_file_end(&h.deaf);
	fd_close(&h.silent);
	fd_close(&h.kick);
	fd_close(&h.call);
	fd_close(&h.err);
	driver_ring_free(h.ring);
	driver_mem_free(h.mem);
}

static void test_peer_tries_everything(void **state)
{
	struct running c = START(-1, NULL, path_option, "--log-level=error");
	struct deaf_file f;
	bool deaf = deaf_file_open(&f);
	struct figures_time start_of_end;

	if (deaf)
		deaf_file_end(&f);
	for (unsigned i = 0; i < rounds; i++)
		attack(i, deaf);
	/* This one is still deaf when SIGTERM comes. */
	if (deaf && deaf_file_open(&f)) {
		struct hostile_front h = { .deaf = f };

		h.f = vu_front_new(dial(), "toy", &(struct vu_front_options){ 0 }, NULL);
		assert_non_null(h.f);
		deaf_file_as_eventfd(&h);
		vu_front_free(h.f);
		close(dial());
	}
	deaf_file_check_threads(c.pid);
	start_of_end = figures_now();
	kill(c.pid, SIGTERM);
	assert_int_equal(test_wait_child(c.pid), 0);
	figures_add(&ended, "SIGTERM", figures_since(start_of_end), served.sum / rounds);
	figures_print(&served);
	figures_print(&ended);
	close(c.out);
	close(c.err);
	if (deaf)
		deaf_file_end(&f);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(program, test_peer_tries_everything),
	};

	program = argv[1];
	if (argc > 2)
		rounds = atoi(argv[2]);
	return cmocka_run_group_tests_name("hostile_peer", tests, NULL, NULL);
}
