/* SPDX-License-Identifier: Apache-2.0 */
/* Fds of a front-end are kept only if they are what they should be. */
#include "tests/daemon/peer.h"

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "tests/lib/deaf_file.h"

static const uint32_t vring_fds[] = { VU_SET_VRING_KICK, VU_SET_VRING_CALL, VU_SET_VRING_ERR };

static void refuse_vring_fd(struct peer *p, int fd)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(vring_fds); i++)
		assert_int_equal(peer_ack_fd(p, vring_fds[i], 0, fd), EINVAL);
}

static void test_peer_fds_that_do_not_signal(void **state)
{
	struct peer *p = *state;
	int pair[2];
	const int refused[] = { p->memfd, p->sock, epoll_create1(EPOLL_CLOEXEC),
		open("/dev/null", O_RDWR | O_CLOEXEC), socket(AF_INET, SOCK_STREAM, 0) };
	unsigned n_fds;

	peer_start(p);
	n_fds = count_fds() - 3; /* without these, which are closed */
	for (unsigned i = 0; i < G_N_ELEMENTS(refused); i++)
		refuse_vring_fd(p, refused[i]);
	assert_logged("SET_VRING_CALL: queue 0: a socket is neither an eventfd nor a pipe");
	for (unsigned i = 2; i < G_N_ELEMENTS(refused); i++)
		close(refused[i]);
	/* The ring goes on with those that it had. */
	driver_round_trip(p, 0);
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	assert_int_equal(peer_ack_fd(p, VU_SET_VRING_CALL, 0, pair[1]), 0);
	assert_int_equal(peer_ack_fd(p, VU_SET_VRING_ERR, 0, pair[1]), 0);
	assert_int_equal(peer_ack_fd(p, VU_SET_VRING_CALL, 0, p->call[0]), 0);
	fds_close(pair, 2);
	WAIT_UNTIL(count_fds() <= n_fds);
}

static void test_peer_fds_as_channel(void **state)
{
	struct peer *p = *state;
	const int refused[] = { p->memfd, p->kick[0], p->sock, socket(AF_INET, SOCK_STREAM, 0) };
	unsigned n_fds;

	peer_start(p);
	n_fds = count_fds() - 1; /* without the last of these, which is closed */
	for (unsigned i = 0; i < G_N_ELEMENTS(refused); i++)
		assert_int_equal(
			peer_ack(p, VU_SET_BACKEND_REQ_FD, NULL, 0, &refused[i], 1), EINVAL);
	close(refused[3]);
	assert_logged("SET_BACKEND_REQ_FD: it is the front-end's end of this connection");
	WAIT_UNTIL(count_fds() <= n_fds);
	peer_check_served(p);
}

/* Neither this thread nor a worker asks the file system. */
static void test_peer_fds_of_deaf_file(void **state)
{
	struct peer *p = *state;
	const struct vu_inflight area = { .mmap_size = 65536, .num_queues = 1, .queue_size = 16 };
	uint64_t region[5] = { 0, MEM_GPA, 0x1000, MEM_UVA };
	struct deaf_file f;
	unsigned n_fds;

	peer_start(p);
	n_fds = count_fds();
	if (!deaf_file_open(&f))
		return;
	refuse_vring_fd(p, f.fd);
	assert_int_equal(peer_ack(p, VU_SET_BACKEND_REQ_FD, NULL, 0, &f.fd, 1), EINVAL);
	assert_int_equal(peer_ack(p, VU_SET_INFLIGHT_FD, &area, sizeof(area), &f.fd, 1), EINVAL);
	region[1] += MEM_SIZE;
	region[3] += MEM_SIZE;
	assert_int_equal(peer_ack(p, VU_ADD_MEM_REG, region, sizeof(region), &f.fd, 1), EINVAL);
	assert_logged("it must be a memfd, or a file in tmpfs (/dev/shm) or hugetlbfs");
	driver_round_trip(p, 0);
	deaf_file_end(&f);
	/* Those that were sent are closed, too. */
	WAIT_UNTIL(count_fds() <= n_fds);
}

/* A message that has begun, with what would hide the front-end's end. */
static void test_peer_fds_of_unfinished_message(void **state)
{
	struct peer *p = *state;
	const struct vu_header header = { VU_SET_VRING_CALL, VU_VERSION, sizeof(uint64_t) };

	assert_int_equal(backend_silent_us(p->backend) >= 0, true);
	peer_ask(p, VU_GET_FEATURES, NULL, 0);
	assert_true(backend_silent_us(p->backend) < 0);
	assert_int_equal(sock_send(p->sock, &header, sizeof(header), &p->sock, 1, -1), 0);
	peer_run();
	assert_true(backend_silent_us(p->backend) >= 0);
	assert_int_equal(sock_send(p->sock, "\0\0\0\0\0\0\0\0", 8, NULL, 0, -1), 0);
	peer_run();
	assert_true(backend_silent_us(p->backend) < 0);
	assert_int_equal(backend_state(p->backend), BACKEND_SERVING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(peer, test_peer_fds_that_do_not_signal),
		TEST_WITH(peer, test_peer_fds_as_channel),
		TEST_WITH(peer, test_peer_fds_of_deaf_file),
		TEST_WITH(peer, test_peer_fds_of_unfinished_message),
	};

	return cmocka_run_group_tests_name("peer_fds", tests, NULL, NULL);
}
