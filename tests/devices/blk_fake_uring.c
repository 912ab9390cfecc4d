/* SPDX-License-Identifier: Apache-2.0 */
/* See blk_fake_uring.h. */
#include "tests/lib/test.h"

#include <sys/eventfd.h>

#include "blk_fake_uring.h"

struct blk_fake_uring fake;

struct virtio_uring *virtio_uring_new(const struct virtio_uring_setup *setup, GError **error)
{
	assert_int_equal(setup->n_files, 2);
	if (!fake.forbidden) {
		/* One for all queues, of which only the first runs. */
		if (fake.event < 0)
			fake.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		return (struct virtio_uring *)&fake;
	}
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_PERM, "no ring today");
	return NULL;
}

void virtio_uring_free(struct virtio_uring *ring)
{
	if (ring)
		fd_close(&fake.event);
}

int virtio_uring_enable(struct virtio_uring *ring)
{
	return fake.never_enabled ? -EACCES : 0;
}

int virtio_uring_fd(const struct virtio_uring *ring)
{
	return fake.event;
}

void virtio_uring_awake(struct virtio_uring *ring)
{
	uint64_t count;

	assert_int_equal(read(fake.event, &count, sizeof(count)), sizeof(count));
}

bool virtio_uring_is_ready(const struct virtio_uring *ring)
{
	return fake.ended->len;
}

static void prepare(struct blk_fake_op op)
{
	g_array_append_val(fake.ops, op);
}

void virtio_uring_transfer(struct virtio_uring *ring, bool write, unsigned file,
	const struct iovec *iov, unsigned n, uint64_t offset, void *tag)
{
	struct blk_fake_op op = { write ? 'w' : 'r', .n_iov = n, .offset = offset, .tag = tag };

	for (unsigned i = 0; i < n; i++)
		op.len += iov[i].iov_len;
	prepare(op);
}

void virtio_uring_sync(struct virtio_uring *ring, unsigned file, void *tag)
{
	prepare((struct blk_fake_op){ 's', .tag = tag });
}

void virtio_uring_allocate(struct virtio_uring *ring, unsigned file, int mode, uint64_t offset,
	uint64_t len, void *tag)
{
	prepare((struct blk_fake_op){
		'a', .mode = mode, .offset = offset, .len = len, .tag = tag });
}

void virtio_uring_submit(struct virtio_uring *ring)
{
	for (unsigned i = 0; i < fake.ops->len; i++)
		g_array_index(fake.ops, struct blk_fake_op, i).submitted = true;
}

unsigned virtio_uring_reap(
	struct virtio_uring *ring, bool fetch, struct virtio_uring_event *event, unsigned max)
{
	unsigned n = MIN(fake.ended->len, max);

	if (n) {
		memcpy(event, fake.ended->data, n * sizeof(*event));
		g_array_remove_range(fake.ended, 0, n);
	}
	return n;
}

const struct blk_fake_op *op(unsigned i)
{
	assert_true(i < fake.ops->len);
	assert_true(g_array_index(fake.ops, struct blk_fake_op, i).submitted);
	return &g_array_index(fake.ops, struct blk_fake_op, i);
}

void end(struct kit_core *c, int result)
{
	struct virtio_uring_event event = { op(0)->tag, result };
	uint64_t one = 1;

	g_array_append_val(fake.ended, event);
	g_array_remove_index(fake.ops, 0);
	assert_int_equal(write(fake.event, &one, sizeof(one)), sizeof(one));
	assert_true(kit_core_step(c, 30000));
	blk_reap(c);
}

int setup(void **state)
{
	fake = (struct blk_fake_uring){
		.event = -1,
		.ops = g_array_new(FALSE, TRUE, sizeof(struct blk_fake_op)),
		.ended = g_array_new(FALSE, TRUE, sizeof(struct virtio_uring_event)),
	};
	if (image_setup(state))
		return -1;
	((struct kit_core *)*state)->n_queues = 1;
	return 0;
}

int teardown(void **state)
{
	int result = kit_core_teardown(state);

	g_array_free(fake.ops, TRUE);
	g_array_free(fake.ended, TRUE);
	return result;
}
