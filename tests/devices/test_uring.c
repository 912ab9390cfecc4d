/* SPDX-License-Identifier: Apache-2.0 */
/* A device's io_uring, a real one: what it does, and what it refuses to do. */
#include "tests/lib/test.h"

#include <linux/falloc.h>
#include <liburing.h>
#include <sys/mman.h>

#include "base/util.h"
#include "daemon/uring.h"

#define DEPTH 400
#define SIZE (DEPTH * 512)

struct uring_test {
	unsigned fds;
	int file, pair[2];
	struct virtio_uring *ring;
	struct virtio_uring_event event[DEPTH];
	unsigned n_events;
};

static const enum virtio_uring_op all[] = { VIRTIO_URING_READ, VIRTIO_URING_WRITE,
	VIRTIO_URING_SYNC, VIRTIO_URING_ALLOCATE, VIRTIO_URING_RECVMSG, VIRTIO_URING_SENDMSG,
	VIRTIO_URING_END };

static struct virtio_uring *make(struct uring_test *w, const enum virtio_uring_op *ops)
{
	return virtio_uring_new(
		&(struct virtio_uring_setup){
			.files = (int[]){ w->file, w->pair[0], w->pair[1] },
			.n_files = 3,
			.ops = ops,
			.max = DEPTH,
		},
		NULL);
}

static int setup(void **state)
{
	struct uring_test *w = g_new0(struct uring_test, 1);

	*state = w;
	w->fds = count_fds();
	w->file = memfd_create("file", MFD_CLOEXEC);
	assert_int_equal(ftruncate(w->file, SIZE), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, w->pair), 0);
	w->ring = make(w, all);
	if (!w->ring)
		return 0; /* not here: the tests skip themselves */
	assert_int_equal(virtio_uring_enable(w->ring), 0);
	return 0;
}

static int teardown(void **state)
{
	struct uring_test *w = *state;
	unsigned fds = w->fds;

	virtio_uring_free(w->ring);
	close(w->file);
	close(w->pair[0]);
	close(w->pair[1]);
	g_free(w);
	return count_fds() == fds ? 0 : -1;
}

static struct uring_test *begin(void **state)
{
	struct uring_test *w = *state;

	if (!w->ring)
		skip();
	return w;
}

/* Submits, and waits until n operations have ended. */
static void run(struct uring_test *w, unsigned n)
{
	struct pollfd pfd = { .fd = virtio_uring_fd(w->ring), .events = POLLIN };

	virtio_uring_submit(w->ring);
	for (w->n_events = 0; w->n_events < n;) {
		unsigned got = virtio_uring_reap(
			w->ring, true, w->event + w->n_events, DEPTH - w->n_events);

		w->n_events += got;
		if (!got && w->n_events < n) {
			assert_int_equal(poll(&pfd, 1, 30000), 1);
			virtio_uring_awake(w->ring);
		}
	}
	assert_int_equal(w->n_events, n);
}

static void test_operations(void **state)
{
	struct uring_test *w = begin(state);
	/* Set, because valgrind does not know what the kernel writes for a ring. */
	char a[512], b[512], c[1024] = { 0 };
	const struct iovec two[] = { { a, 512 }, { b, 512 } }, one = { c, 1024 };

	memset(a, 'a', 512);
	memset(b, 'b', 512);
	virtio_uring_transfer(w->ring, true, 0, two, 2, 512, w);
	run(w, 1);
	assert_ptr_equal(w->event[0].tag, w);
	assert_int_equal(w->event[0].result, 1024);
	virtio_uring_transfer(w->ring, false, 0, &one, 1, 512, c);
	run(w, 1);
	assert_ptr_equal(w->event[0].tag, c);
	assert_int_equal(w->event[0].result, 1024);
	assert_memory_equal(c, a, 512);
	assert_memory_equal(c + 512, b, 512);
	virtio_uring_sync(w->ring, 0, NULL);
	run(w, 1);
	assert_int_equal(w->event[0].result, 0);
	virtio_uring_allocate(
		w->ring, 0, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 512, 512, NULL);
	run(w, 1);
	assert_int_equal(w->event[0].result, 0);
	assert_int_equal(pread(w->file, c, 1024, 512), 1024);
	assert_int_equal(c[0], 0);
	assert_int_equal(c[512], 'b');
	/* The file that there is not. */
	virtio_uring_sync(w->ring, 3, NULL);
	run(w, 1);
	assert_int_equal(w->event[0].result, -EBADF);
}

static void test_messages(void **state)
{
	struct uring_test *w = begin(state);
	char hello[] = "hello", got[16] = "";
	struct iovec out = { hello, 5 }, in = { got, sizeof(got) };
	struct msghdr send = { .msg_iov = &out, .msg_iovlen = 1 };
	struct msghdr receive = { .msg_iov = &in, .msg_iovlen = 1 };

	virtio_uring_recvmsg(w->ring, 2, &receive, 0, &receive);
	virtio_uring_sendmsg(w->ring, 1, &send, 0, &send);
	run(w, 2);
	assert_int_equal(w->event[0].result, 5);
	assert_int_equal(w->event[1].result, 5);
	assert_string_equal(got, "hello");
}

/* Operations that were not asked for. */
static void test_not_allowed(void **state)
{
	static const enum virtio_uring_op some[] = { VIRTIO_URING_READ, VIRTIO_URING_END };
	const struct iovec two[] = { { "a", 1 }, { "b", 1 } };
	struct uring_test *w = begin(state);

	virtio_uring_free(w->ring);
	w->ring = make(w, some);
	assert_int_equal(virtio_uring_enable(w->ring), 0);
	virtio_uring_transfer(w->ring, true, 0, two, 1, 0, NULL);
	virtio_uring_transfer(w->ring, true, 0, two, 2, 0, NULL);
	virtio_uring_sync(w->ring, 0, NULL);
	run(w, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(w->event[i].result, -EACCES);
}

/* As many as it was made for, prepared in one go, with lists that need not last. */
static void test_many(void **state)
{
	g_autofree char *data = g_malloc(SIZE), *is = g_malloc(SIZE);
	g_autofree bool *seen = g_new0(bool, DEPTH);
	struct uring_test *w = begin(state);

	for (unsigned i = 0; i < SIZE; i++)
		data[i] = i / 512 * 3 + i;
	for (unsigned i = 0; i < DEPTH; i++) {
		char *at = data + i * 512;
		const struct iovec iov[] = { { at, 100 }, { at + 100, 1 }, { at + 101, 411 } };

		virtio_uring_transfer(w->ring, true, 0, iov, 3, i * 512, at);
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

/* Returns the fd of the ring itself. */
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
	struct uring_test *w = begin(state);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_operations),
		TEST(test_many),
		TEST(test_messages),
		TEST(test_not_allowed),
		TEST(test_restricted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
