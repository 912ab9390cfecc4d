/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept for a guest: conflicts, hostile workers, and that nothing of it stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/util.h"
#include "virtio/probe.h"
#include "fake_xen.h"
#include "tests/lib/leak.h"
#include "xen/supervisor/broker.h"

#define BASE UINT64_C(0x2000000)

struct world {
	struct broker *broker;
	unsigned n_fds, lines;
	/* Of the last answer. */
	struct ipc_reply reply;
	int fds[IPC_MAX_FDS];
	unsigned n;
};

static void on_line(enum log_level level, const char *line, void *opaque)
{
	struct world *w = opaque;

	w->lines++;
}

static struct broker *make(GError **error)
{
	return broker_new(
		&(struct broker_config){
			.domid = 3, .name = "web", .max_memory = 128 << 20, .eventfds = true },
		error);
}

static int setup(void **state)
{
	struct world *w = g_new0(struct world, 1);

	fake_xen_reset();
	w->n_fds = count_fds();
	log_set_sink(on_line, w);
	w->broker = make(NULL);
	assert_non_null(w->broker);
	*state = w;
	return 0;
}

static void close_answer(struct world *w)
{
	while (w->n > 0)
		fd_close(&w->fds[--w->n]);
}

static int teardown(void **state)
{
	struct world *w = *state;

	close_answer(w);
	broker_free(w->broker);
	assert_true(fake_xen_is_empty());
	fake_xen_reset();
	log_set_sink(NULL, NULL);
	assert_int_equal(count_fds(), w->n_fds);
	g_free(w);
	return 0;
}

static bool add(struct world *w, uint64_t base, uint32_t irq, bool grants, GError **error)
{
	g_autofree char *name = g_strdup_printf("device at %u", irq);
	const struct broker_device_config config = {
		.name = name,
		.base = base,
		.irq = irq,
		.grants = grants,
		.wait_ms = 1500,
		.queue_size = 64,
		.device_id = 4,
	};
	unsigned device;

	return broker_add(
		w->broker, &config, backend_process_new(NULL, NULL, NULL), &device, error);
}

static int ask_with(struct world *w, struct ipc_request request, int file)
{
	close_answer(w);
	if (file >= 0)
		w->fds[w->n++] = fcntl(file, F_DUPFD_CLOEXEC, 0);
	if (!broker_answer(w->broker, &request, &w->reply, w->fds, &w->n))
		return -1;
	/* An error comes alone, all else with something or without errors. */
	assert_true(w->n == 0 || w->reply.err == 0);
	return w->reply.err;
}

static int ask(struct world *w, struct ipc_request request)
{
	return ask_with(w, request, -1);
}

static void assert_conflict(struct world *w, uint64_t base, uint32_t irq, const char *text)
{
	g_autoptr(GError) error = NULL;

	assert_false(add(w, base, irq, false, &error));
	assert_non_null(strstr(error->message, text));
}

static void test_conflicts(void **state)
{
	struct world *w = *state;
	unsigned empty;

	assert_true(add(w, BASE, 33, false, NULL));
	assert_conflict(w, BASE, 34, "overlaps device at 33");
	assert_conflict(w, BASE + 0x1ff, 34, "overlaps");
	assert_conflict(w, BASE - 0x1ff, 34, "overlaps");
	assert_conflict(w, BASE + 0x200, 33, "irq 33: device at 33 has it");
	assert_conflict(w, UINT64_MAX - 0x100, 34, "beyond");
	assert_true(broker_add_empty(w->broker, BASE + 0x400, &empty, NULL));
	assert_conflict(w, BASE + 0x400, 34, "overlaps a refused device");
	assert_false(broker_add_empty(w->broker, BASE, &empty, NULL));
	assert_true(add(w, BASE + 0x200, 34, true, NULL));
	assert_int_equal(fake_xen.ranges, 3);
	assert_int_equal(fake_xen.backends, 2);
	/* What is free again can be had again. */
	broker_remove(w->broker, 0);
	assert_int_equal(fake_xen.ranges, 2);
	assert_true(add(w, BASE, 33, false, NULL));
}

static void test_too_many(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < IPC_MAX_DEVICES; i++)
		assert_true(add(w, BASE + 0x200 * i, 33 + i, false, NULL));
	assert_conflict(w, BASE + 0x200 * IPC_MAX_DEVICES, 99, "more than 32 devices");
}

static void test_describe(void **state)
{
	struct world *w = *state;
	struct ipc_command command;
	int fds[IPC_MAX_FDS];
	unsigned n, empty;
	struct stat st;

	assert_true(add(w, BASE, 33, false, NULL));
	assert_true(add(w, BASE + 0x200, 34, true, NULL));
	assert_true(broker_add_empty(w->broker, BASE + 0x400, &empty, NULL));
	broker_describe_guest(w->broker, &command, fds, &n);
	assert_int_equal(command.type, IPC_GUEST);
	assert_string_equal(command.guest.name, "web");
	assert_int_equal(command.guest.domid, 3);
	assert_int_equal(command.guest.vcpus, FAKE_VCPUS);
	assert_int_equal(command.guest.servers, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(command.guest.server[i].id, i);
		assert_int_equal(command.guest.server[i].port[0], FAKE_PORT + 2 * i);
		assert_int_equal(command.guest.server[i].port[1], FAKE_PORT + 2 * i + 1);
	}
	assert_int_equal(command.guest.banks, 1);
	assert_int_equal(command.guest.bank[0].size, 128 << 20);
	assert_int_equal(n, 3);
	fstat(fds[2], &st);
	assert_int_equal(st.st_size, 2 * sizeof(struct ipc_journal));
	/* A worker cannot take memory away under its successor. */
	assert_int_equal(ftruncate(fds[2], 0), -1);

	assert_true(broker_describe_device(w->broker, 0, &command, fds, &n));
	assert_int_equal(command.type, IPC_ADD);
	assert_int_equal(command.add.device, 0);
	assert_int_equal(command.add.base, BASE);
	assert_int_equal(command.add.window, 0x200);
	assert_int_equal(command.add.irq, 33);
	assert_int_equal(command.add.wait_ms, 1500);
	assert_int_equal(command.add.queue_size, 64);
	assert_int_equal(n, 1);
	assert_int_equal(ftruncate(fds[0], 1 << 20), -1);
	assert_true(broker_describe_device(w->broker, 1, &command, fds, &n));
	assert_int_equal(command.add.grants, 1);
	assert_int_equal(n, 2);
	assert_false(broker_describe_device(w->broker, empty, &command, fds, &n));
	assert_false(broker_describe_device(w->broker, 9, &command, fds, &n));
}

static void test_dial(void **state)
{
	struct world *w = *state;
	struct ipc_request dial = { .type = IPC_DIAL };

	fake_xen.rule_device_id = 26;
	assert_true(add(w, BASE, 33, false, NULL));
	fake_xen.unreachable = true;
	assert_int_equal(ask(w, dial), EAGAIN);
	assert_string_equal(w->reply.text, "fake back-end: not there");
	fake_xen.unreachable = false;
	assert_int_equal(ask(w, dial), 0);
	assert_int_equal(w->n, 3);
	assert_int_equal(w->reply.kept, 0);
	/* The rule's, but not against the toolstack's. */
	assert_int_equal(w->reply.queues, 7);
	assert_int_equal(w->reply.packed, CHOICE_OFF);
	assert_int_equal(w->reply.config_size, -1);
	assert_int_equal(w->reply.device_id, 4);
	/* A successor gets the same. */
	assert_int_equal(ask(w, dial), 0);
	assert_int_equal(w->n, 2);
	assert_int_equal(w->reply.kept, 1);
	assert_int_equal(fake_xen.connects, 2);
	dial.fresh = 1;
	assert_int_equal(ask(w, dial), 0);
	assert_int_equal(w->reply.kept, 0);
	assert_int_equal(fake_xen.connects, 3);
	/* One that the back-end has left is of no use. */
	dial.fresh = 0;
	fd_close(&fake_xen.peer[1]);
	assert_int_equal(ask(w, dial), 0);
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
	struct world *w = *state;
	autofd first = memfd_create("first", MFD_CLOEXEC);
	autofd second = memfd_create("second", MFD_CLOEXEC);
	autofd event = eventfd(0, EFD_CLOEXEC);
	unsigned n_fds;

	assert_true(add(w, BASE, 33, false, NULL));
	assert_int_equal(ask(w, keep), ENOENT);
	n_fds = count_fds();
	assert_int_equal(ask_with(w, keep, first), 0);
	assert_int_equal(ask_with(w, keep, second), 0);
	assert_int_equal(count_fds(), n_fds + 1);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(ask(w, keep), 0);
		assert_int_equal(w->n, 1);
		assert_true(inode(w->fds[0]) == inode(second));
	}
	close_answer(w);
	/* What is none, or comes with anything else, makes no sense; what is there stays. */
	assert_int_equal(ask_with(w, keep, event), -1);
	assert_int_equal(ask_with(w, (struct ipc_request){ .type = IPC_DIAL }, first), -1);
	assert_int_equal(ask_with(w, (struct ipc_request){ .type = 99 }, first), -1);
	assert_int_equal(count_fds(), n_fds + 1);
	assert_int_equal(ask(w, keep), 0);
	assert_true(inode(w->fds[0]) == inode(second));
	close_answer(w);
	/* It goes with the device. */
	broker_remove(w->broker, 0);
	assert_true(add(w, BASE, 33, false, NULL));
	assert_int_equal(ask(w, keep), ENOENT);
}

static void test_eventfds(void **state)
{
	struct world *w = *state;
	struct ipc_request get = { .type = IPC_EVENTFD, .queue = 5, .which = IPC_CALL };
	struct ipc_request assign = { .type = IPC_ASSIGN, .queue = 5, .which = IPC_CALL, .on = 1 };
	eventfd_t value = 0;
	autofd first = -1;

	assert_true(add(w, BASE, 33, false, NULL));
	assert_int_equal(ask(w, assign), ENOENT);
	assert_int_equal(ask(w, get), 0);
	assert_int_equal(w->n, 1);
	first = fcntl(w->fds[0], F_DUPFD_CLOEXEC, 0);
	/* The same one each time. */
	assert_int_equal(ask(w, get), 0);
	assert_int_equal(eventfd_write(first, 3), 0);
	assert_int_equal(eventfd_read(w->fds[0], &value), 0);
	assert_int_equal(value, 3);
	assert_int_equal(ask(w, assign), 0);
	assert_int_equal(ask(w, assign), 0);
	assert_int_equal(fake_xen.irqfds, 1);
	assert_int_equal(fake_xen.assigns, 1);
	get.which = assign.which = IPC_KICK;
	assert_int_equal(ask(w, assign), ENOENT);
	assert_int_equal(ask(w, get), 0);
	assert_int_equal(ask(w, assign), 0);
	assert_int_equal(fake_xen.ioeventfds, 1);
	assert_int_equal(broker_assigned(w->broker), 2);
	/* Kicks have a server of their own, from the first one that the kernel has. */
	assert_int_equal(fake_xen.kick_ranges, 1);
	assign.on = 0;
	assert_int_equal(ask(w, assign), 0);
	assert_int_equal(fake_xen.kick_ranges, 0);
	assert_int_equal(ask(w, assign), 0);
	assert_int_equal(fake_xen.ioeventfds, 0);
	/* The other one goes with the device. */
	broker_remove(w->broker, 0);
	assert_int_equal(fake_xen.irqfds, 0);
}

/* Xen would ask the server of the registers for kicks, too. */
static void test_backwards(void **state)
{
	struct world *w = *state;
	struct ipc_request request = { .type = IPC_EVENTFD };

	g_clear_pointer(&w->broker, broker_free);
	fake_xen.backwards = true;
	w->broker = make(NULL);
	assert_int_equal(w->lines, 1);
	assert_true(add(w, BASE, 33, false, NULL));
	assert_int_equal(ask(w, request), 0);
	request = (struct ipc_request){ .type = IPC_ASSIGN, .on = 1 };
	assert_int_equal(ask(w, request), EOPNOTSUPP);
}

static void test_no_kernel(void **state)
{
	struct world *w = *state;
	struct ipc_request request = { .type = IPC_EVENTFD };

	assert_true(add(w, BASE, 33, false, NULL));
	assert_int_equal(ask(w, request), 0);
	request = (struct ipc_request){ .type = IPC_ASSIGN, .on = 1 };
	/* An error of this one, which is said, is not for all. */
	fake_xen.assign_errno = EBUSY;
	assert_int_equal(ask(w, request), EBUSY);
	assert_int_equal(w->lines, 1);
	fake_xen.assign_errno = ENOTTY;
	assert_int_equal(ask(w, request), EOPNOTSUPP);
	assert_int_equal(w->lines, 2);
	/* It is not tried again. */
	fake_xen.assign_errno = 0;
	assert_int_equal(ask(w, request), EOPNOTSUPP);
	assert_int_equal(w->lines, 2);
}

static void test_hostile(void **state)
{
	static const struct ipc_request bad[] = {
		{ .type = 0 },
		{ .type = IPC_ASSIGN + 1 },
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
	struct world *w = *state;
	unsigned empty, n_fds;

	assert_true(add(w, BASE, 33, false, NULL));
	assert_true(broker_add_empty(w->broker, BASE + 0x400, &empty, NULL));
	assert_int_equal(empty, 1);
	n_fds = count_fds();
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_int_equal(ask(w, bad[i]), -1);
	assert_int_equal(count_fds(), n_fds);
	/* The most that it can get. */
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		assert_int_equal(
			ask(w, (struct ipc_request){ .type = IPC_EVENTFD, .queue = i }), 0);
	close_answer(w);
	assert_int_equal(count_fds(), n_fds + VIRTIO_MAX_QUEUES);
}

/* Whatever fails, nothing of it stays. */
static void test_failures(void **state)
{
	struct world *w = *state;
	unsigned n_fds, i;

	broker_free(w->broker);
	w->broker = NULL;
	n_fds = count_fds();
	for (i = 1; !w->broker; i++) {
		g_autoptr(GError) error = NULL;

		fake_xen.fail_in = i;
		w->broker = make(&error);
		assert_true(w->broker ? !error : error && fake_xen_is_empty());
		assert_true(w->broker || count_fds() == n_fds);
	}
	assert_true(i > 8);
	n_fds = count_fds();
	fake_xen.fail_in = 1;
	assert_false(add(w, BASE, 33, true, NULL)); /* gntdev */
	fake_xen.fail_in = 2;
	assert_false(add(w, BASE, 33, true, NULL)); /* range */
	assert_int_equal(fake_xen.backends, 0);
	assert_int_equal(count_fds(), n_fds);
	fake_xen.fail_in = 0;
	assert_true(add(w, BASE, 33, true, NULL));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_conflicts),
		TEST(test_too_many),
		TEST(test_describe),
		TEST(test_dial),
		TEST(test_keep),
		TEST(test_eventfds),
		TEST(test_backwards),
		TEST(test_no_kernel),
		TEST(test_hostile),
		TEST(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
