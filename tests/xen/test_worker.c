/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker in a process of its own, between a supervisor, a guest and its back-ends that are all
 * here: traps, commands, give-up, and that nobody notices when it is killed and replaced.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"
#include "fake_host.h"
#include "tests/lib/leak.h"
#include "tests/vmm/peer.h"
#include "vmm/vmm_dev.h"
#include "xen/worker/ioreq.h"
#include "xen/ipc.h"
#include "xen/worker/worker.h"

#define DOMID 5
#define VCPUS 2
#define PORT 100
#define BASE UINT64_C(0x2000000)
#define RAM UINT64_C(0x40000000)
#define GRANTS (UINT64_C(1) << 63)
#define DEVICES 2
#define DEADLINE_MS 30000

/* What a broker has of a device. */
struct kept_device {
	struct peer *peer;
	char *path;
	int state, socket, channel, area;
	int eventfd[PEER_QUEUES][2];
	bool kernel; /* takes eventfds */
	unsigned assigned[2];
	uint32_t device_id; /* the rule's */
};

static const char *program; /* of this test: the worker's, too */

struct world {
	unsigned n_fds;
	int host; /* fake_host's memory */
	char *dir;
	struct kept_device device[DEVICES];
	int events[2]; /* ours, the worker's */
	int journal, privcmd;
	pid_t pid;
	int commands, requests; /* our ends */
	int stop;
	pthread_t supervisor;
	pthread_mutex_t lock;
};

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
		k->socket = sock_connect(k->path, NULL);
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

static int answer(struct kept_device *k, const struct ipc_request *r, struct ipc_reply *reply,
	int *fds, unsigned *n_fds)
{
	int *event = &k->eventfd[r->queue % PEER_QUEUES][r->which % 2];

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
	struct world *w = opaque;
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

static void command(struct world *w, const struct ipc_command *o, const int *fds, unsigned n_fds)
{
	assert_true(ipc_send(w->commands, o, sizeof(*o), fds, n_fds));
}

static struct ipc_event hear(struct world *w)
{
	struct pollfd pfd = { .fd = w->commands, .events = POLLIN };
	struct ipc_event o = { 0 };
	int fds[IPC_MAX_FDS];
	unsigned n_fds;

	assert_int_equal(poll(&pfd, 1, DEADLINE_MS), 1);
	assert_int_equal(ipc_receive(w->commands, &o, sizeof(o), fds, &n_fds), 1);
	assert_int_equal(n_fds, 0);
	return o;
}

static void add(struct world *w, unsigned i, bool grants, unsigned wait_ms, uint32_t device_id)
{
	struct ipc_command o = { .type = IPC_ADD,
		.add = { .device = i,
			.base = BASE + i * 0x200,
			.window = 0x200,
			.irq = 33 + i,
			.grants = grants,
			.wait_ms = wait_ms } };

	g_snprintf(o.add.name, sizeof(o.add.name), "web/%u", i);
	pthread_mutex_lock(&w->lock);
	w->device[i].device_id = device_id;
	pthread_mutex_unlock(&w->lock);
	command(w, &o, (int[]){ w->device[i].state, w->privcmd }, grants ? 2 : 1);
}

static void start_worker(struct world *w)
{
	struct ipc_command o = { .type = IPC_GUEST,
		.guest = { .name = "web",
			.domid = DOMID,
			.vcpus = VCPUS,
			.servers = 2,
			.server = { { 0, { PORT, PORT + 1 } }, { 1, { PORT + 2, PORT + 3 } } },
			.banks = 1,
			.bank = { { RAM, 0x8000000 } } } };
	int commands[2], requests[2];

	assert_true(sock_pair_records(commands) && sock_pair_records(requests));
	w->pid = fork();
	assert_true(w->pid >= 0);
	/* By exec, as it really is: a program that has nothing of ours. */
	if (w->pid == 0) {
		char arg[3][16];

		for (unsigned i = 0; i < 3; i++) {
			int fd = i == 0 ? w->host : i == 1 ? commands[1] : requests[1];

			fcntl(fd, F_SETFD, 0);
			g_snprintf(arg[i], sizeof(arg[i]), "%d", fd);
		}
		execl(program, program, arg[0], arg[1], arg[2], NULL);
		_exit(127);
	}
	close(commands[1]);
	close(requests[1]);
	w->commands = commands[0];
	w->requests = requests[0];
	assert_int_equal(pthread_create(&w->supervisor, NULL, supervise, w), 0);
	command(w, &o, (int[]){ w->events[1], w->privcmd, w->journal }, 3);
}

/* It has ended, or will. Returns its wait status. */
static int bury(struct world *w)
{
	eventfd_t n;
	int status;

	assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
	w->pid = 0;
	eventfd_write(w->stop, 1);
	pthread_join(w->supervisor, NULL);
	eventfd_read(w->stop, &n);
	fd_close(&w->commands);
	fd_close(&w->requests);
	return status;
}

static void kill_worker(struct world *w)
{
	kill(w->pid, SIGKILL);
	assert_true(WIFSIGNALED(bury(w)));
}

static void quit_worker(struct world *w)
{
	command(w, &(struct ipc_command){ .type = IPC_QUIT }, NULL, 0);
	assert_int_equal(bury(w), 0);
}

static unsigned assigned(struct world *w, struct kept_device *k, enum ipc_eventfd which)
{
	unsigned queues;

	pthread_mutex_lock(&w->lock);
	queues = k->assigned[which];
	pthread_mutex_unlock(&w->lock);
	return queues;
}

/* --- the guest and Xen --- */

/* From VCPUS on, those of the second server. */
static struct ioreq_slot *slot_of(unsigned vcpu)
{
	return &fake_host->page[vcpu / VCPUS][vcpu % VCPUS];
}

static uint8_t state_of(unsigned vcpu)
{
	return __atomic_load_n(&slot_of(vcpu)->bits, __ATOMIC_SEQ_CST) & IOREQ_STATE_BITS;
}

static void post_type(struct world *w, unsigned vcpu, uint8_t type, uint64_t addr, uint32_t size,
	bool write, uint64_t data)
{
	struct ioreq_slot *s = slot_of(vcpu);
	uint32_t port = PORT + vcpu;

	assert_int_equal(state_of(vcpu), IOREQ_NONE);
	*s = (struct ioreq_slot){
		.addr = addr, .data = data, .size = size, .count = 1, .type = type
	};
	__atomic_store_n(
		&s->bits, (uint8_t)(IOREQ_READY | (write ? 0 : IOREQ_DIR_READ)), __ATOMIC_SEQ_CST);
	assert_int_equal(send(w->events[0], &port, sizeof(port), 0), sizeof(port));
}

static void post(
	struct world *w, unsigned vcpu, uint64_t addr, uint32_t size, bool write, uint64_t data)
{
	post_type(w, vcpu, IOREQ_COPY, addr, size, write, data);
}

/* Waits for the answer, as Xen does. */
static uint64_t wait_for(struct world *w, unsigned vcpu)
{
	struct pollfd pfd = { .fd = w->events[0], .events = POLLIN };
	uint64_t data;
	uint32_t port;

	while (state_of(vcpu) != IOREQ_RESP_READY) {
		assert_int_equal(poll(&pfd, 1, DEADLINE_MS), 1);
		assert_int_equal(recv(w->events[0], &port, sizeof(port), 0), sizeof(port));
	}
	data = slot_of(vcpu)->data;
	__atomic_store_n(&slot_of(vcpu)->bits, (uint8_t)IOREQ_NONE, __ATOMIC_SEQ_CST);
	return data;
}

static uint32_t rd(struct world *w, unsigned device, uint64_t offset)
{
	post(w, 0, BASE + device * 0x200 + offset, 4, false, 0);
	return wait_for(w, 0);
}

static void wr(struct world *w, unsigned device, uint64_t offset, uint32_t value)
{
	post(w, 0, BASE + device * 0x200 + offset, 4, true, value);
	wait_for(w, 0);
}

static void wr64(struct world *w, unsigned device, uint64_t offset, uint64_t value)
{
	wr(w, device, offset, value);
	wr(w, device, offset + 4, value >> 32);
}

static void driver_with(struct world *w, unsigned device, uint64_t ring, uint32_t features)
{
	static const uint8_t steps[] = { 0, 1, 3 };

	for (unsigned i = 0; i < 3; i++)
		wr(w, device, VIRTIO_MMIO_STATUS, steps[i]);
	wr(w, device, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	wr(w, device, VIRTIO_MMIO_DRIVER_FEATURES, features | (ring >= GRANTS ? 3 : 1));
	wr(w, device, VIRTIO_MMIO_STATUS, 0xb);
	assert_int_equal(rd(w, device, VIRTIO_MMIO_STATUS), 0xb);
	wr(w, device, VIRTIO_MMIO_QUEUE_SEL, 0);
	wr(w, device, VIRTIO_MMIO_QUEUE_NUM, 256);
	wr64(w, device, VIRTIO_MMIO_QUEUE_DESC_LOW, ring);
	wr64(w, device, VIRTIO_MMIO_QUEUE_AVAIL_LOW, ring + 4096);
	wr64(w, device, VIRTIO_MMIO_QUEUE_USED_LOW, ring + 8192);
	wr(w, device, VIRTIO_MMIO_QUEUE_READY, 1);
	wr(w, device, VIRTIO_MMIO_STATUS, 0xf);
}

static void driver(struct world *w, unsigned device, uint64_t ring)
{
	driver_with(w, device, ring, 0);
}

/* Waits for what another thread or process does. */
#define WAIT_UNTIL(condition)                                                  \
	do {                                                                   \
		bool met_ = condition;                                         \
		for (unsigned try_ = 0; !met_ && try_ < DEADLINE_MS; try_++) { \
			g_usleep(1000);                                        \
			met_ = condition;                                      \
		}                                                              \
		if (!met_)                                                     \
			fail_msg("waited in vain for " #condition);            \
	} while (0)

static unsigned irqs(unsigned device)
{
	return __atomic_load_n(&fake_host->irqs[33 + device], __ATOMIC_SEQ_CST);
}

/* --- tests --- */

static void drop_line(enum log_level level, const char *line, void *opaque)
{
}

static int setup(void **state)
{
	struct world *w = g_new0(struct world, 1);

	w->n_fds = count_fds();
	if (!g_getenv("XEN_TEST_LOG"))
		log_set_sink(drop_line, NULL);
	w->host = memfd_create("host", MFD_CLOEXEC);
	if (!fake_host_map(w->host))
		return -1;
	w->dir = g_dir_make_tmp("virtiod-XXXXXX", NULL);
	w->journal = memfd_create("journal", MFD_CLOEXEC);
	w->privcmd = memfd_create("privcmd", MFD_CLOEXEC);
	w->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->commands = w->requests = -1;
	pthread_mutex_init(&w->lock, NULL);
	if (ftruncate(w->journal, 2 * sizeof(struct ipc_journal)) < 0 ||
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, w->events) <
			0)
		return -1;
	for (unsigned i = 0; i < DEVICES; i++) {
		struct kept_device *k = &w->device[i];

		k->path = g_strdup_printf("%s/%u.sock", w->dir, i);
		k->peer = peer_new(k->path);
		k->peer->protocol |= VU_BIT(VU_F_XEN_MMAP) | VU_BIT(VU_F_INFLIGHT_SHMFD);
		peer_up(k->peer);
		k->socket = k->channel = k->area = -1;
		memset(k->eventfd, -1, sizeof(k->eventfd));
		k->state = memfd_create("state", MFD_CLOEXEC);
		if (ftruncate(k->state, IPC_STATE_SIZE) < 0)
			return -1;
	}
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	if (w->pid)
		kill_worker(w);
	for (unsigned i = 0; i < DEVICES; i++) {
		struct kept_device *k = &w->device[i];

		peer_free(k->peer);
		unlink(k->path);
		g_free(k->path);
		fd_close(&k->socket);
		fd_close(&k->channel);
		fd_close(&k->area);
		fd_close(&k->state);
		for (unsigned q = 0; q < PEER_QUEUES; q++) {
			fd_close(&k->eventfd[q][0]);
			fd_close(&k->eventfd[q][1]);
		}
	}
	rmdir(w->dir);
	g_free(w->dir);
	fd_close(&w->events[0]);
	fd_close(&w->events[1]);
	fd_close(&w->journal);
	fd_close(&w->host);
	fd_close(&w->privcmd);
	fd_close(&w->stop);
	pthread_mutex_destroy(&w->lock);
	munmap(fake_host, sizeof(*fake_host));
	assert_int_equal(count_fds(), w->n_fds);
	g_free(w);
	log_set_sink(NULL, NULL);
	return 0;
}

static struct mem_region_desc region(struct kept_device *k, unsigned i)
{
	struct mem_region_desc r;

	pthread_mutex_lock(&k->peer->lock);
	r = k->peer->region[i];
	pthread_mutex_unlock(&k->peer->lock);
	return r;
}

static unsigned regions(struct kept_device *k)
{
	unsigned n;

	pthread_mutex_lock(&k->peer->lock);
	n = k->peer->n_regions;
	pthread_mutex_unlock(&k->peer->lock);
	return n;
}

static bool is_confined(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/status", pid);
	g_autofree char *status = NULL;

	assert_true(g_file_get_contents(path, &status, NULL, NULL));
	return strstr(status, "NoNewPrivs:\t1");
}

static unsigned tables_of(struct kept_device *k)
{
	unsigned n;

	pthread_mutex_lock(&k->peer->lock);
	n = k->peer->tables;
	pthread_mutex_unlock(&k->peer->lock);
	return n;
}

static void test_life(void **state)
{
	struct world *w = *state;
	struct kept_device *k = &w->device[0];
	unsigned tables;

	start_worker(w);
	add(w, 0, false, 0, 42);
	assert_int_equal(hear(w).type, IPC_READY);
	assert_true(is_confined(w->pid));
	assert_int_equal(fake_host->restricted, 2);
	assert_int_equal(rd(w, 0, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(rd(w, 0, VIRTIO_MMIO_DEVICE_ID), 42);
	driver(w, 0, RAM);
	assert_true(peer_ring(k->peer, 0).enabled);
	assert_int_equal(regions(k), 1);
	assert_true(region(k, 0).guest_addr == RAM && region(k, 0).size == 0x8000000);
	assert_int_equal(region(k, 0).xen_flags, 1);
	assert_int_equal(region(k, 0).xen_domid, DOMID);
	assert_true(peer_ring(k->peer, 0).addr.desc == RAM);
	/* Kicks and calls, by user space. */
	wr(w, 0, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	WAIT_UNTIL(peer_ring(k->peer, 0).kicks >= 1);
	peer_call(k->peer, 0);
	WAIT_UNTIL(irqs(0) == 1);
	assert_int_equal(rd(w, 0, VIRTIO_MMIO_INTERRUPT_STATUS) & 1, 1);
	/* Pages have left the guest: the table comes again, then the answer. */
	tables = tables_of(k);
	post_type(w, 1, IOREQ_INVALIDATE, 0, 4, true, UINT64_MAX);
	wait_for(w, 1);
	assert_int_equal(tables_of(k), tables + 1);
	/* Xen tells all servers; once is enough. */
	post_type(w, VCPUS + 1, IOREQ_INVALIDATE, 0, 4, true, UINT64_MAX);
	wait_for(w, VCPUS + 1);
	assert_int_equal(tables_of(k), tables + 1);
	/* A kick that the kernel does not know may come through the second. */
	post(w, VCPUS, BASE + VIRTIO_MMIO_QUEUE_NOTIFY, 4, true, 0);
	wait_for(w, VCPUS);
	WAIT_UNTIL(peer_ring(k->peer, 0).kicks >= 2);
	command(w, &(struct ipc_command){ .type = IPC_COUNTERS }, NULL, 0);
	command(w, &(struct ipc_command){ .type = IPC_REMOVE, .device = 0 }, NULL, 0);
	assert_int_equal(hear(w).type, IPC_REMOVED);
	assert_false(peer_ring(k->peer, 0).enabled);
	quit_worker(w);
}

static void test_grants(void **state)
{
	struct world *w = *state;
	struct kept_device *k = &w->device[1];

	start_worker(w);
	add(w, 1, true, 0, 0);
	driver(w, 1, GRANTS + 0x8000);
	assert_int_equal(regions(k), 3);
	assert_true(region(k, 0).guest_addr == GRANTS && region(k, 0).size == 0x8000);
	assert_int_equal(region(k, 0).xen_flags, 0xa);
	assert_true(region(k, 1).guest_addr == GRANTS + 0x8000 && region(k, 1).size == 0x3000);
	assert_int_equal(region(k, 1).xen_flags, 0x2);
	assert_true(region(k, 2).guest_addr == GRANTS + 0xb000);
	assert_true(peer_ring(k->peer, 0).enabled);
	/* The driver goes: then the rings are no longer to be mapped. */
	wr(w, 1, VIRTIO_MMIO_STATUS, 0);
	assert_false(peer_ring(k->peer, 0).enabled);
	quit_worker(w);
}

/* The device area of a packed ring is four bytes, and what follows need not be granted. */
static void test_packed(void **state)
{
	struct world *w = *state;
	struct kept_device *k = &w->device[1];

	start_worker(w);
	add(w, 1, true, 0, 0);
	driver_with(w, 1, GRANTS + 0x8ff0, VU_BIT(VIRTIO_F_RING_PACKED) >> 32);
	assert_true(peer_ring(k->peer, 0).enabled);
	assert_int_equal(regions(k), 3);
	assert_true(region(k, 1).guest_addr == GRANTS + 0x8000 && region(k, 1).size == 0x3000);
	quit_worker(w);
}

/* The kernel's: assigned at the start, deassigned at the end, and its kicks are left alone. */
static void test_kernel(void **state)
{
	struct world *w = *state;
	struct kept_device *k = &w->device[0];

	k->kernel = true;
	start_worker(w);
	add(w, 0, false, 0, 0);
	driver(w, 0, RAM);
	assert_int_equal(assigned(w, k, IPC_KICK), 1);
	assert_int_equal(assigned(w, k, IPC_CALL), 1);
	assert_int_equal(rd(w, 0, VIRTIO_MMIO_INTERRUPT_STATUS) & 1, 1);
	kill_worker(w);
	assert_int_equal(assigned(w, k, IPC_KICK), 1);
	start_worker(w);
	add(w, 0, false, 0, 0);
	assert_int_equal(rd(w, 0, VIRTIO_MMIO_STATUS), 0xf);
	command(w, &(struct ipc_command){ .type = IPC_QUIT }, NULL, 0);
	assert_int_equal(bury(w), 0);
	assert_int_equal(assigned(w, k, IPC_KICK), 0);
	assert_int_equal(assigned(w, k, IPC_CALL), 0);
}

/* Accesses to a device without a back-end wait; others do not; then it is an empty slot. */
static void test_give_up(void **state)
{
	struct world *w = *state;

	peer_down(w->device[0].peer);
	start_worker(w);
	add(w, 0, false, 1500, 0);
	add(w, 1, false, 0, 0);
	post(w, 1, BASE + VIRTIO_MMIO_DEVICE_ID, 4, false, 0);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(rd(w, 1, VIRTIO_MMIO_DEVICE_ID), 42);
	assert_int_equal(wait_for(w, 1), 0);
	assert_int_equal(rd(w, 0, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	quit_worker(w);
}

/* The toolstack says that it is another one: at once, however long one would wait. */
static void test_mismatch(void **state)
{
	struct world *w = *state;

	start_worker(w);
	add(w, 0, false, 0, 41);
	assert_int_equal(rd(w, 0, VIRTIO_MMIO_DEVICE_ID), 0);
	quit_worker(w);
}

/* Accesses come before the device that they are for; and to none. */
static void test_late_device(void **state)
{
	struct world *w = *state;

	start_worker(w);
	post(w, 0, BASE + 0x200 + VIRTIO_MMIO_DEVICE_ID, 4, false, 0);
	add(w, 1, false, 0, 0);
	assert_int_equal(wait_for(w, 0), 42);
	post(w, 0, BASE + VIRTIO_MMIO_DEVICE_ID, 4, false, 0);
	assert_true(wait_for(w, 0) == UINT64_MAX);
	quit_worker(w);
}

/* One that does not answer is removed while the other's guest goes on. */
static void test_remove_slow(void **state)
{
	struct world *w = *state;

	start_worker(w);
	add(w, 0, false, 0, 0);
	add(w, 1, false, 0, 0);
	assert_int_equal(hear(w).type, IPC_READY);
	driver(w, 0, RAM);
	peer_silence(w->device[0].peer, VU_GET_VRING_BASE);
	command(w, &(struct ipc_command){ .type = IPC_REMOVE, .device = 0 }, NULL, 0);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(rd(w, 1, VIRTIO_MMIO_DEVICE_ID), 42);
	/* Its deadline has not come yet. */
	assert_int_equal(poll(&(struct pollfd){ .fd = w->commands, .events = POLLIN }, 1, 0), 0);
	assert_int_equal(hear(w).type, IPC_REMOVED);
	quit_worker(w);
}

/* Killed at any time: registers are as they were, requests answered, the connection the same. */
static void test_takeover(void **state)
{
	struct world *w = *state;
	struct kept_device *k = &w->device[0];
	GRand *rand = g_rand_new_with_seed(3);

	start_worker(w);
	add(w, 0, false, 0, 0);
	driver(w, 0, RAM);
	for (unsigned i = 0; i < 15; i++) {
		post(w, 0, BASE + VIRTIO_MMIO_QUEUE_DESC_LOW, 4, true, i);
		post(w, 1, BASE + 0x104, 1, false, 0);
		g_usleep(g_rand_int_range(rand, 0, 3000));
		kill_worker(w);
		start_worker(w);
		add(w, 0, false, 0, 0);
		wait_for(w, 0);
		assert_int_equal(wait_for(w, 1), 0x14);
		assert_int_equal(rd(w, 0, VIRTIO_MMIO_STATUS), 0xf);
		WAIT_UNTIL(peer_ring(k->peer, 0).enabled);
		peer_call(k->peer, 0);
		WAIT_UNTIL(irqs(0) > i);
	}
	pthread_mutex_lock(&k->peer->lock);
	assert_int_equal(k->peer->connections, 1);
	/* So is the record of requests in flight. */
	assert_int_equal(k->peer->areas, 1);
	assert_true(k->peer->area_fd >= 0);
	pthread_mutex_unlock(&k->peer->lock);
	quit_worker(w);
	g_rand_free(rand);
}

/* What a predecessor did not read of events is not left for later: the file has room for one each. */
static void test_stale_events(void **state)
{
	const unsigned ports = IPC_MAX_SERVERS * VCPUS;
	struct world *w = *state;

	for (unsigned i = 0; i < 2 * VCPUS; i++) {
		uint32_t port = PORT + i % VCPUS;

		assert_int_equal(send(w->events[0], &port, sizeof(port), 0), sizeof(port));
	}
	start_worker(w);
	assert_int_equal(hear(w).type, IPC_READY);
	add(w, 0, false, 0, 0);
	assert_int_equal(rd(w, 0, VIRTIO_MMIO_DEVICE_ID), 42);
	/* All ports at first, then that of the one request. */
	WAIT_UNTIL(__atomic_load_n(&fake_host->unmasked, __ATOMIC_SEQ_CST) > ports);
	assert_int_equal(fake_host->unmasked, ports + 1);
	quit_worker(w);
}

/* Without a supervisor it is of no use, and ends. */
static void test_supervisor_gone(void **state)
{
	struct world *w = *state;

	start_worker(w);
	add(w, 0, false, 0, 0);
	assert_int_equal(rd(w, 0, VIRTIO_MMIO_DEVICE_ID), 42);
	shutdown(w->commands, SHUT_RDWR);
	assert_int_equal(bury(w), 0);
}

static void test_nonsense(void **state)
{
	struct world *w = *state;
	int status;

	start_worker(w);
	command(w, &(struct ipc_command){ .type = IPC_ADD, .add = { .device = IPC_MAX_DEVICES } },
		&w->journal, 1);
	status = bury(w);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	start_worker(w);
	command(w, &(struct ipc_command){ .type = 77 }, NULL, 0);
	status = bury(w);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int be_worker(char **args)
{
	if (!g_getenv("XEN_TEST_LOG"))
		log_set_level(LOG_LEVEL_ERROR);
	if (!fake_host_map(atoi(args[0])))
		return 127;
	/* GLib makes a lock with the first error, in a way that TSan cannot see through. */
	g_error_free(g_error_new_literal(G_FILE_ERROR, G_FILE_ERROR_FAILED, ""));
	close(atoi(args[0]));
	return worker_run(atoi(args[1]), atoi(args[2]));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_life),
		TEST(test_grants),
		TEST(test_packed),
		TEST(test_kernel),
		TEST(test_give_up),
		TEST(test_mismatch),
		TEST(test_late_device),
		TEST(test_remove_slow),
		TEST(test_takeover),
		TEST(test_stale_events),
		TEST(test_supervisor_gone),
		TEST(test_nonsense),
	};

	if (argc == 4)
		return be_worker(argv + 1);
	program = argv[0];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
