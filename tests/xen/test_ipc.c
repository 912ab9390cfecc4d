/* SPDX-License-Identifier: Apache-2.0 */
/* Records and fds between supervisor and worker, and what comes of wrong ones. */
#include "tests/lib/test.h"

#include <sys/eventfd.h>

#include "base/sock.h"
#include "base/util.h"
#include "xen/ipc.h"

struct ipc_test {
	int pair[2];
	unsigned n_fds;
};

static int setup(void **state)
{
	struct ipc_test *w = g_new0(struct ipc_test, 1);

	w->n_fds = count_fds();
	if (!sock_pair_records(w->pair))
		return -1;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct ipc_test *w = *state;

	fd_close(&w->pair[0]);
	fd_close(&w->pair[1]);
	assert_int_equal(count_fds(), w->n_fds);
	g_free(w);
	return 0;
}

static void test_record(void **state)
{
	struct ipc_test *w = *state;
	struct ipc_command command = { .type = IPC_ADD, .add = { .device = 7, .name = "3/0" } };
	int event = eventfd(0, EFD_CLOEXEC), fds[IPC_MAX_FDS];
	struct ipc_command got = { 0 };
	unsigned n_fds = 99;
	eventfd_t n;

	assert_int_equal(ipc_receive(w->pair[1], &got, sizeof(got), fds, &n_fds), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(n_fds, 0);
	assert_true(
		ipc_send(w->pair[0], &command, sizeof(command), (int[]){ event, w->pair[0] }, 2));
	command.add.device = 8;
	assert_true(ipc_send(w->pair[0], &command, sizeof(command), NULL, 0));
	assert_int_equal(ipc_receive(w->pair[1], &got, sizeof(got), fds, &n_fds), 1);
	assert_int_equal(n_fds, 2);
	assert_int_equal(got.type, IPC_ADD);
	assert_int_equal(got.add.device, 7);
	assert_string_equal(got.add.name, "3/0");
	assert_int_equal(eventfd_write(fds[0], 5), 0);
	assert_int_equal(eventfd_read(event, &n), 0);
	assert_int_equal(n, 5);
	close(fds[0]);
	close(fds[1]);
	close(event);
	assert_int_equal(ipc_receive(w->pair[1], &got, sizeof(got), fds, &n_fds), 1);
	assert_int_equal(got.add.device, 8);
	assert_int_equal(n_fds, 0);
}

/* Neither shorter nor longer ones, nor more fds: and the next one is whole again. */
static void test_wrong_record(void **state)
{
	struct ipc_test *w = *state;
	struct ipc_request request = { .type = IPC_DIAL }, got = { 0 };
	uint8_t bytes[sizeof(request) + 100] = { 0 };
	int fds[IPC_MAX_FDS], many[IPC_MAX_FDS + 1];
	unsigned n_fds;

	for (unsigned i = 0; i < G_N_ELEMENTS(many); i++)
		many[i] = w->pair[0];
	for (unsigned i = 0; i < 4; i++) {
		static const size_t sizes[] = { 1, sizeof(request) - 1, sizeof(request) + 1,
			sizeof(bytes) };

		assert_true(ipc_send(w->pair[0], bytes, sizes[i], many, 2));
		assert_int_equal(ipc_receive(w->pair[1], &got, sizeof(got), fds, &n_fds), -1);
		assert_int_equal(errno, EPROTO);
		assert_int_equal(n_fds, 0);
	}
	assert_true(ipc_send(w->pair[0], &request, sizeof(request), many, IPC_MAX_FDS + 1));
	assert_int_equal(ipc_receive(w->pair[1], &got, sizeof(got), fds, &n_fds), -1);
	assert_int_equal(errno, EPROTO);
	assert_int_equal(n_fds, 0);
	assert_int_equal(count_fds(), w->n_fds + 2);
	assert_true(ipc_send(w->pair[0], &request, sizeof(request), NULL, 0));
	assert_int_equal(ipc_receive(w->pair[1], &got, sizeof(got), fds, &n_fds), 1);
	assert_int_equal(got.type, IPC_DIAL);
}

static void test_full_and_gone(void **state)
{
	struct ipc_test *w = *state;
	struct ipc_command command = { .type = IPC_COUNTERS };
	int fds[IPC_MAX_FDS];
	unsigned n_fds, n = 0;

	while (n < 100000 && ipc_send(w->pair[0], &command, sizeof(command), NULL, 0))
		n++;
	assert_int_equal(errno, EAGAIN);
	/* A guest's worth of devices always fits. */
	assert_true(n >= 2 * IPC_MAX_DEVICES);
	fd_close(&w->pair[0]);
	while (ipc_receive(w->pair[1], &command, sizeof(command), fds, &n_fds) > 0)
		n--;
	assert_int_equal(n, 0);
	assert_int_equal(ipc_receive(w->pair[1], &command, sizeof(command), fds, &n_fds), 0);
	assert_false(ipc_send(w->pair[1], &command, sizeof(command), NULL, 0));
	assert_int_equal(errno, EPIPE);
}

#define CALLS 200

static void *supervise(void *opaque)
{
	int fd = *(int *)opaque, fds[IPC_MAX_FDS];
	struct ipc_request request;
	unsigned n_fds, n = 0;

	while (n < 2 * CALLS) {
		struct ipc_reply reply = { 0 };

		poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, -1);
		if (ipc_receive(fd, &request, sizeof(request), fds, &n_fds) <= 0)
			continue;
		/* Of a file that comes along, the same as of what it asks for. */
		reply.err = request.queue + n_fds;
		fds_close(fds, n_fds);
		memset(reply.text, 'x', sizeof(reply.text));
		while (!ipc_send(fd, &reply, sizeof(reply), &fd, request.which))
			poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1);
		n++;
	}
	return NULL;
}

struct caller {
	struct ipc_client *client;
	unsigned first, wrong;
};

static void *call(void *opaque)
{
	struct caller *c = opaque;

	for (unsigned i = 0; i < CALLS; i++) {
		struct ipc_request request = {
			.type = IPC_EVENTFD, .queue = c->first + i, .which = i % 2
		};
		struct ipc_reply reply;
		int fds[IPC_MAX_FDS];
		unsigned n_fds;

		if (!ipc_call_with(
			    c->client, &request, i % 3 ? -1 : STDIN_FILENO, &reply, fds, &n_fds) ||
			reply.err != (int)(request.queue + !(i % 3)) || n_fds != i % 2 ||
			strlen(reply.text) != sizeof(reply.text) - 1)
			c->wrong++;
		for (unsigned k = 0; k < n_fds; k++)
			close(fds[k]);
	}
	return NULL;
}

/* Two threads ask at a time: each gets its own answer. */
static void test_client(void **state)
{
	struct ipc_test *w = *state;
	struct ipc_client *client = ipc_client_new(fd_steal(&w->pair[1]));
	struct caller a = { client, 0 }, b = { client, 1000 };
	struct ipc_request request = { .type = IPC_EVENTFD };
	pthread_t thread[3];
	struct ipc_reply reply;
	int fds[IPC_MAX_FDS];
	unsigned n_fds;

	assert_int_equal(pthread_create(&thread[0], NULL, supervise, &w->pair[0]), 0);
	assert_int_equal(pthread_create(&thread[1], NULL, call, &a), 0);
	assert_int_equal(pthread_create(&thread[2], NULL, call, &b), 0);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(a.wrong, 0);
	assert_int_equal(b.wrong, 0);
	fd_close(&w->pair[0]);
	assert_false(ipc_call(client, &request, &reply, fds, &n_fds));
	assert_int_equal(n_fds, 0);
	ipc_client_free(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_record),
		TEST(test_wrong_record),
		TEST(test_full_and_gone),
		TEST(test_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
