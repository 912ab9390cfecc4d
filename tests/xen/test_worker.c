/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's devices: traps, commands, give-up, and that neither side notices a replacement. */
#include "worker_fixture.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

static bool is_worker; /* this process */

/* Fails in a worker that is out of memory, else does what the C library's does. */
ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	if (is_worker && fake_host && __atomic_load_n(&fake_host->no_memory, __ATOMIC_RELAXED)) {
		__atomic_fetch_add(&fake_host->unreceived, 1, __ATOMIC_RELAXED);
		errno = ENOMEM;
		return -1;
	}
	return syscall(SYS_recvmsg, fd, msg, flags);
}

static bool is_confined(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/status", pid);
	g_autofree char *status = NULL;

	assert_true(g_file_get_contents(path, &status, NULL, NULL));
	return strstr(status, "NoNewPrivs:\t1");
}

static void test_life(void **state)
{
	struct worker_test *w = *state;
	struct kept_device *k = &w->device[0];
	unsigned tables;

	worker_start(w);
	worker_add(w, 0, false, 0, 42);
	assert_int_equal(worker_event(w).type, IPC_READY);
	assert_true(is_confined(w->pid));
	assert_int_equal(fake_host->restricted, 2);
	assert_int_equal(guest_read(w, 0, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(guest_read(w, 0, VIRTIO_MMIO_DEVICE_ID), 42);
	guest_drive(w, 0, RAM, 0);
	assert_true(fake_ring(k->peer, 0).enabled);
	assert_int_equal(worker_regions(w, 0), 1);
	assert_true(worker_region(w, 0, 0).guest_addr == RAM &&
		worker_region(w, 0, 0).size == RAM_SIZE);
	assert_int_equal(worker_region(w, 0, 0).xen_flags, 1);
	assert_int_equal(worker_region(w, 0, 0).xen_domid, DOMID);
	assert_true(fake_ring(k->peer, 0).addr.desc == RAM);
	/* Kicks and calls, by user space. */
	guest_write(w, 0, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	WAIT_UNTIL(fake_ring(k->peer, 0).kicks >= 1);
	fake_call(k->peer, 0);
	WAIT_UNTIL(guest_irqs(0) == 1);
	assert_int_equal(guest_read(w, 0, VIRTIO_MMIO_INTERRUPT_STATUS) & 1, 1);
	/* Pages have left the guest: the table comes again, then the answer. */
	tables = worker_tables(w, 0);
	guest_post_type(w, 1, IOREQ_INVALIDATE, 0, 4, true, UINT64_MAX);
	guest_wait(w, 1);
	assert_int_equal(worker_tables(w, 0), tables + 1);
	/* Xen informs all servers; once is enough. */
	guest_post_type(w, VCPUS + 1, IOREQ_INVALIDATE, 0, 4, true, UINT64_MAX);
	guest_wait(w, VCPUS + 1);
	assert_int_equal(worker_tables(w, 0), tables + 1);
	/* A kick that the kernel does not know may come through the second. */
	guest_post(w, VCPUS, BASE + VIRTIO_MMIO_QUEUE_NOTIFY, 4, true, 0);
	guest_wait(w, VCPUS);
	WAIT_UNTIL(fake_ring(k->peer, 0).kicks >= 2);
	worker_command(w, &(struct ipc_command){ .type = IPC_COUNTERS }, NULL, 0);
	worker_command(w, &(struct ipc_command){ .type = IPC_REMOVE, .device = 0 }, NULL, 0);
	assert_int_equal(worker_event(w).type, IPC_REMOVED);
	assert_false(fake_ring(k->peer, 0).enabled);
	worker_quit(w);
}

static void test_grants(void **state)
{
	struct worker_test *w = *state;
	struct kept_device *k = &w->device[1];

	worker_start(w);
	worker_add(w, 1, true, 0, 0);
	guest_drive(w, 1, GRANTS + 0x8000, 0);
	assert_int_equal(worker_regions(w, 1), 3);
	assert_true(worker_region(w, 1, 0).guest_addr == GRANTS &&
		worker_region(w, 1, 0).size == 0x8000);
	assert_int_equal(worker_region(w, 1, 0).xen_flags, 0xa);
	assert_true(worker_region(w, 1, 1).guest_addr == GRANTS + 0x8000 &&
		worker_region(w, 1, 1).size == 0x3000);
	assert_int_equal(worker_region(w, 1, 1).xen_flags, 0x2);
	assert_true(worker_region(w, 1, 2).guest_addr == GRANTS + 0xb000);
	assert_true(fake_ring(k->peer, 0).enabled);
	/* The driver goes: then the rings are no longer to be mapped. */
	guest_write(w, 1, VIRTIO_MMIO_STATUS, 0);
	assert_false(fake_ring(k->peer, 0).enabled);
	worker_quit(w);
}

/* A driver that cannot grant its memory is told what its kernel needs; another one is not. */
static void test_waits_unsaid_grants(void **state)
{
	struct worker_test *w = *state;

	worker_start(w);
	for (unsigned i = 0; i < 2; i++) {
		worker_add(w, i, i == 1, 0, 0);
		guest_write(w, i, VIRTIO_MMIO_STATUS, 3);
		guest_write(w, i, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
		guest_write(w, i, VIRTIO_MMIO_DRIVER_FEATURES, 1);
		guest_write(w, i, VIRTIO_MMIO_STATUS, 0xb);
		assert_int_equal(guest_read(w, i, VIRTIO_MMIO_STATUS), i == 1 ? 3 : 0xb);
		assert_int_equal(worker_logged(w, "CONFIG_XEN_VIRTIO to grant"), i == 1);
	}
	worker_quit(w);
}

/* The device area of a packed ring is four bytes, and what follows need not be granted. */
static void test_packed(void **state)
{
	struct worker_test *w = *state;
	struct kept_device *k = &w->device[1];

	worker_start(w);
	worker_add(w, 1, true, 0, 0);
	guest_drive(w, 1, GRANTS + 0x8ff0, VU_BIT(VIRTIO_F_RING_PACKED) >> 32);
	assert_true(fake_ring(k->peer, 0).enabled);
	assert_int_equal(worker_regions(w, 1), 3);
	assert_true(worker_region(w, 1, 1).guest_addr == GRANTS + 0x8000 &&
		worker_region(w, 1, 1).size == 0x3000);
	worker_quit(w);
}

/* The kernel's: assigned at the start, deassigned at the end, and its kicks are left alone. */
static void test_kernel(void **state)
{
	struct worker_test *w = *state;
	struct kept_device *k = &w->device[0];

	k->kernel = true;
	worker_start(w);
	worker_add(w, 0, false, 0, 0);
	guest_drive(w, 0, RAM, 0);
	assert_int_equal(worker_assigned(w, 0, IPC_KICK), 1);
	assert_int_equal(worker_assigned(w, 0, IPC_CALL), 1);
	assert_int_equal(guest_read(w, 0, VIRTIO_MMIO_INTERRUPT_STATUS) & 1, 1);
	worker_kill(w);
	assert_int_equal(worker_assigned(w, 0, IPC_KICK), 1);
	worker_start(w);
	worker_add(w, 0, false, 0, 0);
	assert_int_equal(guest_read(w, 0, VIRTIO_MMIO_STATUS), 0xf);
	worker_command(w, &(struct ipc_command){ .type = IPC_QUIT }, NULL, 0);
	assert_int_equal(worker_wait_end(w), 0);
	assert_int_equal(worker_assigned(w, 0, IPC_KICK), 0);
	assert_int_equal(worker_assigned(w, 0, IPC_CALL), 0);
}

/* Accesses to a device without a back-end wait; others do not; then it is an empty slot. */
static void test_give_up(void **state)
{
	struct worker_test *w = *state;

	fake_down(w->device[0].peer);
	worker_start(w);
	worker_add(w, 0, false, 1500, 0);
	worker_add(w, 1, false, 0, 0);
	guest_post(w, 1, BASE + VIRTIO_MMIO_DEVICE_ID, 4, false, 0);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(guest_read(w, 1, VIRTIO_MMIO_DEVICE_ID), 42);
	assert_int_equal(guest_wait(w, 1), 0);
	assert_int_equal(worker_event(w).type, IPC_READY);
	assert_int_equal(worker_event(w).type, IPC_GIVEN_UP);
	assert_int_equal(guest_read(w, 0, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	worker_quit(w);
}

/* The toolstack says that it is another one: at once, however long one would wait. */
static void test_mismatch(void **state)
{
	struct worker_test *w = *state;

	worker_start(w);
	worker_add(w, 0, false, 0, 41);
	assert_int_equal(guest_read(w, 0, VIRTIO_MMIO_DEVICE_ID), 0);
	worker_quit(w);
}

/* Accesses come before the device that they are for; and to none. */
static void test_late_device(void **state)
{
	struct worker_test *w = *state;

	worker_start(w);
	guest_post(w, 0, BASE + WINDOW + VIRTIO_MMIO_DEVICE_ID, 4, false, 0);
	worker_add(w, 1, false, 0, 0);
	assert_int_equal(guest_wait(w, 0), 42);
	guest_post(w, 0, BASE + VIRTIO_MMIO_DEVICE_ID, 4, false, 0);
	assert_true(guest_wait(w, 0) == UINT64_MAX);
	worker_quit(w);
}

/* One that does not answer is removed while the other's guest goes on. */
static void test_remove_slow(void **state)
{
	struct worker_test *w = *state;

	worker_start(w);
	worker_add(w, 0, false, 0, 0);
	worker_add(w, 1, false, 0, 0);
	assert_int_equal(worker_event(w).type, IPC_READY);
	guest_drive(w, 0, RAM, 0);
	fake_quirk(w->device[0].peer, VU_GET_VRING_BASE, FAKE_SILENT);
	worker_command(w, &(struct ipc_command){ .type = IPC_REMOVE, .device = 0 }, NULL, 0);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(guest_read(w, 1, VIRTIO_MMIO_DEVICE_ID), 42);
	/* Its deadline has not come yet. */
	assert_false(test_readable(w->commands, 0));
	assert_int_equal(worker_event(w).type, IPC_REMOVED);
	worker_quit(w);
}

/* Killed at any time: registers are as they were, requests answered, the connection the same. */
static void test_takeover(void **state)
{
	struct worker_test *w = *state;
	struct kept_device *k = &w->device[0];
	GRand *rand = g_rand_new_with_seed(3);

	worker_start(w);
	worker_add(w, 0, false, 0, 0);
	guest_drive(w, 0, RAM, 0);
	for (unsigned i = 0; i < 15; i++) {
		guest_post(w, 0, BASE + VIRTIO_MMIO_QUEUE_DESC_LOW, 4, true, i);
		guest_post(w, 1, BASE + 0x104, 1, false, 0);
		test_pause(g_rand_int_range(rand, 0, 3000));
		worker_kill(w);
		worker_start(w);
		worker_add(w, 0, false, 0, 0);
		guest_wait(w, 0);
		assert_int_equal(guest_wait(w, 1), 0x14);
		assert_int_equal(guest_read(w, 0, VIRTIO_MMIO_STATUS), 0xf);
		WAIT_UNTIL(fake_ring(k->peer, 0).enabled);
		fake_call(k->peer, 0);
		WAIT_UNTIL(guest_irqs(0) > i);
	}
	pthread_mutex_lock(&k->peer->lock);
	assert_int_equal(k->peer->connections, 1);
	/* So is the record of requests in flight. */
	assert_int_equal(k->peer->areas, 1);
	assert_true(k->peer->area_fd >= 0);
	pthread_mutex_unlock(&k->peer->lock);
	worker_quit(w);
	g_rand_free(rand);
}

/*
 * What a predecessor did not read of events is not left for later: the file has room for one each.
 */
static void test_stale_events(void **state)
{
	const unsigned ports = IPC_MAX_SERVERS * VCPUS;
	struct worker_test *w = *state;

	for (unsigned i = 0; i < 2 * VCPUS; i++) {
		uint32_t port = PORT + i % VCPUS;

		assert_int_equal(send(w->events[0], &port, sizeof(port), 0), sizeof(port));
	}
	worker_start(w);
	assert_int_equal(worker_event(w).type, IPC_READY);
	worker_add(w, 0, false, 0, 0);
	assert_int_equal(guest_read(w, 0, VIRTIO_MMIO_DEVICE_ID), 42);
	/* All ports at first, then that of the one request. */
	WAIT_UNTIL(__atomic_load_n(&fake_host->unmasked, __ATOMIC_SEQ_CST) > ports);
	assert_int_equal(fake_host->unmasked, ports + 1);
	worker_quit(w);
}

/* Without a supervisor it is of no use, and ends. */
static void test_supervisor_gone(void **state)
{
	struct worker_test *w = *state;

	worker_start(w);
	worker_add(w, 0, false, 0, 0);
	assert_int_equal(guest_read(w, 0, VIRTIO_MMIO_DEVICE_ID), 42);
	shutdown(w->commands, SHUT_RDWR);
	assert_int_equal(worker_wait_end(w), 0);
}

static void test_nonsense(void **state)
{
	struct worker_test *w = *state;
	int status;

	worker_start(w);
	worker_command(w,
		&(struct ipc_command){ .type = IPC_ADD, .add = { .device = IPC_MAX_DEVICES } },
		&w->journal, 1);
	status = worker_wait_end(w);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	worker_start(w);
	worker_command(w, &(struct ipc_command){ .type = 77 }, NULL, 0);
	status = worker_wait_end(w);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

static unsigned unreceived(void)
{
	return __atomic_load_n(&fake_host->unreceived, __ATOMIC_RELAXED);
}

/* A command that cannot be received is tried again, but not all the time. */
static void test_no_memory(void **state)
{
	struct worker_test *w = *state;
	const unsigned times = 20;
	gint64 start;
	unsigned n;

	worker_start(w);
	assert_int_equal(worker_event(w).type, IPC_READY);
	__atomic_store_n(&fake_host->no_memory, true, __ATOMIC_RELAXED);
	worker_command(w, &(struct ipc_command){ .type = IPC_COUNTERS }, NULL, 0);
	WAIT_UNTIL(unreceived() > 0);
	start = g_get_monotonic_time();
	n = unreceived();
	WAIT_UNTIL(unreceived() >= n + times);
	assert_true(g_get_monotonic_time() - start >= times * G_TIME_SPAN_MILLISECOND);
	__atomic_store_n(&fake_host->no_memory, false, __ATOMIC_RELAXED);
	WAIT_UNTIL(worker_logged(w, "requests="));
	worker_quit(w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(worker, test_life),
		TEST_WITH(worker, test_grants),
		TEST_WITH(worker, test_waits_unsaid_grants),
		TEST_WITH(worker, test_packed),
		TEST_WITH(worker, test_kernel),
		TEST_WITH(worker, test_give_up),
		TEST_WITH(worker, test_mismatch),
		TEST_WITH(worker, test_late_device),
		TEST_WITH(worker, test_remove_slow),
		TEST_WITH(worker, test_takeover),
		TEST_WITH(worker, test_stale_events),
		TEST_WITH(worker, test_supervisor_gone),
		TEST_WITH(worker, test_nonsense),
		TEST_WITH(worker, test_no_memory),
	};
	int status;

	is_worker = argc == 5;
	status = worker_if_asked(argc, argv);

	return status >= 0 ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
