/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory that payloads name: virtio_pages_*(), on the threads of queues. */
#include "tests/daemon/agent.h"

static const struct agent_mode modes[] = { AGENT_ONE, AGENT_PAIRS };

#define PAGE 4096
#define AT (MEM_GPA + 0x180000)
#define HELD_PAGES 3
/* Far more than there may be. */
#define MANY 20000

static struct virtio_pages *held;
static const struct virtio_pages_range *ranges;
static unsigned n_ranges;
static int result;
static uint8_t bytes[HELD_PAGES * PAGE];
static unsigned n_bytes;

static void hold(struct virtio_device *d, struct vq *q)
{
	result = virtio_pages_hold(q, ranges, n_ranges, &held);
}

static void release(struct virtio_device *d, struct vq *q)
{
	virtio_pages_release(held);
	held = NULL;
}

static void copy(struct virtio_device *d, struct vq *q)
{
	unsigned n;
	const struct iovec *iov = virtio_pages_iov(held, &n);

	n_bytes = 0;
	for (unsigned i = 0; i < n; i++) {
		memcpy(bytes + n_bytes, iov[i].iov_base, iov[i].iov_len);
		n_bytes += iov[i].iov_len;
	}
}

static void discard(struct virtio_device *d, struct vq *q)
{
	virtio_pages_discard(q, ranges, n_ranges);
}

static void in_modes(void **state, void (*test)(struct peer *p))
{
	for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
		agent_make(*state, &modes[i]);
		agent_start(*state);
		test(*state);
		agent_do(*state, 1, release);
	}
}

static void read_back(struct peer *p)
{
	static const struct virtio_pages_range two[] = { { AT + PAGE, PAGE }, { AT, 2 * PAGE } };
	uint8_t *guest = p->mem + (AT - MEM_GPA);

	memset(guest, 1, PAGE);
	memset(guest + PAGE, 2, PAGE);
	ranges = two;
	n_ranges = 2;
	agent_do(p, 1, hold);
	assert_int_equal(result, 0);
	agent_do(p, 1, copy);
	assert_int_equal(n_bytes, 3 * PAGE);
	assert_memory_equal(bytes, guest + PAGE, PAGE);
	assert_memory_equal(bytes + PAGE, guest, 2 * PAGE);

	/* It holds on over a stop, and over another table of memory. */
	for (unsigned i = 0; i < AGENT_QUEUES; i++)
		peer_get_base(p, i);
	peer_share_memory(p);
	for (unsigned i = 0; i < AGENT_QUEUES; i++)
		peer_setup_ring(p, i, p->avail[i]);
	memset(guest, 3, 2 * PAGE);
	agent_do(p, 1, copy);
	assert_int_equal(n_bytes, 3 * PAGE);
	assert_memory_equal(bytes, guest, 2 * PAGE);

	n_ranges = 1;
	agent_do(p, 0, discard);
	assert_int_equal(guest[PAGE], 0);
	assert_int_equal(guest[0], 3);
}

static void test_read_back(void **state)
{
	in_modes(state, read_back);
}

static void refused(struct peer *p)
{
	static const struct virtio_pages_range rows[] = {
		{ MEM_GPA - 1, PAGE },
		{ MEM_GPA + MEM_SIZE - 1, PAGE },
		{ UINT64_MAX, 1 },
		{ MEM_GPA, UINT64_MAX },
	};
	g_autofree struct virtio_pages_range *many = g_new(struct virtio_pages_range, MANY);

	n_ranges = 1;
	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		ranges = &rows[i];
		agent_do(p, 1, hold);
		assert_int_equal(result, i == 3 ? -E2BIG : -EFAULT);
		assert_null(held);
	}
	/* No whole page in these. */
	ranges = rows;
	n_ranges = 3;
	agent_do(p, 1, discard);
	for (unsigned i = 0; i < MANY; i++)
		many[i] = (struct virtio_pages_range){ AT, 1 };
	ranges = many;
	n_ranges = MANY;
	agent_do(p, 1, hold);
	assert_int_equal(result, -E2BIG);
	assert_null(held);
}

static void test_refused(void **state)
{
	in_modes(state, refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(peer, test_read_back),
		TEST_WITH(peer, test_refused),
	};

	return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
