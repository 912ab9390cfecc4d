/* SPDX-License-Identifier: Apache-2.0 */
/* Shared memory, when the queue that asked for it stops, or the device is reset. */
#include "tests/daemon/shm_agent.h"

/* Asks to map, and stops queue 0 before the answer. */
static void cancel_one(struct peer *p)
{
	assert_int_equal(shm_ask(p, 0, PAGE, shm_file), PENDING);
	shm_expect(p, VU_BACKEND_SHMEM_MAP, 0, PAGE);
	/* The vring stops although there is no answer. */
	peer_get_base(p, 0);
	assert_int_equal(shm_jobs[0].result, -ECANCELED);
	assert_int_equal(shm_jobs[0].thread, agent.thread[0]);
	shm_expect(p, VU_BACKEND_SHMEM_UNMAP, 0, PAGE);
	assert_int_equal(shm_hear(p), 0);
}

static void restart(struct peer *p, unsigned queue)
{
	peer_setup_ring(p, queue, p->avail[queue]);
}

static void canceled(struct peer *p)
{
	cancel_one(p);
	restart(p, 0);
	/* The same place is free. The answers to the first two come late. */
	assert_int_equal(shm_ask(p, 0, PAGE, shm_file), PENDING);
	shm_expect(p, VU_BACKEND_SHMEM_MAP, 0, PAGE);
	shm_answer(p, VU_BACKEND_SHMEM_MAP, 0);
	shm_answer(p, VU_BACKEND_SHMEM_UNMAP, 0);
	assert_int_equal(shm_jobs[0].result, PENDING);
	shm_answer(p, VU_BACKEND_SHMEM_MAP, 0);
	assert_int_equal(shm_jobs[0].result, 0);
	/* What is mapped stays so over a stop. */
	peer_get_base(p, 0);
	restart(p, 0);
	assert_int_equal(shm_ask(p, 0, PAGE, shm_file), -EINVAL);
	assert_int_equal(shm_hear(p), 0);
}

static void test_canceled(void **state)
{
	shm_in_modes(state, canceled);
}

/* Stops the last queue that runs: what unmaps must be sent before the back-end is suspended. */
static void last_queue(struct peer *p)
{
	for (unsigned i = 1; i < AGENT_QUEUES; i++)
		peer_get_base(p, i);
	cancel_one(p);
	shm_answer(p, VU_BACKEND_SHMEM_MAP, EINVAL);
	shm_answer(p, VU_BACKEND_SHMEM_UNMAP, EINVAL);
	restart(p, 0);
	shm_map_one(p, 0, PAGE);
}

static void test_last_queue(void **state)
{
	shm_in_modes(state, last_queue);
}

/* Answers before the message that stops the queue. */
static void answered_before(struct peer *p)
{
	struct vu_vring_state ring = { 0, 0 };
	struct vu_msg reply;

	assert_int_equal(shm_ask(p, 0, PAGE, shm_file), PENDING);
	shm_expect(p, VU_BACKEND_SHMEM_MAP, 0, PAGE);
	vu_msg_init(&reply, VU_BACKEND_SHMEM_MAP);
	reply.header.flags |= VU_FLAG_REPLY;
	vu_msg_set_u64(&reply, 0);
	assert_true(vu_msg_write(p->channel, &reply, 0, NULL));
	peer_send(p, VU_GET_VRING_BASE, 0, &ring, sizeof(ring), NULL, 0);
	assert_true(peer_receive(p));
	assert_int_equal(shm_jobs[0].result, 0);
	assert_int_equal(shm_hear(p), 0);
}

static void test_answered_before(void **state)
{
	shm_in_modes(state, answered_before);
}

/* Checks that requests of other queues are not concerned. */
static void other_queue(struct peer *p)
{
	assert_int_equal(shm_ask(p, 0, PAGE, shm_file), PENDING);
	shm_expect(p, VU_BACKEND_SHMEM_MAP, 0, PAGE);
	peer_get_base(p, 1);
	assert_int_equal(shm_jobs[0].result, PENDING);
	shm_answer(p, VU_BACKEND_SHMEM_MAP, 0);
	assert_int_equal(shm_jobs[0].result, 0);
}

static void test_other_queue(void **state)
{
	shm_in_modes(state, other_queue);
}

/* Checks that in queue_stop() it is too late to map, and not to unmap. */
static void in_stop(struct peer *p)
{
	shm_map_one(p, 0, PAGE);
	shm_n_jobs = 0;
	shm_add(0, PAGE, -1);
	shm_add(PAGE, PAGE, shm_file);
	agent.on_stop = shm_submit;
	peer_get_base(p, 3);
	agent.on_stop = NULL;
	assert_int_equal(shm_jobs[0].result, -ECANCELED);
	assert_int_equal(shm_jobs[1].result, -ECANCELED);
	shm_expect(p, VU_BACKEND_SHMEM_UNMAP, 0, PAGE);
	assert_int_equal(shm_hear(p), 0);
	shm_answer(p, VU_BACKEND_SHMEM_UNMAP, 0);
	shm_map_one(p, 0, 2 * PAGE);
}

static void test_in_stop(void **state)
{
	shm_in_modes(state, in_stop);
}

static struct vq *stopped;

static void submit_for_stopped(struct virtio_device *d, struct vq *q)
{
	shm_submit(d, stopped);
}

static void remember(struct virtio_device *d, struct vq *q)
{
	stopped = virtio_device_queue(d, vq_index(q) + 1);
}

/* Uses a queue of the same thread that does not run. */
static void of_stopped_queue(struct peer *p)
{
	agent_do(p, 0, remember);
	peer_get_base(p, 1);
	shm_n_jobs = 0;
	shm_add(0, PAGE, shm_file);
	agent_do(p, 0, submit_for_stopped);
	assert_int_equal(shm_jobs[0].result, -ECANCELED);
	assert_int_equal(shm_hear(p), 0);
}

static void test_of_stopped_queue(void **state)
{
	shm_in_modes(state, of_stopped_queue);
}

static void reset(struct peer *p)
{
	shm_map_one(p, 0, 2 * PAGE);
	assert_int_equal(shm_ask(p, 4 * PAGE, PAGE, shm_file), PENDING);
	shm_expect(p, VU_BACKEND_SHMEM_MAP, 4 * PAGE, PAGE);
	assert_int_equal(peer_ack(p, VU_RESET_DEVICE, NULL, 0, NULL, 0), 0);
	assert_int_equal(shm_jobs[0].result, -ECANCELED);
	shm_expect(p, VU_BACKEND_SHMEM_UNMAP, 4 * PAGE, PAGE);
	shm_answer(p, VU_BACKEND_SHMEM_MAP, 0);
	shm_answer(p, VU_BACKEND_SHMEM_UNMAP, 0);
	for (unsigned i = 0; i < AGENT_QUEUES; i++) {
		driver_reset(p, i);
		peer_setup_ring(p, i, 0);
		peer_enable(p, i, true);
	}
	shm_map_one(p, PAGE, 4 * PAGE);
}

static void test_reset(void **state)
{
	shm_in_modes(state, reset);
}

/* Leaves in the middle; the next front-end has nothing mapped. */
static void front_end_leaves(struct peer *p)
{
	shm_map_one(p, 0, PAGE);
	assert_int_equal(shm_ask(p, PAGE, PAGE, shm_file), PENDING);
	fd_close(&p->sock);
	peer_run();
	assert_int_equal(shm_jobs[0].result, -ECANCELED);
	fd_close(&p->channel);
	peer_connect(p);
	agent_start(p);
	assert_int_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, SHM_FEATURES), 0);
	shm_open_channel(p);
	shm_map_one(p, 0, 2 * PAGE);
}

static void test_front_end_leaves(void **state)
{
	shm_in_modes(state, front_end_leaves);
}

/* Fills the channel: some requests were sent when their queue stops, others were not. */
static void full_channel(struct peer *p)
{
	unsigned maps = 0, unmaps = 0, request;
	uint64_t at[SHM_JOBS];

	shm_n_jobs = 0;
	for (unsigned i = 0; i < SHM_JOBS; i++)
		shm_add(i * PAGE, PAGE, shm_file);
	agent_do(p, 0, shm_submit);
	assert_int_equal(shm_jobs[0].result, PENDING);
	peer_get_base(p, 0);
	for (unsigned i = 0; i < SHM_JOBS; i++)
		assert_int_equal(shm_jobs[i].result, -ECANCELED);
	while ((request = shm_hear(p))) {
		uint64_t offset = shm_msg.payload.shmem_map.shm_offset;

		if (request == VU_BACKEND_SHMEM_MAP)
			at[maps++] = offset;
		else
			assert_int_equal(offset, at[unmaps++]);
	}
	assert_int_equal(unmaps, maps);
	assert_in_range(maps, 1, SHM_JOBS - 1);
	for (unsigned i = 0; i < 2 * maps; i++)
		shm_answer(p, i < maps ? VU_BACKEND_SHMEM_MAP : VU_BACKEND_SHMEM_UNMAP, 0);
	restart(p, 0);
	shm_map_one(p, 0, PAGES * PAGE);
}

static void test_full_channel(void **state)
{
	shm_in_modes(state, full_channel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(peer, test_canceled),
		TEST_WITH(peer, test_last_queue),
		TEST_WITH(peer, test_answered_before),
		TEST_WITH(peer, test_other_queue),
		TEST_WITH(peer, test_in_stop),
		TEST_WITH(peer, test_of_stopped_queue),
		TEST_WITH(peer, test_reset),
		TEST_WITH(peer, test_front_end_leaves),
		TEST_WITH(peer, test_full_channel),
	};

	return cmocka_run_group_tests_name("shm-stop", tests, NULL, NULL);
}
