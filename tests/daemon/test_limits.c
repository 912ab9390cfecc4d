/* SPDX-License-Identifier: Apache-2.0 */
/* What a front-end makes the back-end take of the host's memory is limited, and given back. */
#include "tests/daemon/peer.h"

#include <malloc.h>

#include "virtio/ring_layout.h"

#define TABLE 0x100000 /* in the peer's memory */
#define ENTRIES 32768
#define MIB (1l << 20)

/* Returns the bytes of this process that are in memory. */
static long resident(void)
{
	g_autofree char *text = NULL;
	long size, pages;

	assert_true(g_file_get_contents("/proc/self/statm", &text, NULL, NULL));
	assert_int_equal(sscanf(text, "%ld %ld", &size, &pages), 2);
	return pages * sysconf(_SC_PAGESIZE);
}

/* Fills a ring with requests that all name one table as long as can be. */
static void submit_tables(struct peer *p, unsigned index)
{
	struct vring_desc *desc = (void *)(p->mem + ring_offset(index));
	struct vring_desc *table = (void *)(p->mem + TABLE);
	struct vring_avail *avail = (void *)(p->mem + ring_offset(index) + 0x1000);

	for (unsigned i = 0; i < ENTRIES; i++)
		table[i] = (struct vring_desc){ p->gpa + 0x1f0000, 1,
			VRING_DESC_F_WRITE | (i + 1 < ENTRIES ? VRING_DESC_F_NEXT : 0), i + 1 };
	for (unsigned i = 0; i < RING_SIZE; i++) {
		desc[i] = (struct vring_desc){ p->gpa + TABLE, ENTRIES * sizeof(*desc),
			VRING_DESC_F_INDIRECT, 0 };
		avail->ring[i] = i;
	}
	shm_store16_release(&avail->idx, RING_SIZE);
	driver_kick(p, index);
}

/* Sanitizers change the size of a process, and keep what it frees. */
#ifdef SANITIZED
static const bool size_tells = false;
#else
static const bool size_tells = true;
#endif

static void test_limit_given_back(void **state)
{
	struct peer *p = *state;
	long before, most;

	peer_negotiate(p);
	assert_int_equal(peer_ack_u64(p, VU_SET_FEATURES,
				 DRIVER_FEATURES | VU_BIT(VIRTIO_RING_F_INDIRECT_DESC)),
		0);
	peer_share_memory(p);
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		peer_setup_ring(p, i, 0);
		peer_enable(p, i, true);
	}
	memset(p->mem, 0, MEM_SIZE);
	before = resident();
	toy.mode = TOY_HOLD;
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		submit_tables(p, i);
	peer_run();
	/* Of the second queue's, one is taken all the same. */
	assert_in_range(toy.held, RING_SIZE + 1, 2 * RING_SIZE - 1);
	most = resident();
	if (size_tells)
		assert_in_range(most - before, 16 * MIB, 48 * MIB);
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		eventfd_write(toy.release[i], 1);
	toy.mode = TOY_ECHO;
	peer_run();
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		assert_int_equal(driver_used(p, i), RING_SIZE);
	peer_disconnect(p);
	if (size_tells && resident() > before + 4 * MIB)
		fail_msg("%ld MiB, then %ld, and %ld are kept", before / MIB, most / MIB,
			resident() / MIB);
	peer_connect(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(peer, test_limit_given_back),
	};

	/* As glibc sets them itself once it has freed a large block: free() gives nothing back. */
	mallopt(M_MMAP_THRESHOLD, 32 * MIB);
	mallopt(M_TRIM_THRESHOLD, 64 * MIB);
	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
