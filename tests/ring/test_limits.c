/* SPDX-License-Identifier: Apache-2.0 */
/* What the requests of a device may take of our memory, however many queues it has. */
#include "fake.h"

#include "ring/vq_impl.h"

#define TABLE DATA_ADDR
#define SIZE 64
#define QUEUES 64
/* The most that one request takes: as many ranges and iovecs as a table has entries. */
#define LARGEST \
	(sizeof(struct vq_req) + VQ_MAX_SIZE * (sizeof(struct mem_range) + sizeof(struct iovec)))

static struct vq *queue[QUEUES];
static struct vq_memory memory;

/* Starts all queues with the one vring, full of requests that name one table as long as can be. */
static void start_all(struct fake *f)
{
	const struct fake_buf table = { TABLE, 16 * VQ_MAX_SIZE, VRING_DESC_F_INDIRECT };

	fake_start(f, false, SIZE, INDIRECT);
	for (unsigned i = 0; i < VQ_MAX_SIZE; i++)
		fake_table(f, TABLE, i, GUEST_ADDR, 1,
			VRING_DESC_F_WRITE | (i < VQ_MAX_SIZE - 1 ? VRING_DESC_F_NEXT : 0), i + 1);
	for (unsigned i = 0; i < SIZE; i++)
		fake_list(f, i, &table, 1);
	for (unsigned i = 0; i < QUEUES; i++) {
		queue[i] = vq_new(i, f->mem, f->q->hooks, f);
		queue[i]->burst_us = INT64_MAX;
		vq_share_memory(queue[i], &memory);
		assert_true(vq_start(queue[i], &f->setup, NULL));
	}
}

static void stop_all(struct fake *f)
{
	assert_int_equal(f->breaks, 0);
	for (unsigned i = 0; i < QUEUES; i++) {
		vq_stop(queue[i]);
		vq_free(queue[i]);
	}
	assert_int_equal(memory.bytes, 0);
	fake_close(f);
}

/* Takes what there is, from all queues; each of them has at least one. */
static void take_all(GPtrArray *held)
{
	for (unsigned i = 0; i < QUEUES; i++) {
		struct vq_chain *c;

		vq_burst_begin(queue[i]);
		while ((c = vq_pop(queue[i])))
			g_ptr_array_add(held, c);
		assert_true(vq_in_flight(queue[i]) > 0);
		/* It waits until one of its own ends, and not in a loop. */
		assert_int_equal(vq_burst_end(queue[i]), VQ_IDLE);
	}
}

static void test_limit_of_all_queues(void **state)
{
	g_autoptr(GPtrArray) held = g_ptr_array_new();
	struct fake f;

	start_all(&f);
	/* In a packed vring, the first queue that answers overwrites what the others would read. */
	for (unsigned round = 0; round < (fake_format ? 1 : 3); round++) {
		take_all(held);
		assert_in_range(memory.bytes, VQ_POOL_MAX, VQ_POOL_MAX + QUEUES * LARGEST);
		for (unsigned i = 0; i < held->len; i++)
			vq_push(held->pdata[i]);
		g_ptr_array_set_size(held, 0);
		for (unsigned i = 0; i < QUEUES; i++)
			vq_publish(queue[i]);
		/* What is kept for the next ones leaves room for them. */
		assert_true(memory.bytes <= VQ_POOL_KEEP);
	}
	stop_all(&f);
}

/* A batch is no way around it: each table is counted before the next one is read. */
static void test_limit_in_a_batch(void **state)
{
	struct fake f;

	start_all(&f);
	vq_burst_begin(queue[0]);
	vq_push(vq_pop(queue[0]));
	assert_true(memory.bytes <= VQ_POOL_MAX + LARGEST);
	stop_all(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit_of_all_queues),
		cmocka_unit_test(test_limit_in_a_batch),
	};

	return fake_run_both(tests);
}
