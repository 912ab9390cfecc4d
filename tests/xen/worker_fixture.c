/* SPDX-License-Identifier: Apache-2.0 */
/* The parts around a worker. */
#include "worker_fixture.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/fd_kind.h"
#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"
#include "xen/worker/worker.h"

static const char *program; /* of this test: the worker's, too */

/* --- the supervisor --- */

static int dial(struct kept_device *k, const struct ipc_request *r, struct ipc_reply *reply,
	int *fds, unsigned *n_fds)
{
	int pair[2];

	reply->device_id = k->device_id;
	reply->config_size = -1;
	reply->packed = CHOICE_ON;
	reply->kept = !r->fresh && k->socket >= 0;
	if (!reply->kept) {
		fd_close(&k->socket);
		fd_close(&k->channel);
		k->socket = sock_connect_now(k->path, NULL);
		if (k->socket < 0) {
			g_strlcpy(reply->text, "nobody listens", sizeof(reply->text));
			return EAGAIN;
		}
		if (!sock_pair(pair))
			return errno;
		k->channel = pair[0];
		fds[2] = pair[1];
		*n_fds = 3;
	} else {
		*n_fds = 2;
	}
	fds[0] = fcntl(k->socket, F_DUPFD_CLOEXEC, 0);
	fds[1] = fcntl(k->channel, F_DUPFD_CLOEXEC, 0);
	return 0;
}

static int take(struct kept_device *k, const struct ipc_request *r, struct ipc_reply *reply,
	int *fds, unsigned *n_fds)
{
	bool truncated = false;
	ssize_t n = sock_recv(k->socket, reply->message, r->size, fds, 1, n_fds, &truncated);

	if (*n_fds && fd_kind(fds[0]) != FD_MEMORY) {
		fd_discard(fds[0]);
		*n_fds = 0;
	}
	return n == r->size ? 0 : EPROTO;
}

static int answer(struct kept_device *k, const struct ipc_request *r, struct ipc_reply *reply,
	int *fds, unsigned *n_fds)
{
	int *event = &k->eventfd[r->queue % FAKE_QUEUES][r->which % 2];

	switch ((enum ipc_request_type)r->type) {
	case IPC_DIAL:
		return dial(k, r, reply, fds, n_fds);
	case IPC_EVENTFD:
		if (*event < 0)
			*event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		fds[0] = fcntl(*event, F_DUPFD_CLOEXEC, 0);
		*n_fds = 1;
		return 0;
	case IPC_KEEP:
		if (*n_fds) {
			fd_close(&k->area);
			k->area = fds[--*n_fds];
			return 0;
		}
		if (k->area < 0)
			return ENOENT;
		fds[(*n_fds)++] = fcntl(k->area, F_DUPFD_CLOEXEC, 0);
		return 0;
	case IPC_TAKE:
		return take(k, r, reply, fds, n_fds);
	case IPC_ASSIGN:
		if (!k->kernel)
			return EOPNOTSUPP;
		if (r->on)
			k->assigned[r->which] |= 1u << r->queue;
		else
			k->assigned[r->which] &= ~(1u << r->queue);
		return 0;
	}
	return EINVAL;
}

static void *supervise(void *opaque)
{
	struct worker_test *w = opaque;
	struct pollfd pfd[] = { { .fd = w->requests, .events = POLLIN },
		{ .fd = w->stop, .events = POLLIN } };

	for (;;) {
		struct ipc_reply reply = { 0 };
		struct ipc_request request;
		int fds[IPC_MAX_FDS];
		unsigned n_fds = 0;

		if (poll(pfd, 2, -1) < 0)
			continue;
		if (pfd[1].revents)
			return NULL;
		if (ipc_receive(w->requests, &request, sizeof(request), fds, &n_fds) <= 0)
			return NULL;
		pthread_mutex_lock(&w->lock);
		reply.err = answer(&w->device[request.device], &request, &reply, fds, &n_fds);
		pthread_mutex_unlock(&w->lock);
		ipc_send(w->requests, &reply, sizeof(reply), fds, n_fds);
		for (unsigned i = 0; i < n_fds; i++)
			close(fds[i]);
	}
}

void worker_command(
	struct worker_test *w, const struct ipc_command *o, const int *fds, unsigned n_fds)
{
	bool sent = ipc_send(w->commands, o, sizeof(*o), fds, n_fds);

	assert_true(sent || (w->faulty && errno == EPIPE));
}

struct ipc_event worker_event(struct worker_test *w)
{
	struct ipc_event o = { 0 };
	int fds[IPC_MAX_FDS];
	unsigned n_fds;

	test_wait_fd(w->commands, POLLIN);
	assert_int_equal(ipc_receive(w->commands, &o, sizeof(o), fds, &n_fds), 1);
	assert_int_equal(n_fds, 0);
	return o;
}

void worker_add(
	struct worker_test *w, unsigned i, bool grants, unsigned wait_ms, uint32_t device_id)
{
	struct ipc_command o = { .type = IPC_ADD,
		.add = { .device = i,
			.base = BASE + i * WINDOW,
			.window = WINDOW,
			.irq = 33 + i,
			.grants = grants,
			.wait_ms = wait_ms } };

	g_snprintf(o.add.name, sizeof(o.add.name), "web/%u", i);
	pthread_mutex_lock(&w->lock);
	w->device[i].device_id = device_id;
	pthread_mutex_unlock(&w->lock);
	worker_command(w, &o, (int[]){ w->device[i].state, w->privcmd }, grants ? 2 : 1);
}

void worker_start(struct worker_test *w)
{
	struct ipc_command o = { .type = IPC_GUEST,
		.guest = { .name = "web",
			.domid = DOMID,
			.vcpus = VCPUS,
			.servers = 2,
			.server = { { 0, { PORT, PORT + 1 } }, { 1, { PORT + 2, PORT + 3 } } },
			.banks = 1,
			.bank = { { RAM, RAM_SIZE } } } };
	int commands[2], requests[2];

	assert_true(sock_pair_records(commands) && sock_pair_records(requests));
	w->pid = fork();
	assert_true(w->pid >= 0);
	/* By exec, as it really is: a program that has nothing of ours. */
	if (w->pid == 0) {
		const int fds[] = { w->host, commands[1], requests[1], w->log };
		char arg[G_N_ELEMENTS(fds)][16];

		for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++) {
			fcntl(fds[i], F_SETFD, 0);
			g_snprintf(arg[i], sizeof(arg[i]), "%d", fds[i]);
		}
		execl(program, program, arg[0], arg[1], arg[2], arg[3], NULL);
		_exit(127);
	}
	close(commands[1]);
	close(requests[1]);
	w->commands = commands[0];
	w->requests = requests[0];
	assert_int_equal(pthread_create(&w->supervisor, NULL, supervise, w), 0);
	worker_command(w, &o, (int[]){ w->events[1], w->privcmd, w->journal }, 3);
}

int worker_wait_end(struct worker_test *w)
{
	eventfd_t n;
	int status = test_wait_child(w->pid);

	w->pid = 0;
	eventfd_write(w->stop, 1);
	pthread_join(w->supervisor, NULL);
	eventfd_read(w->stop, &n);
	fd_close(&w->commands);
	fd_close(&w->requests);
	return status;
}

void worker_kill(struct worker_test *w)
{
	kill(w->pid, SIGKILL);
	assert_true(WIFSIGNALED(worker_wait_end(w)));
}

void worker_quit(struct worker_test *w)
{
	worker_command(w, &(struct ipc_command){ .type = IPC_QUIT }, NULL, 0);
	assert_int_equal(worker_wait_end(w), 0);
}

unsigned worker_assigned(struct worker_test *w, unsigned device, enum ipc_eventfd which)
{
	unsigned queues;

	pthread_mutex_lock(&w->lock);
	queues = w->device[device].assigned[which];
	pthread_mutex_unlock(&w->lock);
	return queues;
}

bool worker_logged(struct worker_test *w, const char *words)
{
	char lines[16384];
	ssize_t n = pread(w->log, lines, sizeof(lines), 0);

	assert_true(n >= 0);
	return memmem(lines, (size_t)n, words, strlen(words));
}

/* --- the fixture --- */

int worker_setup(void **state)
{
	struct worker_test *w = g_new0(struct worker_test, 1);

	test_begin(&w->test);
	w->host = memfd_create("host", MFD_CLOEXEC);
	if (!fake_host_map(w->host))
		return -1;
	w->journal = memfd_create("journal", MFD_CLOEXEC);
	w->privcmd = memfd_create("privcmd", MFD_CLOEXEC);
	w->log = memfd_create("log", MFD_CLOEXEC);
	w->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->commands = w->requests = -1;
	pthread_mutex_init(&w->lock, NULL);
	if (ftruncate(w->journal, 2 * sizeof(struct ipc_journal)) < 0 ||
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, w->events) <
			0)
		return -1;
	for (unsigned i = 0; i < DEVICES; i++) {
		struct kept_device *k = &w->device[i];

		k->path = test_path(&w->test, i ? "1.sock" : "0.sock");
		k->peer = fake_new(k->path);
		k->peer->protocol |= VU_BIT(VU_F_XEN_MMAP) | VU_BIT(VU_F_INFLIGHT_SHMFD);
		fake_up(k->peer);
		k->socket = k->channel = k->area = -1;
		memset(k->eventfd, -1, sizeof(k->eventfd));
		k->state = memfd_create("state", MFD_CLOEXEC);
		if (ftruncate(k->state, IPC_STATE_SIZE) < 0)
			return -1;
	}
	*state = w;
	return 0;
}

int worker_teardown(void **state)
{
	struct worker_test *w = *state;

	if (w->pid)
		worker_kill(w);
	for (unsigned i = 0; i < DEVICES; i++) {
		struct kept_device *k = &w->device[i];

		fake_free(k->peer);
		fd_close(&k->socket);
		fd_close(&k->channel);
		fd_close(&k->area);
		fd_close(&k->state);
		for (unsigned q = 0; q < FAKE_QUEUES; q++) {
			fd_close(&k->eventfd[q][0]);
			fd_close(&k->eventfd[q][1]);
		}
	}
	fd_close(&w->events[0]);
	fd_close(&w->events[1]);
	fd_close(&w->journal);
	fd_close(&w->host);
	fd_close(&w->privcmd);
	fd_close(&w->log);
	fd_close(&w->stop);
	pthread_mutex_destroy(&w->lock);
	munmap(fake_host, sizeof(*fake_host));
	test_end(&w->test);
	g_free(w);
	return 0;
}

struct mem_region_desc worker_region(struct worker_test *w, unsigned device, unsigned i)
{
	struct fake_backend *p = w->device[device].peer;
	struct mem_region_desc r;

	pthread_mutex_lock(&p->lock);
	r = p->region[i];
	pthread_mutex_unlock(&p->lock);
	return r;
}

unsigned worker_regions(struct worker_test *w, unsigned device)
{
	struct fake_backend *p = w->device[device].peer;
	unsigned n;

	pthread_mutex_lock(&p->lock);
	n = p->n_regions;
	pthread_mutex_unlock(&p->lock);
	return n;
}

unsigned worker_tables(struct worker_test *w, unsigned device)
{
	struct fake_backend *p = w->device[device].peer;
	unsigned n;

	pthread_mutex_lock(&p->lock);
	n = p->tables;
	pthread_mutex_unlock(&p->lock);
	return n;
}

static void keep_line(enum log_level level, const char *line, void *opaque)
{
	dprintf(GPOINTER_TO_INT(opaque), "%s\n", line);
	if (level == LOG_LEVEL_ERROR || g_getenv("VIRTIOD_TEST_LOG"))
		dprintf(STDERR_FILENO, "%s\n", line);
}

static int be_worker(char **args)
{
	log_set_sink(keep_line, GINT_TO_POINTER(atoi(args[3])));
	if (!fake_host_map(atoi(args[0]))) {
		perror("the fake host");
		return 1;
	}
	/* GLib makes a lock with the first error, in a way that TSan cannot see through. */
	g_error_free(g_error_new_literal(G_FILE_ERROR, G_FILE_ERROR_FAILED, ""));
	close(atoi(args[0]));
	return worker_run(atoi(args[1]), atoi(args[2]));
}

int worker_if_asked(int argc, char **argv)
{
	program = argv[0];
	return argc == 5 ? be_worker(argv + 1) : -1;
}
