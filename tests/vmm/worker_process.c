/* SPDX-License-Identifier: Apache-2.0 */
/* The process of a guest's device: see worker.h. */
#include "worker.h"

#include <stdlib.h>
#include <unistd.h>
#include <sys/mman.h>

#include "base/log.h"
#include "base/sock.h"

static void drop_line(enum log_level level, const char *line, void *opaque)
{
}

static struct worker_fds fds_of;
static struct worker_shared *shared;

static unsigned ask(struct worker_order *order, const int *send, unsigned n_send, int *fds)
{
	bool truncated;
	unsigned n = 0;

	if (sock_send(fds_of.service, order, sizeof(*order), send, n_send, -1) < 0 ||
		poll(&(struct pollfd){ fds_of.service, POLLIN, 0 }, 1, -1) < 0 ||
		sock_recv(fds_of.service, order, sizeof(*order), fds, SOCK_MAX_FDS, &n,
			&truncated) != sizeof(*order))
		abort();
	return n;
}

static int on_keep(void *opaque, struct vmm_dev *d, int fd)
{
	struct worker_order order = { .keep = true };
	int fds[SOCK_MAX_FDS];

	return ask(&order, &fd, fd >= 0, fds) ? fds[0] : -1;
}

static bool on_dial(void *opaque, struct vmm_dev *d, bool fresh, struct vu_front_options *options,
	struct vu_front_sockets *sockets, bool *kept, GError **error)
{
	struct worker_order order = { .fresh = fresh };
	int fds[SOCK_MAX_FDS];

	ask(&order, NULL, 0, fds);
	if (order.err) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN, "there is no back-end");
		return false;
	}
	*kept = order.kept;
	*sockets = (struct vu_front_sockets){ fds[0], fds[1], order.kept ? -1 : fds[2] };
	return true;
}

static unsigned on_memory(void *opaque, struct vmm_dev *d, const struct virtio_mmio_queue *ready,
	unsigned n_ready, bool packed, const struct mem_region_desc **desc, const int **fds)
{
	static const struct mem_region_desc region = {
		.guest_addr = MEMORY, .size = MEMORY_SIZE, .user_addr = USER
	};

	*desc = &region;
	*fds = &fds_of.memory;
	return 1;
}

static int on_eventfd(void *opaque, struct vmm_dev *d, unsigned queue, enum vmm_eventfd which)
{
	return dup(which == VMM_KICK ? fds_of.kick[queue] : fds_of.call[queue]);
}

static void on_interrupt(void *opaque, struct vmm_dev *d, bool level)
{
	if (!level)
		return;
	__atomic_add_fetch(&shared->rises, 1, __ATOMIC_SEQ_CST);
	eventfd_write(fds_of.irq, 1);
}

static bool on_irqfd(void *opaque, struct vmm_dev *d, unsigned queue, int fd, bool assign)
{
	return shared->kernel;
}

static bool on_ioeventfd(
	void *opaque, struct vmm_dev *d, uint64_t addr, uint32_t queue, int fd, bool assign)
{
	return shared->kernel;
}

static void on_done(void *opaque, void *token, uint64_t value)
{
	struct worker_request *r = token;

	r->value = value;
	__atomic_store_n(&r->state, REQUEST_ANSWERED, __ATOMIC_SEQ_CST);
	eventfd_write(fds_of.answer, 1);
}

static const struct vmm_ops ops = {
	.memory = on_memory,
	.dial = on_dial,
	.eventfd = on_eventfd,
	.keep = on_keep,
	.interrupt = on_interrupt,
	.irqfd = on_irqfd,
	.ioeventfd = on_ioeventfd,
	.access_done = on_done,
};

static void serve(struct vmm_dev *d, struct worker_request *r)
{
	uint64_t value = r->value;

	__atomic_store_n(&r->state, REQUEST_IN_PROCESS, __ATOMIC_SEQ_CST);
	if (vmm_dev_access(d, r->off, r->size, r->write, &value, r) == VIRTIO_MMIO_DONE)
		on_done(NULL, r, value);
}

static _Noreturn void serve_all(struct vmm_dev *d)
{
	struct worker_request *r = shared->request;
	struct pollfd pfd = { .fd = fds_of.request, .events = POLLIN };
	eventfd_t n;

	for (bool first = true;; first = false) {
		eventfd_read(fds_of.request, &n);
		for (unsigned i = 0; i < WORKER_VCPUS; i++) {
			uint32_t state = __atomic_load_n(&r[i].state, __ATOMIC_SEQ_CST);

			/* A predecessor has begun it: once more. */
			if (state == REQUEST_READY || (first && state == REQUEST_IN_PROCESS))
				serve(d, &r[i]);
		}
		poll(&pfd, 1, -1);
	}
}

void worker_main(int argc, char **argv)
{
	struct vmm_dev_config config = {
		.name = "dev0",
		.fd = -1,
		.front = { .config_size = -1, .deadline_ms = WAIT_MS, .packed = CHOICE_ON },
		.base = BASE,
		.retry_ms = 5,
	};
	int fds[WORKER_FDS];
	struct vmm_dev *d;

	if (argc != 2 + WORKER_FDS || strcmp(argv[1], "--worker"))
		return;
	for (unsigned i = 0; i < WORKER_FDS; i++)
		fds[i] = atoi(argv[2 + i]);
	memcpy(&fds_of, fds, sizeof(fds));
	if (!g_getenv("VMM_TEST_LOG"))
		log_set_sink(drop_line, NULL);
	shared = mmap(
		NULL, worker_shared_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fds_of.shared, 0);
	if (shared == MAP_FAILED)
		abort();
	config.state = shared->vmm;
	eventfd_write(fds_of.alive, 1);
	d = vmm_dev_new(&config, &ops, NULL, NULL);
	if (!d)
		abort();
	serve_all(d);
}
