/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See blk_ring.h.
 *
 * io_uring is a way around seccomp, so the ring is restricted to what a disk takes before it can be
 * used at all (it is made disabled): six operations, registered files only, no further
 * registrations.
 *
 * Where the kernel knows it, the ring belongs to one thread, which is the one that enables it
 * (Linux 6.0), and what completes waits for that thread to come and fetch it, instead of
 * interrupting it (6.1); the kernel sets a flag when there is something to fetch. Such a ring's own
 * fd does not wake whoever polls it, hence the eventfd.
 */
#include "daemon/devices/blk/blk_ring.h"

#include <errno.h>
#include <liburing.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/util.h"
#include "daemon/devices/blk/blk_io.h"

/*
 * Operations are told to the kernel by the few: a disk then works on the first ones while the next
 * are prepared. All of a burst in one call take less CPU time, but 32 reads of a virtual disk 15 %
 * longer; each in a call of its own is no faster than this, and takes more.
 */
#define SUBMIT_EVERY 4u
/* For lists that the kernel has not taken over yet: it has when it was told of the operation. */
#define IOVECS (SUBMIT_EVERY * BLK_STEP_IOV)

struct blk_ring {
	struct io_uring uring;
	int event; /* an eventfd */
	bool made;
	bool deferred; /* events are to be fetched */
	bool dead; /* the kernel takes nothing any more */
	struct iovec iov[IOVECS];
	unsigned n_iov;
	void *prepared[SUBMIT_EVERY]; /* tags of what is not submitted */
	unsigned n_prepared;
	void **refused; /* tags of what never will be */
	unsigned n_refused;
};

/* What a kernel knows, from the best to what all have that can restrict rings (5.10). */
static const unsigned flags[] = {
	IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	0,
};

static int set_up(struct blk_ring *ring, unsigned max)
{
	int result = -EINVAL;

	for (unsigned i = 0; i < G_N_ELEMENTS(flags) && result == -EINVAL; i++) {
		struct io_uring_params params = {
			.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | flags[i],
			.cq_entries = MAX(max, SUBMIT_EVERY),
		};

		result = io_uring_queue_init_params(SUBMIT_EVERY, &ring->uring, &params);
		ring->deferred = flags[i] & IORING_SETUP_DEFER_TASKRUN;
	}
	return result;
}

static int restrict_to_needs(struct blk_ring *ring)
{
	struct io_uring_restriction needs[] = {
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READ },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITE },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FSYNC },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FALLOCATE },
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_FIXED_FILE },
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = IOSQE_FIXED_FILE },
	};

	/* liburing 2.3 forgot to export its own function for it, and for the next one. */
	return io_uring_register(
		ring->uring.ring_fd, IORING_REGISTER_RESTRICTIONS, needs, G_N_ELEMENTS(needs));
}

struct blk_ring *blk_ring_new(const int *files, unsigned n, unsigned max, GError **error)
{
	struct blk_ring *ring = g_new0(struct blk_ring, 1);
	int result;

	ring->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ring->refused = g_new(void *, max);
	result = ring->event < 0 ? -errno : set_up(ring, max);
	ring->made = result == 0;
	if (result == 0)
		result = io_uring_register_files(&ring->uring, files, n);
	if (result == 0)
		result = io_uring_register_eventfd(&ring->uring, ring->event);
	if (result == 0)
		result = restrict_to_needs(ring);
	if (result == 0)
		return ring;
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(-result),
		"io_uring cannot be used: %s", g_strerror(-result));
	blk_ring_free(ring);
	return NULL;
}

void blk_ring_free(struct blk_ring *ring)
{
	if (!ring)
		return;
	if (ring->made)
		io_uring_queue_exit(&ring->uring);
	fd_close(&ring->event);
	g_free(ring->refused);
	g_free(ring);
}

int blk_ring_enable(struct blk_ring *ring)
{
	return io_uring_register(ring->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

int blk_ring_fd(const struct blk_ring *ring)
{
	return ring->event;
}

void blk_ring_awake(struct blk_ring *ring)
{
	uint64_t count;

	(void)!read(ring->event, &count, sizeof(count));
}

/*
 * Makes room for an operation, and its iovecs, if it has a list of them, in *kept. NULL: the ring is
 * dead.
 */
static struct io_uring_sqe *prepare(struct blk_ring *ring, void *tag, const struct iovec *iov,
	unsigned n, const struct iovec **kept)
{
	if (ring->dead) {
		ring->refused[ring->n_refused++] = tag;
		return NULL;
	}
	if (n > 1) {
		*kept = memcpy(&ring->iov[ring->n_iov], iov, n * sizeof(*iov));
		ring->n_iov += n;
	}
	ring->prepared[ring->n_prepared++] = tag;
	return io_uring_get_sqe(&ring->uring);
}

static void finish(struct blk_ring *ring, struct io_uring_sqe *sqe, void *tag)
{
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data(sqe, tag);
	if (ring->n_prepared == SUBMIT_EVERY)
		blk_ring_submit(ring);
}

void blk_ring_transfer(struct blk_ring *ring, bool write, unsigned file, const struct iovec *iov,
	unsigned n, uint64_t offset, void *tag)
{
	struct io_uring_sqe *sqe = prepare(ring, tag, iov, n, &iov);

	if (!sqe)
		return;
	if (n > 1 && write)
		io_uring_prep_writev(sqe, file, iov, n, offset);
	else if (n > 1)
		io_uring_prep_readv(sqe, file, iov, n, offset);
	else if (write)
		io_uring_prep_write(sqe, file, iov->iov_base, iov->iov_len, offset);
	else
		io_uring_prep_read(sqe, file, iov->iov_base, iov->iov_len, offset);
	finish(ring, sqe, tag);
}

void blk_ring_sync(struct blk_ring *ring, unsigned file, void *tag)
{
	struct io_uring_sqe *sqe = prepare(ring, tag, NULL, 0, NULL);

	if (!sqe)
		return;
	io_uring_prep_fsync(sqe, file, IORING_FSYNC_DATASYNC);
	finish(ring, sqe, tag);
}

void blk_ring_allocate(
	struct blk_ring *ring, unsigned file, int mode, uint64_t offset, uint64_t len, void *tag)
{
	struct io_uring_sqe *sqe = prepare(ring, tag, NULL, 0, NULL);

	if (!sqe)
		return;
	io_uring_prep_fallocate(sqe, file, mode, offset, len);
	finish(ring, sqe, tag);
}

/* Never seen, but for a filter that forbids io_uring_enter(), or a kernel without memory. */
static void give_up(struct blk_ring *ring, unsigned from, int result)
{
	log_warning(NULL, "io_uring is not used any more: %s", g_strerror(-result));
	ring->dead = true;
	for (; from < ring->n_prepared; from++)
		ring->refused[ring->n_refused++] = ring->prepared[from];
}

void blk_ring_submit(struct blk_ring *ring)
{
	unsigned done = 0;

	while (done < ring->n_prepared && !ring->dead) {
		int n = ring->deferred ? io_uring_submit_and_get_events(&ring->uring)
				       : io_uring_submit(&ring->uring);

		if (n > 0)
			done += n;
		else if (n != -EINTR)
			give_up(ring, done, n);
	}
	ring->n_prepared = 0;
	ring->n_iov = 0;
}

static bool has_more_to_fetch(const struct blk_ring *ring)
{
	return ring->deferred &&
		__atomic_load_n(ring->uring.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN;
}

bool blk_ring_is_ready(const struct blk_ring *ring)
{
	return io_uring_cq_ready(&ring->uring) || has_more_to_fetch(ring);
}

unsigned blk_ring_reap(struct blk_ring *ring, bool fetch, struct blk_event *event, unsigned max)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	if (fetch && has_more_to_fetch(ring) && !io_uring_cq_ready(&ring->uring))
		io_uring_get_events(&ring->uring);
	while (n < max && ring->n_refused)
		event[n++] = (struct blk_event){ ring->refused[--ring->n_refused], -EAGAIN };
	io_uring_for_each_cqe(&ring->uring, head, cqe)
	{
		if (n == max)
			break;
		event[n++] = (struct blk_event){ io_uring_cqe_get_data(cqe), cqe->res };
		io_uring_cq_advance(&ring->uring, 1);
	}
	return n;
}
