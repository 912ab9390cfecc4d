/* SPDX-License-Identifier: Apache-2.0 */
/* The io_uring of a disk's queue, a real one: what it does, and what it refuses to do. */
#include <errno.h>
#include <glib/gstdio.h>
#include <linux/falloc.h>
#include <liburing.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "base/util.h"
#include "daemon/devices/blk/blk_ring.h"
#include "tests/lib/leak.h"

#define DEPTH 400
#define SIZE (DEPTH * 512)

struct world {
	unsigned fds;
	int file;
	struct blk_ring *ring;
	struct blk_event event[DEPTH];
	unsigned n_events;
};

static int setup(void **state)
{
	struct world *w = g_new0(struct world, 1);

	*state = w;
	w->fds = count_fds();
	w->file = memfd_create("file", MFD_CLOEXEC);
	assert_int_equal(ftruncate(w->file, SIZE), 0);
	w->ring = blk_ring_new((int[]){ w->file }, 1, DEPTH, NULL);
	if (!w->ring)
		return 0; /* not here: the tests skip themselves */
	assert_int_equal(blk_ring_enable(w->ring), 0);
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	unsigned fds = w->fds;

	blk_ring_free(w->ring);
	close(w->file);
	g_free(w);
	return count_fds() == fds ? 0 : -1;
}

static struct world *begin(void **state)
{
	struct world *w = *state;

	if (!w->ring)
		skip();
	return w;
}

/* Submits, and waits until n operations have ended. */
static void run(struct world *w, unsigned n)
{
	struct pollfd pfd = { .fd = blk_ring_fd(w->ring), .events = POLLIN };

	blk_ring_submit(w->ring);
	for (w->n_events = 0; w->n_events < n;) {
		unsigned got =
			blk_ring_reap(w->ring, true, w->event + w->n_events, DEPTH - w->n_events);

		w->n_events += got;
		if (!got && w->n_events < n) {
			assert_int_equal(poll(&pfd, 1, 30000), 1);
			blk_ring_awake(w->ring);
		}
	}
	assert_int_equal(w->n_events, n);
}

static void test_operations(void **state)
{
	struct world *w = begin(state);
	/* Set, because valgrind does not know what the kernel writes for a ring. */
	char a[512], b[512], c[1024] = { 0 };
	const struct iovec two[] = { { a, 512 }, { b, 512 } }, one = { c, 1024 };

	memset(a, 'a', 512);
	memset(b, 'b', 512);
	blk_ring_transfer(w->ring, true, 0, two, 2, 512, w);
	run(w, 1);
	assert_ptr_equal(w->event[0].tag, w);
	assert_int_equal(w->event[0].result, 1024);
	blk_ring_transfer(w->ring, false, 0, &one, 1, 512, c);
	run(w, 1);
	assert_ptr_equal(w->event[0].tag, c);
	assert_int_equal(w->event[0].result, 1024);
	assert_memory_equal(c, a, 512);
	assert_memory_equal(c + 512, b, 512);
	blk_ring_sync(w->ring, 0, NULL);
	run(w, 1);
	assert_int_equal(w->event[0].result, 0);
	blk_ring_allocate(w->ring, 0, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 512, 512, NULL);
	run(w, 1);
	assert_int_equal(w->event[0].result, 0);
	assert_int_equal(pread(w->file, c, 1024, 512), 1024);
	assert_int_equal(c[0], 0);
	assert_int_equal(c[512], 'b');
	/* The file that there is not. */
	blk_ring_sync(w->ring, 1, NULL);
	run(w, 1);
	assert_int_equal(w->event[0].result, -EBADF);
}

/* As many as it was made for, prepared in one go, with lists that need not last. */
static void test_many(void **state)
{
	g_autofree char *data = g_malloc(SIZE), *is = g_malloc(SIZE);
	g_autofree bool *seen = g_new0(bool, DEPTH);
	struct world *w = begin(state);

	for (unsigned i = 0; i < SIZE; i++)
		data[i] = i / 512 * 3 + i;
	for (unsigned i = 0; i < DEPTH; i++) {
		char *at = data + i * 512;
		const struct iovec iov[] = { { at, 100 }, { at + 100, 1 }, { at + 101, 411 } };

		blk_ring_transfer(w->ring, true, 0, iov, 3, i * 512, at);
	}
	run(w, DEPTH);
	for (unsigned i = 0; i < DEPTH; i++) {
		unsigned which = ((char *)w->event[i].tag - data) / 512;

		assert_int_equal(w->event[i].result, 512);
		assert_false(seen[which]);
		seen[which] = true;
	}
	assert_int_equal(pread(w->file, is, SIZE, 0), SIZE);
	assert_memory_equal(is, data, SIZE);
}

/* The fd of the ring itself. */
static int find_uring(void)
{
	char link[64];

	for (int fd = 0; fd < 100; fd++) {
		g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
		ssize_t n = readlink(path, link, sizeof(link) - 1);

		if (n > 0 && g_str_has_prefix((link[n] = 0, link), "anon_inode:[io_uring]"))
			return fd;
	}
	return -1;
}

/* Who takes the program over gets nowhere with it: no other files, no buffers, no new ring. */
static void test_restricted(void **state)
{
	struct world *w = begin(state);
	struct io_uring_files_update update = { .fds = (uintptr_t)&w->file };
	struct iovec iov = { w, sizeof(*w) };
	int uring = find_uring();

	assert_true(uring >= 0);
	assert_int_equal(
		io_uring_register(uring, IORING_REGISTER_FILES_UPDATE, &update, 1), -EACCES);
	assert_int_equal(io_uring_register(uring, IORING_REGISTER_BUFFERS, &iov, 1), -EACCES);
	assert_int_equal(io_uring_register(uring, IORING_REGISTER_PERSONALITY, NULL, 0), -EACCES);
	assert_int_not_equal(io_uring_register(uring, IORING_UNREGISTER_FILES, NULL, 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_operations),
		TEST(test_many),
		TEST(test_restricted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
