/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See uring.h.
 *
 * A ring is made disabled and restricted before it can be used at all: the operations asked for,
 * registered files only, no further registrations.
 *
 * Where the kernel supports it, the ring belongs to one thread, which is the one that enables it
 * (Linux 6.0), and what completes waits for that thread to fetch it, instead of interrupting it
 * (6.1); the kernel sets a flag when there is something to fetch. The fd of such a ring does not
 * wake who polls it, hence the eventfd.
 */
#include "daemon/uring.h"

#include <errno.h>
#include <liburing.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/util.h"

/*
 * Operations are submitted in small batches: the disk works on the first ones while the next are
 * prepared. All of a burst in one call take less CPU time, but 32 reads of a virtual disk 15 %
 * longer; each in a call of its own is no faster than this, and takes more.
 */
#define SUBMIT_EVERY 4u
/* Lists of iovecs, until the kernel has copied them, which it does at submission. */
#define IOVECS (SUBMIT_EVERY * VIRTIO_URING_MAX_IOV)

struct virtio_uring {
	struct io_uring uring;
	int event; /* an eventfd */
	bool made;
	bool deferred; /* events wait to be fetched */
	bool dead; /* the kernel takes nothing any more */
	struct iovec iov[IOVECS];
	unsigned n_iov;
	void *prepared[SUBMIT_EVERY]; /* tags of what is not submitted */
	unsigned n_prepared;
	void **refused; /* tags of what never will be */
	unsigned n_refused;
};

/* From the best to what every kernel has that can restrict rings (5.10). */
static const unsigned setup_flags[] = {
	IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	0,
};

static int set_up(struct virtio_uring *u, unsigned max)
{
	int result = -EINVAL;

	for (unsigned i = 0; i < G_N_ELEMENTS(setup_flags) && result == -EINVAL; i++) {
		struct io_uring_params params = {
			.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | setup_flags[i],
			.cq_entries = MAX(max, SUBMIT_EVERY),
		};

		result = io_uring_queue_init_params(SUBMIT_EVERY, &u->uring, &params);
		u->deferred = setup_flags[i] & IORING_SETUP_DEFER_TASKRUN;
	}
	return result;
}

#define MAX_KERNEL_OPS 2
/* The kernel's operations for each of ours; a ring needs no IORING_OP_NOP, which is 0. */
static const uint8_t kernel_ops[][MAX_KERNEL_OPS] = {
	[VIRTIO_URING_READ] = { IORING_OP_READ, IORING_OP_READV },
	[VIRTIO_URING_WRITE] = { IORING_OP_WRITE, IORING_OP_WRITEV },
	[VIRTIO_URING_SYNC] = { IORING_OP_FSYNC },
	[VIRTIO_URING_ALLOCATE] = { IORING_OP_FALLOCATE },
	[VIRTIO_URING_RECVMSG] = { IORING_OP_RECVMSG },
	[VIRTIO_URING_SENDMSG] = { IORING_OP_SENDMSG },
};

static int restrict_to(struct virtio_uring *u, const enum virtio_uring_op *op)
{
	struct io_uring_restriction needs[G_N_ELEMENTS(kernel_ops) * MAX_KERNEL_OPS + 2] = {
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_FIXED_FILE },
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = IOSQE_FIXED_FILE },
	};
	unsigned n = 2;

	for (; *op != VIRTIO_URING_END; op++) {
		for (unsigned i = 0; i < MAX_KERNEL_OPS && kernel_ops[*op][i]; i++)
			needs[n++] = (struct io_uring_restriction){
				.opcode = IORING_RESTRICTION_SQE_OP,
				.sqe_op = kernel_ops[*op][i],
			};
	}
	/* liburing 2.3 forgot to export its own function for it, and for the next one. */
	return io_uring_register(u->uring.ring_fd, IORING_REGISTER_RESTRICTIONS, needs, n);
}

struct virtio_uring *virtio_uring_new(const struct virtio_uring_setup *setup, GError **error)
{
	struct virtio_uring *u = g_new0(struct virtio_uring, 1);
	int result;

	u->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	u->refused = g_new(void *, setup->max);
	result = u->event < 0 ? -errno : set_up(u, setup->max);
	u->made = result == 0;
	if (result == 0)
		result = io_uring_register_files(&u->uring, setup->files, setup->n_files);
	if (result == 0)
		result = io_uring_register_eventfd(&u->uring, u->event);
	if (result == 0)
		result = restrict_to(u, setup->ops);
	if (result == 0)
		return u;
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(-result),
		"io_uring cannot be used: %s", g_strerror(-result));
	virtio_uring_free(u);
	return NULL;
}

void virtio_uring_free(struct virtio_uring *u)
{
	if (!u)
		return;
	if (u->made)
		io_uring_queue_exit(&u->uring);
	fd_close(&u->event);
	g_free(u->refused);
	g_free(u);
}

int virtio_uring_enable(struct virtio_uring *u)
{
	return io_uring_register(u->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

int virtio_uring_fd(const struct virtio_uring *u)
{
	return u->event;
}

void virtio_uring_awake(struct virtio_uring *u)
{
	uint64_t count;

	(void)!read(u->event, &count, sizeof(count));
}

/*
 * Makes room for an operation, and its iovecs, if it has a list of them, in *kept. NULL: the ring
 * is dead.
 */
static struct io_uring_sqe *prepare(struct virtio_uring *u, void *tag, const struct iovec *iov,
	unsigned n, const struct iovec **kept)
{
	if (u->dead) {
		u->refused[u->n_refused++] = tag;
		return NULL;
	}
	if (n > 1) {
		*kept = memcpy(&u->iov[u->n_iov], iov, n * sizeof(*iov));
		u->n_iov += n;
	}
	u->prepared[u->n_prepared++] = tag;
	return io_uring_get_sqe(&u->uring);
}

static void finish(struct virtio_uring *u, struct io_uring_sqe *sqe, void *tag)
{
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data(sqe, tag);
	if (u->n_prepared == SUBMIT_EVERY)
		virtio_uring_submit(u);
}

void virtio_uring_transfer(struct virtio_uring *u, bool write, unsigned file,
	const struct iovec *iov, unsigned n, uint64_t offset, void *tag)
{
	struct io_uring_sqe *sqe = prepare(u, tag, iov, n, &iov);

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
	finish(u, sqe, tag);
}

void virtio_uring_sync(struct virtio_uring *u, unsigned file, void *tag)
{
	struct io_uring_sqe *sqe = prepare(u, tag, NULL, 0, NULL);

	if (!sqe)
		return;
	io_uring_prep_fsync(sqe, file, IORING_FSYNC_DATASYNC);
	finish(u, sqe, tag);
}

void virtio_uring_allocate(
	struct virtio_uring *u, unsigned file, int mode, uint64_t offset, uint64_t len, void *tag)
{
	struct io_uring_sqe *sqe = prepare(u, tag, NULL, 0, NULL);

	if (!sqe)
		return;
	io_uring_prep_fallocate(sqe, file, mode, offset, len);
	finish(u, sqe, tag);
}

void virtio_uring_recvmsg(
	struct virtio_uring *u, unsigned file, struct msghdr *msg, unsigned flags, void *tag)
{
	struct io_uring_sqe *sqe = prepare(u, tag, NULL, 0, NULL);

	if (!sqe)
		return;
	io_uring_prep_recvmsg(sqe, file, msg, flags);
	finish(u, sqe, tag);
}

void virtio_uring_sendmsg(
	struct virtio_uring *u, unsigned file, const struct msghdr *msg, unsigned flags, void *tag)
{
	struct io_uring_sqe *sqe = prepare(u, tag, NULL, 0, NULL);

	if (!sqe)
		return;
	io_uring_prep_sendmsg(sqe, file, msg, flags);
	finish(u, sqe, tag);
}

/* Happens only if a filter forbids io_uring_enter(), or the kernel is out of memory. */
static void give_up(struct virtio_uring *u, unsigned from, int result)
{
	log_warning(NULL, "io_uring is not used any more: %s", g_strerror(-result));
	u->dead = true;
	for (; from < u->n_prepared; from++)
		u->refused[u->n_refused++] = u->prepared[from];
}

void virtio_uring_submit(struct virtio_uring *u)
{
	unsigned done = 0;

	while (done < u->n_prepared && !u->dead) {
		int n = u->deferred ? io_uring_submit_and_get_events(&u->uring)
				    : io_uring_submit(&u->uring);

		if (n > 0)
			done += n;
		else if (n != -EINTR)
			give_up(u, done, n);
	}
	u->n_prepared = 0;
	u->n_iov = 0;
}

static bool has_more_to_fetch(const struct virtio_uring *u)
{
	return u->deferred &&
		__atomic_load_n(u->uring.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN;
}

bool virtio_uring_is_ready(const struct virtio_uring *u)
{
	return io_uring_cq_ready(&u->uring) || has_more_to_fetch(u);
}

unsigned virtio_uring_reap(
	struct virtio_uring *u, bool fetch, struct virtio_uring_event *event, unsigned max)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	if (fetch && has_more_to_fetch(u) && !io_uring_cq_ready(&u->uring))
		io_uring_get_events(&u->uring);
	while (n < max && u->n_refused)
		event[n++] = (struct virtio_uring_event){ u->refused[--u->n_refused], -EAGAIN };
	io_uring_for_each_cqe(&u->uring, head, cqe)
	{
		if (n == max)
			break;
		event[n++] = (struct virtio_uring_event){ io_uring_cqe_get_data(cqe), cqe->res };
		io_uring_cq_advance(&u->uring, 1);
	}
	return n;
}
