/* SPDX-License-Identifier: Apache-2.0 */
/* The device that does as the test tells it, on the threads of its queues. */
#include "tests/daemon/agent.h"

struct agent agent;

void agent_check_alone(void)
{
	agent.verb_thread = gettid();
	g_assert_true(agent.in_verb == 0);
}

static bool agent_open(struct virtio_device *d, GError **error)
{
	agent.device = d;
	if (agent.on_open)
		agent.on_open(d);
	return true;
}

static void agent_reset(struct virtio_device *d)
{
	agent_check_alone();
	agent.resets++;
}

static void agent_reload(struct virtio_device *d)
{
	agent_check_alone();
	agent.reloads++;
}

static void agent_config_written(struct virtio_device *d, uint32_t offset, uint32_t size)
{
	agent_check_alone();
	agent.writes++;
}

static void agent_queue_start(struct virtio_device *d, struct vq *q)
{
	agent.in_verb++;
	agent.thread[vq_index(q)] = gettid();
	if (agent.on_start)
		agent.on_start(d, q);
	agent.in_verb--;
}

static void agent_queue_stop(struct virtio_device *d, struct vq *q)
{
	if (agent.on_stop)
		agent.on_stop(d, q);
}

static void agent_kick(struct virtio_device *d, struct vq *q)
{
	agent_fn *todo = agent.todo;
	struct vq_chain *c;

	agent.in_verb++;
	g_assert_true(agent.thread[vq_index(q)] == gettid());
	while ((c = vq_pop(q))) {
		if (agent.breaks)
			vq_break(q, "the agent does not like it");
		if (todo)
			todo(d, q);
		agent.todo = todo = NULL;
		vq_push(c);
	}
	agent.in_verb--;
}

void agent_make(struct peer *p, const struct agent_mode *mode)
{
	/* The back-end before this one may still look at its table. */
	static struct virtio_device_ops tables[2];
	static unsigned n;
	static const struct virtio_config_range writable[] = { { 0, AGENT_CONFIG }, { 0, 0 } };

	tables[++n % 2] = (struct virtio_device_ops){
		.name = "agent",
		.probe = { .device_id = 45,
			.config_size = AGENT_CONFIG,
			.min_queues = 1,
			.max_queues = AGENT_QUEUES },
		.threads = mode->threads,
		.common_queues = mode->common,
		.config_writable = writable,
		.shm = agent.shm,
		.wire = agent.wire,
		.open = agent_open,
		.reset = agent_reset,
		.reload = agent_reload,
		.config_written = agent_config_written,
		.queue_start = agent_queue_start,
		.queue_stop = agent_queue_stop,
		.kick = agent_kick,
	};
	peer_disconnect(p);
	peer_options.workers = mode->workers;
	peer_make_backend(p, &tables[n % 2]);
	peer_connect(p);
}

void agent_start(struct peer *p)
{
	peer_negotiate(p);
	peer_share_memory(p);
	for (unsigned i = 0; i < AGENT_QUEUES; i++) {
		driver_reset(p, i);
		peer_setup_ring(p, i, 0);
		peer_enable(p, i, true);
	}
}

void agent_do(struct peer *p, unsigned queue, agent_fn *fn)
{
	agent.todo = fn;
	driver_submit(p, queue);
	driver_kick(p, queue);
	WAIT_IN_LOOP(!agent.todo);
	peer_run();
}
