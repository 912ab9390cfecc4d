/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session of virtiod-xen's worker on the fakes of tests/xen: its guest uses a device, which then
 * leaves. A worker that ends is replaced, as the supervisor does, and the guest does not notice.
 *
 *	worker_session PRELOAD		the environment's LD_PRELOAD for the first worker
 *
 * Prints the number of the last worker's fds when it has no device, and of the workers that it
 * took.
 */
#include "tests/xen/worker_fixture.h"

#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/virtio_mmio.h>

#define LEAVE_MS 1000

struct worker_session {
	struct worker_test *w;
	pthread_t keeper;
	int stop; /* of the keeper */
	pthread_mutex_t lock; /* the worker, until it is replaced */
	unsigned workers;
};

/* Starts a worker with its device; under the lock. */
static void start(struct worker_session *s)
{
	worker_start(s->w);
	s->workers++;
	worker_add(s->w, 0, false, 0, 0);
}

static void *keep_worker(void *opaque)
{
	struct worker_session *s = opaque;
	bool stop = false;

	while (!stop) {
		int pidfd = (int)syscall(SYS_pidfd_open, s->w->pid, 0);
		struct pollfd pfd[] = { { .fd = pidfd, .events = POLLIN },
			{ .fd = s->stop, .events = POLLIN } };

		poll(pfd, 2, -1);
		stop = pfd[1].revents;
		close(pidfd);
		if (stop)
			break;
		pthread_mutex_lock(&s->lock);
		assert_int_equal(worker_wait_end(s->w), 1 << 8);
		start(s);
		pthread_mutex_unlock(&s->lock);
	}
	return NULL;
}

/* Sends a command; if the worker has ended, to the next one. */
static void command(struct worker_session *s, uint32_t type)
{
	const struct ipc_command c = { .type = type };

	pthread_mutex_lock(&s->lock);
	ipc_send(s->w->commands, &c, sizeof(c), NULL, 0);
	pthread_mutex_unlock(&s->lock);
}

/* Returns whether there is an event, and it is that. */
static bool is_event(struct worker_session *s, uint32_t type)
{
	struct ipc_event event = { 0 };
	int fds[IPC_MAX_FDS];
	unsigned n;

	pthread_mutex_lock(&s->lock);
	if (test_readable(s->w->commands, 0))
		ipc_receive(s->w->commands, &event, sizeof(event), fds, &n);
	pthread_mutex_unlock(&s->lock);
	return event.type == type;
}

/* Returns false if the device does not leave in time; a supervisor would kill the worker. */
static bool remove_device(struct worker_session *s)
{
	int64_t deadline = test_deadline(LEAVE_MS);
	unsigned workers;

	do {
		workers = s->workers;
		command(s, IPC_REMOVE);
		WAIT_UNTIL(is_event(s, IPC_REMOVED) || s->workers != workers ||
			g_get_monotonic_time() > deadline);
	} while (s->workers != workers);
	return g_get_monotonic_time() <= deadline;
}

static unsigned count_worker_fds(const struct worker_session *s)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/fd", s->w->pid);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	unsigned n = 0;

	while (dir && g_dir_read_name(dir))
		n++;
	return n;
}

/* Returns whether a kick has arrived. */
static bool kick(struct worker_test *w)
{
	guest_write(w, 0, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	return fake_ring(w->device[0].peer, 0).kicks >= 1;
}

/* Returns whether a call has reached the guest. */
static bool call(struct worker_test *w)
{
	struct fake_backend *peer = w->device[0].peer;

	pthread_mutex_lock(&peer->lock);
	if (peer->ring[0].enabled)
		eventfd_write(peer->ring[0].call, 1);
	pthread_mutex_unlock(&peer->lock);
	return guest_read(w, 0, VIRTIO_MMIO_INTERRUPT_STATUS) & 1;
}

static void use_device(struct worker_test *w)
{
	do {
		guest_drive(w, 0, RAM, 0);
	} while (guest_read(w, 0, VIRTIO_MMIO_STATUS) != 0xf);
	/* A connection that is lost takes kicks and calls with it. */
	WAIT_UNTIL(kick(w));
	WAIT_UNTIL(call(w));
	guest_post_type(w, 1, IOREQ_INVALIDATE, 0, 4, true, UINT64_MAX);
	guest_wait(w, 1);
	guest_write(w, 0, VIRTIO_MMIO_STATUS, 0);
}

/* Ends the worker; a fault may be in that. */
static void quit(struct worker_test *w)
{
	int status;

	worker_command(w, &(struct ipc_command){ .type = IPC_QUIT }, NULL, 0);
	status = worker_wait_end(w);
	assert_true(status == 0 || status == 1 << 8);
}

static void run(const char *preload)
{
	struct worker_session s = { .lock = PTHREAD_MUTEX_INITIALIZER };
	void *state;
	bool left;

	assert_int_equal(worker_setup(&state), 0);
	s.w = state;
	s.stop = eventfd(0, EFD_CLOEXEC);
	s.w->faulty = true;
	g_setenv("LD_PRELOAD", preload, TRUE);
	start(&s);
	g_unsetenv("LD_PRELOAD");
	assert_int_equal(pthread_create(&s.keeper, NULL, keep_worker, &s), 0);
	use_device(s.w);
	left = remove_device(&s);
	eventfd_write(s.stop, 1);
	pthread_join(s.keeper, NULL);
	close(s.stop);
	printf("%u %u\n", count_worker_fds(&s), s.workers + !left);
	quit(s.w);
	assert_int_equal(worker_teardown(&state), 0);
}

int main(int argc, char **argv)
{
	int status = worker_if_asked(argc, argv);

	if (status >= 0)
		return status;
	/* Outside of a test of cmocka's, a failed assertion would exit as if it were a success. */
	g_setenv("CMOCKA_TEST_ABORT", "1", TRUE);
	run(argv[1]);
	return 0;
}
