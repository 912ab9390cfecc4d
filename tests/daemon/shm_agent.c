/* SPDX-License-Identifier: Apache-2.0 */
/* The agent with shared memory, and what its front-end receives. */
#include "tests/daemon/shm_agent.h"

#include <sys/mman.h>

static const struct agent_mode modes[] = { AGENT_ONE, AGENT_PAIRS };

static const struct virtio_shm_region regions[] = {
	{ .id = 1, .size = 2 * PAGE },
	{ .id = REGION, .size = PAGES * PAGE },
	{ 0 },
};

struct shm_job shm_jobs[SHM_JOBS];
unsigned shm_n_jobs;
int shm_file;

void shm_on_done(struct virtio_device *d, struct vq *q, struct virtio_shm_map *m, int result)
{
	struct shm_job *j = container_of(m, struct shm_job, map);

	g_assert_true(j->result == PENDING);
	j->thread = gettid();
	j->result = result;
}

void shm_submit(struct virtio_device *d, struct vq *q)
{
	for (unsigned i = 0; i < shm_n_jobs; i++)
		virtio_shm_map(q, &shm_jobs[i].map);
}

struct shm_job *shm_add(uint64_t at, uint64_t len, int fd)
{
	struct shm_job *j = &shm_jobs[shm_n_jobs++];

	*j = (struct shm_job){
		.map = { .id = REGION, .fd = fd, .at = at, .len = len, .done = shm_on_done },
		.result = PENDING,
	};
	return j;
}

int shm_ask(struct peer *p, uint64_t at, uint64_t len, int fd)
{
	shm_n_jobs = 0;
	shm_add(at, len, fd);
	agent_do(p, 0, shm_submit);
	return shm_jobs[0].result;
}

/* The front-end's end of the channel. */

struct vu_msg shm_msg;
static struct vu_reader reader;

void shm_open_channel(struct peer *p)
{
	peer_open_channel(p);
	reader = (struct vu_reader){ 0 };
}

uint32_t shm_hear(struct peer *p)
{
	vu_msg_clear(&shm_msg);
	peer_run();
	if (vu_msg_read(&reader, p->channel, &shm_msg, NULL) != VU_READ_DONE)
		return 0;
	assert_int_equal(shm_msg.header.flags, VU_VERSION | VU_FLAG_NEED_REPLY);
	assert_true(vu_msg_check(&shm_msg, vu_backend_shape(shm_msg.header.request), NULL));
	return shm_msg.header.request;
}

void shm_expect(struct peer *p, uint32_t request, uint64_t at, uint64_t len)
{
	const struct vu_shmem_map *m = &shm_msg.payload.shmem_map;

	assert_int_equal(shm_hear(p), request);
	assert_int_equal(m->id, REGION);
	assert_int_equal(m->shm_offset, at);
	assert_int_equal(m->len, len);
}

void shm_answer(struct peer *p, uint32_t request, uint64_t value)
{
	struct vu_msg reply;

	vu_msg_init(&reply, request);
	reply.header.flags |= VU_FLAG_REPLY;
	vu_msg_set_u64(&reply, value);
	assert_true(vu_msg_write(p->channel, &reply, 0, NULL));
	peer_run();
}

void shm_map_one(struct peer *p, uint64_t at, uint64_t len)
{
	assert_int_equal(shm_ask(p, at, len, shm_file), PENDING);
	shm_expect(p, VU_BACKEND_SHMEM_MAP, at, len);
	shm_answer(p, VU_BACKEND_SHMEM_MAP, 0);
	assert_int_equal(shm_jobs[0].result, 0);
}

static void begin(struct peer *p, const struct agent_mode *mode)
{
	shm_file = memfd_create("shared", MFD_CLOEXEC);
	agent.shm = regions;
	agent_make(p, mode);
	agent.shm = NULL;
	agent_start(p);
	assert_int_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, SHM_FEATURES), 0);
	shm_open_channel(p);
}

static void end(struct peer *p)
{
	peer_disconnect(p);
	for (unsigned i = 0; i < shm_n_jobs; i++)
		assert_int_not_equal(shm_jobs[i].result, PENDING);
	vu_msg_clear(&shm_msg);
	close(shm_file);
}

void shm_in_modes(void **state, void (*test)(struct peer *p))
{
	for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
		begin(*state, &modes[i]);
		test(*state);
		end(*state);
	}
}
