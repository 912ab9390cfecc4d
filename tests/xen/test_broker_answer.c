/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's requests to a broker, hostile ones among them. */
#include "broker_fixture.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/sock.h"
#include "base/util.h"
#include "virtio/probe.h"

static void test_dial(void **state)
{
	struct broker_test *w = *state;
	struct ipc_request dial = { .type = IPC_DIAL };

	fake_xen.rule_device_id = 26;
	assert_true(broker_test_add(w, BASE, 33, false, NULL));
	fake_xen.unreachable = true;
	assert_int_equal(broker_test_ask(w, dial), EAGAIN);
	assert_string_equal(w->reply.text, "fake back-end: not there");
	fake_xen.unreachable = false;
	assert_int_equal(broker_test_ask(w, dial), 0);
	assert_int_equal(w->n, 3);
	assert_int_equal(w->reply.kept, 0);
	/* The rule's, but not against the toolstack's. */
	assert_int_equal(w->reply.queues, 7);
	assert_int_equal(w->reply.packed, CHOICE_OFF);
	assert_int_equal(w->reply.config_size, -1);
	assert_int_equal(w->reply.device_id, 4);
	/* A successor gets the same. */
	assert_int_equal(broker_test_ask(w, dial), 0);
	assert_int_equal(w->n, 2);
	assert_int_equal(w->reply.kept, 1);
	assert_int_equal(fake_xen.connects, 2);
	dial.fresh = 1;
	assert_int_equal(broker_test_ask(w, dial), 0);
	assert_int_equal(w->reply.kept, 0);
	assert_int_equal(fake_xen.connects, 3);
	/* One that the back-end has left is of no use. */
	dial.fresh = 0;
	fd_close(&fake_xen.peer[1]);
	assert_int_equal(broker_test_ask(w, dial), 0);
	assert_int_equal(w->reply.kept, 0);
	assert_int_equal(w->n, 3);
	assert_int_equal(fake_xen.connects, 4);
}

static ino_t inode(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static void test_keep(void **state)
{
	const struct ipc_request keep = { .type = IPC_KEEP };
	struct broker_test *w = *state;
	autofd first = memfd_create("first", MFD_CLOEXEC);
	autofd second = memfd_create("second", MFD_CLOEXEC);
	autofd event = eventfd(0, EFD_CLOEXEC);
	unsigned n_fds;

	assert_true(broker_test_add(w, BASE, 33, false, NULL));
	assert_int_equal(broker_test_ask(w, keep), ENOENT);
	n_fds = count_fds();
	assert_int_equal(broker_test_ask_with(w, keep, first), 0);
	assert_int_equal(broker_test_ask_with(w, keep, second), 0);
	assert_int_equal(count_fds(), n_fds + 1);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(broker_test_ask(w, keep), 0);
		assert_int_equal(w->n, 1);
		assert_true(inode(w->fds[0]) == inode(second));
	}
	broker_test_close(w);
	/* What is none, or comes with anything else, makes no sense; what is there stays. */
	assert_int_equal(broker_test_ask_with(w, keep, event), -1);
	assert_int_equal(
		broker_test_ask_with(w, (struct ipc_request){ .type = IPC_DIAL }, first), -1);
	assert_int_equal(broker_test_ask_with(w, (struct ipc_request){ .type = 99 }, first), -1);
	assert_int_equal(count_fds(), n_fds + 1);
	assert_int_equal(broker_test_ask(w, keep), 0);
	assert_true(inode(w->fds[0]) == inode(second));
	broker_test_close(w);
	/* It goes with the device. */
	broker_remove(w->broker, 0);
	assert_true(broker_test_add(w, BASE, 33, false, NULL));
	assert_int_equal(broker_test_ask(w, keep), ENOENT);
}

/* What the back-end sends, without a file that is no memory. */
static void test_take(void **state)
{
	const struct ipc_request four = { .type = IPC_TAKE, .size = 4 };
	struct broker_test *w = *state;
	autofd memory = memfd_create("area", MFD_CLOEXEC);
	autofd event = eventfd(0, EFD_CLOEXEC);
	unsigned n_fds;

	assert_true(broker_test_add(w, BASE, 33, false, NULL));
	assert_int_equal(broker_test_ask(w, four), EPROTO);
	assert_int_equal(broker_test_ask(w, (struct ipc_request){ .type = IPC_DIAL }), 0);
	broker_test_close(w);
	n_fds = count_fds();
	for (unsigned i = 0; i < 3; i++) {
		const int fds[] = { i == 1 ? event : memory, event };

		/* A file ends what is read at once. */
		assert_int_equal(sock_send(fake_xen.peer[0], "ab", 2, fds, i == 2 ? 2 : 1, 0), 0);
		assert_int_equal(sock_send(fake_xen.peer[0], "cde", 3, NULL, 0, 0), 0);
		assert_int_equal(broker_test_ask(w, four), 0);
		assert_memory_equal(w->reply.message, "abcd", 4);
		assert_int_equal(w->n, i == 0);
		assert_true(w->n == 0 || inode(w->fds[0]) == inode(memory));
		broker_test_close(w);
		assert_int_equal(broker_test_ask(w, four), EPROTO);
		assert_int_equal(count_fds(), n_fds);
	}
	assert_int_equal(test_log_lines(), 2);
	assert_true(test_logged("the back-end sent an eventfd instead of shared memory"));
}

static void test_eventfds(void **state)
{
	struct broker_test *w = *state;
	struct ipc_request get = { .type = IPC_EVENTFD, .queue = 5, .which = IPC_CALL };
	struct ipc_request assign = { .type = IPC_ASSIGN, .queue = 5, .which = IPC_CALL, .on = 1 };
	eventfd_t value = 0;
	autofd first = -1;

	assert_true(broker_test_add(w, BASE, 33, false, NULL));
	assert_int_equal(broker_test_ask(w, assign), ENOENT);
	assert_int_equal(broker_test_ask(w, get), 0);
	assert_int_equal(w->n, 1);
	first = fcntl(w->fds[0], F_DUPFD_CLOEXEC, 0);
	/* The same one each time. */
	assert_int_equal(broker_test_ask(w, get), 0);
	assert_int_equal(eventfd_write(first, 3), 0);
	assert_int_equal(eventfd_read(w->fds[0], &value), 0);
	assert_int_equal(value, 3);
	assert_int_equal(broker_test_ask(w, assign), 0);
	assert_int_equal(broker_test_ask(w, assign), 0);
	assert_int_equal(fake_xen.irqfds, 1);
	assert_int_equal(fake_xen.assigns, 1);
	get.which = assign.which = IPC_KICK;
	assert_int_equal(broker_test_ask(w, assign), ENOENT);
	assert_int_equal(broker_test_ask(w, get), 0);
	assert_int_equal(broker_test_ask(w, assign), 0);
	assert_int_equal(fake_xen.ioeventfds, 1);
	assert_int_equal(broker_assigned(w->broker), 2);
	/* Kicks have a server of their own, from the first one that the kernel has. */
	assert_int_equal(fake_xen.kick_ranges, 1);
	assign.on = 0;
	assert_int_equal(broker_test_ask(w, assign), 0);
	assert_int_equal(fake_xen.kick_ranges, 0);
	assert_int_equal(broker_test_ask(w, assign), 0);
	assert_int_equal(fake_xen.ioeventfds, 0);
	/* The other one goes with the device. */
	broker_remove(w->broker, 0);
	assert_int_equal(fake_xen.irqfds, 0);
}

/* Xen would ask the server of the registers for kicks, too. */
static void test_backwards(void **state)
{
	struct broker_test *w = *state;
	struct ipc_request request = { .type = IPC_EVENTFD };

	g_clear_pointer(&w->broker, broker_free);
	fake_xen.backwards = true;
	w->broker = broker_test_make(NULL);
	assert_int_equal(test_log_lines(), 1);
	assert_true(broker_test_add(w, BASE, 33, false, NULL));
	assert_int_equal(broker_test_ask(w, request), 0);
	request = (struct ipc_request){ .type = IPC_ASSIGN, .on = 1 };
	assert_int_equal(broker_test_ask(w, request), EOPNOTSUPP);
}

static void test_no_kernel(void **state)
{
	struct broker_test *w = *state;
	struct ipc_request request = { .type = IPC_EVENTFD };

	assert_true(broker_test_add(w, BASE, 33, false, NULL));
	assert_int_equal(broker_test_ask(w, request), 0);
	request = (struct ipc_request){ .type = IPC_ASSIGN, .on = 1 };
	/* An error of this one, which is said, is not for all. */
	fake_xen.assign_errno = EBUSY;
	assert_int_equal(broker_test_ask(w, request), EBUSY);
	assert_int_equal(test_log_lines(), 1);
	fake_xen.assign_errno = ENOTTY;
	assert_int_equal(broker_test_ask(w, request), EOPNOTSUPP);
	assert_int_equal(test_log_lines(), 2);
	/* It is not tried again. */
	fake_xen.assign_errno = 0;
	assert_int_equal(broker_test_ask(w, request), EOPNOTSUPP);
	assert_int_equal(test_log_lines(), 2);
}

static void test_hostile(void **state)
{
	static const struct ipc_request bad[] = {
		{ .type = 0 },
		{ .type = IPC_TAKE + 1 },
		{ .type = IPC_TAKE },
		{ .type = IPC_TAKE, .size = IPC_MAX_MESSAGE + 1 },
		{ .type = UINT32_MAX },
		{ .type = IPC_DIAL, .device = 2 },
		{ .type = IPC_DIAL, .device = IPC_MAX_DEVICES },
		{ .type = IPC_DIAL, .device = UINT32_MAX },
		{ .type = IPC_DIAL, .fresh = 2 },
		{ .type = IPC_EVENTFD, .device = 1 }, /* an empty one */
		{ .type = IPC_EVENTFD, .queue = VIRTIO_MAX_QUEUES },
		{ .type = IPC_EVENTFD, .queue = UINT32_MAX },
		{ .type = IPC_EVENTFD, .which = IPC_CALL + 1 },
		{ .type = IPC_ASSIGN, .queue = VIRTIO_MAX_QUEUES, .on = 1 },
		{ .type = IPC_ASSIGN, .which = UINT32_MAX, .on = 1 },
		{ .type = IPC_ASSIGN, .on = 2 },
	};
	struct broker_test *w = *state;
	unsigned empty, n_fds;

	assert_true(broker_test_add(w, BASE, 33, false, NULL));
	assert_true(broker_add_empty(w->broker, BASE + 0x400, &empty, NULL));
	assert_int_equal(empty, 1);
	n_fds = count_fds();
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_int_equal(broker_test_ask(w, bad[i]), -1);
	assert_int_equal(count_fds(), n_fds);
	/* The most that it can get. */
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		assert_int_equal(
			broker_test_ask(w, (struct ipc_request){ .type = IPC_EVENTFD, .queue = i }),
			0);
	broker_test_close(w);
	assert_int_equal(count_fds(), n_fds + VIRTIO_MAX_QUEUES);
}

/* Whatever fails, nothing of it stays. */

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(broker, test_dial),
		TEST_WITH(broker, test_keep),
		TEST_WITH(broker, test_take),
		TEST_WITH(broker, test_eventfds),
		TEST_WITH(broker, test_backwards),
		TEST_WITH(broker, test_no_kernel),
		TEST_WITH(broker, test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
