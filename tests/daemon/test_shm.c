/* SPDX-License-Identifier: Apache-2.0 */
/* Shared memory regions: what the device asks for, what the front-end hears and answers. */
#include "tests/daemon/shm_agent.h"

#include <sys/stat.h>

static void offered(struct peer *p)
{
	const struct vu_shmem_config *c = &p->msg.payload.shmem_config;

	assert_int_equal(peer_ask(p, VU_GET_PROTOCOL_FEATURES, NULL, 0), SHM_FEATURES);
	peer_ask(p, VU_GET_SHMEM_CONFIG, NULL, 0);
	assert_int_equal(p->msg.header.size, sizeof(*c));
	assert_int_equal(c->n_regions, 2);
	for (unsigned id = 0; id < VU_MAX_SHMEM_REGIONS; id++)
		assert_int_equal(c->size[id], id == 1 ? 2 * PAGE : id == REGION ? PAGES * PAGE : 0);
}

static void test_offered(void **state)
{
	struct peer *p = *state;

	/* The toy has no region. */
	assert_int_equal(peer_ask(p, VU_GET_PROTOCOL_FEATURES, NULL, 0), ALL_PROTOCOL_FEATURES);
	peer_send(p, VU_GET_SHMEM_CONFIG, 0, NULL, 0, NULL, 0);
	assert_true(peer_is_closed(p));
	assert_logged("GET_SHMEM_CONFIG: SHMEM is not offered");
	shm_in_modes(state, offered);
}

static void map_unmap(struct peer *p)
{
	const struct vu_shmem_map *m = &shm_msg.payload.shmem_map;
	struct vu_config c = { .size = 0 };
	struct stat theirs, ours;

	shm_n_jobs = 0;
	shm_add(PAGE, 2 * PAGE, shm_file);
	shm_jobs[0].map.writable = true;
	shm_jobs[0].map.fd_offset = 3 * PAGE;
	agent_do(p, 0, shm_submit);
	shm_expect(p, VU_BACKEND_SHMEM_MAP, PAGE, 2 * PAGE);
	assert_int_equal(m->fd_offset, 3 * PAGE);
	assert_int_equal(m->flags, VU_SHMEM_WRITABLE);
	assert_true(fstat(shm_msg.fds[0], &theirs) == 0 && fstat(shm_file, &ours) == 0);
	assert_int_equal(theirs.st_ino, ours.st_ino);
	/* The front-end asks before it answers. */
	peer_ask(p, VU_GET_CONFIG, &c, sizeof(c));
	assert_int_equal(shm_jobs[0].result, PENDING);
	shm_answer(p, VU_BACKEND_SHMEM_MAP, 0);
	assert_int_equal(shm_jobs[0].result, 0);
	assert_int_equal(shm_jobs[0].thread, agent.thread[0]);

	assert_int_equal(shm_ask(p, PAGE, 2 * PAGE, -1), PENDING);
	shm_expect(p, VU_BACKEND_SHMEM_UNMAP, PAGE, 2 * PAGE);
	shm_answer(p, VU_BACKEND_SHMEM_UNMAP, 0);
	assert_int_equal(shm_jobs[0].result, 0);
	/* Read-only, in the same place. */
	assert_int_equal(shm_ask(p, 0, PAGES * PAGE, shm_file), PENDING);
	shm_expect(p, VU_BACKEND_SHMEM_MAP, 0, PAGES * PAGE);
	assert_int_equal(m->flags, 0);
	shm_answer(p, VU_BACKEND_SHMEM_MAP, 0);
	assert_int_equal(shm_jobs[0].result, 0);
}

static void test_map_unmap(void **state)
{
	shm_in_modes(state, map_unmap);
}

/* Checks requests in flight at the same time. */
static void in_order(struct peer *p)
{
	shm_n_jobs = 0;
	for (unsigned i = 0; i < 5; i++) {
		shm_add(0, (i + 1) * PAGE, shm_file);
		shm_add(0, (i + 1) * PAGE, -1);
	}
	agent_do(p, 1, shm_submit);
	for (unsigned i = 0; i < shm_n_jobs; i++)
		shm_expect(p, i % 2 ? VU_BACKEND_SHMEM_UNMAP : VU_BACKEND_SHMEM_MAP, 0,
			shm_jobs[i].map.len);
	for (unsigned i = 0; i < shm_n_jobs; i++) {
		assert_int_equal(shm_jobs[i].result, PENDING);
		shm_answer(
			p, i % 2 ? VU_BACKEND_SHMEM_UNMAP : VU_BACKEND_SHMEM_MAP, i == 6 ? EIO : 0);
		assert_int_equal(shm_jobs[i].result, i == 6 ? -EIO : 0);
	}
}

static void test_in_order(void **state)
{
	shm_in_modes(state, in_order);
}

/* Checks that what the front-end refuses is not mapped: the device may try again. */
static void errors(struct peer *p)
{
	const struct {
		uint64_t answer;
		int result;
	} rows[] = {
		{ EEXIST, -EEXIST },
		{ -(uint64_t)EFAULT, -EFAULT },
		{ UINT64_MAX, -EPERM },
		{ 0x100000001, -EIO },
		{ 4096, -EIO },
		{ INT64_MAX, -EIO },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		assert_int_equal(shm_ask(p, 0, PAGE, shm_file), PENDING);
		shm_expect(p, VU_BACKEND_SHMEM_MAP, 0, PAGE);
		shm_answer(p, VU_BACKEND_SHMEM_MAP, rows[i].answer);
		assert_int_equal(shm_jobs[0].result, rows[i].result);
	}
	shm_map_one(p, 0, PAGE);
}

static void test_errors(void **state)
{
	shm_in_modes(state, errors);
}

/* Checks that the device's own mistakes are not sent. */
static void refused(struct peer *p)
{
	const struct virtio_shm_map rows[] = {
		{ .id = 0, .len = PAGE },
		{ .id = 1, .len = 3 * PAGE },
		{ .id = REGION, .len = 0 },
		{ .id = REGION, .len = 100 },
		{ .id = REGION, .at = 100, .len = PAGE },
		{ .id = REGION, .at = PAGES * PAGE, .len = PAGE },
		{ .id = REGION, .at = PAGE, .len = PAGES * PAGE },
		{ .id = REGION, .at = UINT64_MAX - PAGE + 1, .len = PAGE },
		{ .id = REGION, .at = PAGE, .len = UINT64_MAX - PAGE + 1 },
		{ .id = REGION, .len = PAGE, .fd_offset = 1 },
		{ .id = REGION, .len = PAGE, .fd_offset = INT64_MAX - PAGE + 1 },
		/* On top of another one, from below, inside, and above. */
		{ .id = REGION, .at = 9 * PAGE, .len = 2 * PAGE },
		{ .id = REGION, .at = 11 * PAGE, .len = PAGE },
		{ .id = REGION, .at = 13 * PAGE, .len = 4 * PAGE },
		/* Not mapped, or not all of a mapping. */
		{ .id = REGION, .fd = -1, .at = 20 * PAGE, .len = PAGE },
		{ .id = REGION, .fd = -1, .at = 10 * PAGE, .len = PAGE },
		{ .id = 1, .fd = -1, .len = PAGE },
	};

	shm_map_one(p, 10 * PAGE, 4 * PAGE);
	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		shm_n_jobs = 0;
		shm_add(0, 0, 0)->map = rows[i];
		shm_jobs[0].map.done = shm_on_done;
		if (!rows[i].fd)
			shm_jobs[0].map.fd = shm_file;
		agent_do(p, 0, shm_submit);
		assert_int_equal(shm_jobs[0].result, -EINVAL);
		assert_int_equal(shm_hear(p), 0);
	}
	shm_map_one(p, 14 * PAGE, PAGE);
	shm_map_one(p, 9 * PAGE, PAGE);
}

static void test_refused(void **state)
{
	shm_in_modes(state, refused);
}

static void old_front_end(struct peer *p)
{
	const unsigned missing[] = { VU_F_SHMEM, VU_F_BACKEND_SEND_FD, VU_F_REPLY_ACK };

	for (unsigned i = 0; i < G_N_ELEMENTS(missing); i++) {
		peer_send(p, VU_SET_PROTOCOL_FEATURES, 0,
			&(uint64_t){ SHM_FEATURES & ~VU_BIT(missing[i]) }, 8, NULL, 0);
		peer_run();
		assert_int_equal(shm_ask(p, 0, PAGE, shm_file), -EOPNOTSUPP);
		assert_int_equal(shm_hear(p), 0);
	}
	assert_int_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, SHM_FEATURES), 0);
	shm_map_one(p, 0, PAGE);
	fd_close(&p->channel);
	peer_run();
	assert_int_equal(shm_ask(p, PAGE, PAGE, shm_file), -EOPNOTSUPP);
}

static void test_old_front_end(void **state)
{
	shm_in_modes(state, old_front_end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(peer, test_offered),
		TEST_WITH(peer, test_map_unmap),
		TEST_WITH(peer, test_in_order),
		TEST_WITH(peer, test_errors),
		TEST_WITH(peer, test_refused),
		TEST_WITH(peer, test_old_front_end),
	};

	return cmocka_run_group_tests_name("shm", tests, NULL, NULL);
}
