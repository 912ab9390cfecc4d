/* SPDX-License-Identifier: Apache-2.0 */
/* Shared memory: a channel that closes, is replaced, or on which the front-end misbehaves. */
#include "tests/daemon/shm_agent.h"

#include "base/sock.h"

static void send_raw(struct peer *p, uint32_t request, uint32_t flags, uint32_t size, int fd)
{
	uint8_t wire[sizeof(struct vu_header) + 64] = { 0 };
	struct vu_header header = { request, flags, size };

	memcpy(wire, &header, sizeof(header));
	assert_int_equal(
		sock_send(p->channel, wire, sizeof(header) + MIN(size, 64u), &fd, fd >= 0, 0), 0);
	peer_run();
}

/* Checks that what is no answer to the request ends the channel; the connection goes on. */
static void hostile(struct peer *p)
{
	const struct {
		uint32_t request, flags, size;
		bool fd;
	} rows[] = {
		{ VU_BACKEND_SHMEM_UNMAP, VU_VERSION | VU_FLAG_REPLY, 8 },
		{ VU_BACKEND_CONFIG_CHANGE_MSG, VU_VERSION | VU_FLAG_REPLY, 8 },
		{ VU_BACKEND_SHMEM_MAP, VU_VERSION, 8 },
		{ VU_BACKEND_SHMEM_MAP, VU_VERSION | VU_FLAG_REPLY, 0 },
		{ VU_BACKEND_SHMEM_MAP, VU_VERSION | VU_FLAG_REPLY, 4 },
		{ VU_BACKEND_SHMEM_MAP, VU_VERSION | VU_FLAG_REPLY, 40 },
		{ VU_BACKEND_SHMEM_MAP, VU_VERSION | VU_FLAG_REPLY, 8, true },
		{ VU_BACKEND_SHMEM_MAP, 2 | VU_FLAG_REPLY, 8 },
		{ VU_BACKEND_SHMEM_MAP, VU_VERSION | VU_FLAG_REPLY, UINT32_MAX },
		{ 12345, VU_VERSION | VU_FLAG_REPLY, 8 },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		shm_open_channel(p);
		log_clear();
		assert_int_equal(shm_ask(p, 0, PAGE, shm_file), PENDING);
		shm_expect(p, VU_BACKEND_SHMEM_MAP, 0, PAGE);
		send_raw(p, rows[i].request, rows[i].flags, rows[i].size,
			rows[i].fd ? p->memfd : -1);
		assert_int_equal(shm_jobs[0].result, -ECONNRESET);
		assert_logged("back-end channel: ");
		assert_int_equal(shm_ask(p, 0, PAGE, shm_file), -EOPNOTSUPP);
	}
	shm_open_channel(p);
	shm_map_one(p, 0, PAGE);
}

static void test_hostile(void **state)
{
	shm_in_modes(state, hostile);
}

/* Answers that nothing awaits are dropped: a new front-end process may repeat the last one. */
static void unexpected(struct peer *p)
{
	shm_answer(p, VU_BACKEND_SHMEM_MAP, EINVAL);
	shm_map_one(p, 0, PAGE);
	shm_answer(p, VU_BACKEND_SHMEM_MAP, EINVAL);
	send_raw(p, 7, 7, 7, p->memfd);
	shm_map_one(p, PAGE, PAGE);
}

static void test_unexpected(void **state)
{
	shm_in_modes(state, unexpected);
}

/* Sends the answer byte by byte. */
static void in_pieces(struct peer *p)
{
	const struct {
		struct vu_header header;
		uint64_t value;
	} __attribute__((packed)) wire = {
		{ VU_BACKEND_SHMEM_MAP, VU_VERSION | VU_FLAG_REPLY, 8 },
		EBUSY,
	};

	assert_int_equal(shm_ask(p, 0, PAGE, shm_file), PENDING);
	for (unsigned i = 0; i < sizeof(wire); i++) {
		assert_int_equal(shm_jobs[0].result, PENDING);
		assert_int_equal(sock_send(p->channel, (const char *)&wire + i, 1, NULL, 0, 0), 0);
		peer_run();
	}
	assert_int_equal(shm_jobs[0].result, -EBUSY);
}

static void test_in_pieces(void **state)
{
	shm_in_modes(state, in_pieces);
}

static void closed(struct peer *p)
{
	assert_int_equal(shm_ask(p, 0, PAGE, shm_file), PENDING);
	fd_close(&p->channel);
	peer_run();
	assert_int_equal(shm_jobs[0].result, -ECONNRESET);
	shm_open_channel(p);
	assert_int_equal(shm_ask(p, 0, PAGE, shm_file), PENDING);
	shm_expect(p, VU_BACKEND_SHMEM_MAP, 0, PAGE);
	/* Another one in its place. */
	shm_open_channel(p);
	peer_run();
	assert_int_equal(shm_jobs[0].result, -ECONNRESET);
	shm_map_one(p, 0, PAGE);
}

static void test_closed(void **state)
{
	shm_in_modes(state, closed);
}

/* Plays a front-end that never answers: requests are refused when there are too many. */
static void never_answers(struct peer *p)
{
	unsigned heard = 0, rounds = 0;

	do {
		shm_n_jobs = 0;
		for (unsigned i = 0; i < SHM_JOBS / 2; i++) {
			shm_add(0, PAGE, shm_file);
			shm_add(0, PAGE, -1);
		}
		agent_do(p, 0, shm_submit);
		peer_get_base(p, 0);
		while (shm_hear(p))
			heard++;
		peer_setup_ring(p, 0, p->avail[0]);
	} while (shm_jobs[0].result != -EBUSY && ++rounds < 100);
	assert_int_equal(shm_jobs[0].result, -EBUSY);
	assert_in_range(heard, 1000, 10000);
}

static void test_never_answers(void **state)
{
	shm_in_modes(state, never_answers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(peer, test_hostile),
		TEST_WITH(peer, test_unexpected),
		TEST_WITH(peer, test_in_pieces),
		TEST_WITH(peer, test_closed),
		TEST_WITH(peer, test_never_answers),
	};

	return cmocka_run_group_tests_name("shm-channel", tests, NULL, NULL);
}
