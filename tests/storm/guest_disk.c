/* SPDX-License-Identifier: Apache-2.0 */
/* See guest_disk.h. */
#include "tests/storm/guest_disk.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/prctl.h>

#define WINDOW UINT64_C(0x2000000)

/* A vCPU's access that was left for later. */
struct disk_access {
	struct disk *disk;
	bool done;
	uint64_t value;
};

static unsigned on_memory(void *opaque, struct vmm_dev *d, const struct virtio_mmio_queue *ready,
	unsigned n_ready, bool packed, const struct mem_region_desc **desc, const int **fds)
{
	struct disk *k = opaque;

	*desc = &k->region;
	*fds = &k->fd;
	return 1;
}

static void on_interrupt(void *opaque, struct vmm_dev *d, bool level)
{
	struct disk *k = opaque;

	pthread_mutex_lock(&k->lock);
	k->interrupts += level;
	pthread_cond_broadcast(&k->cond);
	pthread_mutex_unlock(&k->lock);
}

static void on_access_done(void *opaque, void *token, uint64_t value)
{
	struct disk *k = opaque;
	struct disk_access *a = token;

	pthread_mutex_lock(&k->lock);
	a->value = value;
	a->done = true;
	pthread_cond_broadcast(&k->cond);
	pthread_mutex_unlock(&k->lock);
}

static const struct vmm_ops disk_ops = {
	.memory = on_memory,
	.interrupt = on_interrupt,
	.access_done = on_access_done,
};

/* Waits, with the lock held, until the flag is set or the counter has moved on. */
static bool wait_for(struct disk *k, const bool *flag, unsigned seen)
{
	int64_t end = test_deadline(TEST_WAIT_MS) / G_USEC_PER_SEC;
	struct timespec until = { .tv_sec = end };
	int rc = 0;

	while (rc == 0 && !(flag ? *flag : k->interrupts != seen))
		rc = pthread_cond_clockwait(&k->cond, &k->lock, CLOCK_MONOTONIC, &until);
	return rc == 0;
}

static uint64_t reach(struct disk *k, uint64_t off, unsigned size, bool write, uint64_t value)
{
	struct disk_access a = { .disk = k };

	if (vmm_dev_access(k->d, off, size, write, &value, &a) == VIRTIO_MMIO_DONE)
		return value;
	pthread_mutex_lock(&k->lock);
	if (!wait_for(k, &a.done, 0))
		g_error("an access at 0x%" PRIx64 " is not completed", off);
	pthread_mutex_unlock(&k->lock);
	return a.value;
}

uint64_t disk_read(struct disk *k, uint64_t off, unsigned size)
{
	return reach(k, off, size, false, 0);
}

void disk_write(struct disk *k, uint64_t off, unsigned size, uint64_t value)
{
	reach(k, off, size, true, value);
}

static void start_program(struct disk *k, const char *program, const char *image)
{
	g_autofree char *file = g_strdup_printf("--blk-file=%s", image);
	g_autofree char *path = g_strdup_printf("--socket-path=%s", k->path);

	k->pid = fork();
	assert_true(k->pid >= 0);
	if (k->pid == 0) {
		int log = open(k->log, O_CREAT | O_WRONLY | O_APPEND, 0600);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(log, STDERR_FILENO);
		execl(program, program, path, file, NULL);
		_exit(127);
	}
}

static void make_requests(struct disk *k)
{
	for (unsigned i = 0; i < DISK_DEPTH; i++) {
		struct disk_request *r = &k->request[i];
		uint64_t data = driver_mem_alloc(k->mem, DISK_BLOCK, DISK_BLOCK);
		uint64_t wire = driver_mem_alloc(k->mem, 64, 64);

		assert_true(data && wire);
		r->header = driver_mem_host(k->mem, wire, 64);
		r->data = driver_mem_host(k->mem, data, DISK_BLOCK);
		r->status = (uint8_t *)(r->header + 1);
		r->bufs[0] = (struct driver_buf){ wire, sizeof(*r->header) };
		r->bufs[1] = (struct driver_buf){ data, DISK_BLOCK };
		r->bufs[2] = (struct driver_buf){ wire + sizeof(*r->header), 1 };
	}
}

struct disk *disk_new(struct test *t, const char *program, const char *name, uint64_t memory)
{
	struct disk *k = g_new0(struct disk, 1);
	struct vmm_dev_config config = {
		.name = name,
		.fd = -1,
		.front = { .config_size = -1, .deadline_ms = TEST_WAIT_MS },
		.base = WINDOW,
		.queue_size_max = DISK_RING,
		.retry_ms = 5,
	};
	g_autofree char *image_name = g_strdup_printf("%s.img", name);
	g_autofree char *log_name = g_strdup_printf("%s.log", name);
	const char *image = test_path(t, image_name);
	g_autoptr(GError) error = NULL;

	pthread_mutex_init(&k->lock, NULL);
	pthread_cond_init(&k->cond, NULL);
	config.socket_path = k->path = test_path(t, name);
	k->log = test_path(t, log_name);
	assert_true(g_file_set_contents(image, "", 0, NULL));
	assert_int_equal(truncate(image, (off_t)DISK_BLOCK * DISK_BLOCKS), 0);
	start_program(k, program, image);
	k->mem = driver_mem_new(memory + (DISK_BLOCK + 64) * (DISK_DEPTH + 1), &error);
	assert_non_null(k->mem);
	driver_mem_describe(k->mem, &k->region, &k->fd);
	make_requests(k);
	k->d = vmm_dev_new(&config, &disk_ops, k, &error);
	assert_non_null(k->d);
	if (!vmm_dev_wait(k->d, TEST_WAIT_MS, &error))
		fail_msg("%s", error->message);
	return k;
}

void disk_free(struct disk *k)
{
	struct vmm_dev_counters counters;

	vmm_dev_counters(k->d, &counters);
	if (counters.reconnects) {
		g_autofree char *log = test_log(), *theirs = NULL;

		/* Too long for a message of cmocka. */
		g_file_get_contents(k->log, &theirs, NULL, NULL);
		fprintf(stderr, "%sThe back-end:\n%s", log, theirs);
		fail_msg("%s: %" PRIu64 " reconnects", vmm_dev_name(k->d), counters.reconnects);
	}
	vmm_dev_free(k->d);
	assert_int_equal(kill(k->pid, SIGTERM), 0);
	assert_int_equal(test_wait_child(k->pid), 0);
	driver_ring_free(k->ring);
	driver_mem_free(k->mem);
	pthread_cond_destroy(&k->cond);
	pthread_mutex_destroy(&k->lock);
	g_free(k);
}

static void wr32(struct disk *k, uint64_t off, uint32_t value)
{
	disk_write(k, off, 4, value);
}

void disk_begin(struct disk *k, uint64_t features)
{
	wr32(k, VIRTIO_MMIO_STATUS, 0);
	wr32(k, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	wr32(k, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	wr32(k, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	wr32(k, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	wr32(k, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	wr32(k, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	wr32(k, VIRTIO_MMIO_STATUS, DISK_FEATURES_OK);
	if (disk_read(k, VIRTIO_MMIO_STATUS, 4) != DISK_FEATURES_OK)
		g_error("the device does not take its features");
	driver_ring_free(k->ring);
	k->features = features;
	k->ring = driver_ring_new(k->mem, DISK_RING, features, NULL);
	if (!k->ring)
		g_error("no memory for a vring");
}

static void wr64(struct disk *k, uint64_t off, uint64_t value)
{
	wr32(k, off, (uint32_t)value);
	wr32(k, off + 4, (uint32_t)(value >> 32));
}

void disk_queue(struct disk *k)
{
	uint64_t desc, avail, used;

	driver_ring_addresses(k->ring, &desc, &avail, &used);
	wr32(k, VIRTIO_MMIO_QUEUE_SEL, 0);
	wr32(k, VIRTIO_MMIO_QUEUE_NUM, DISK_RING);
	wr64(k, VIRTIO_MMIO_QUEUE_DESC_LOW, desc);
	wr64(k, VIRTIO_MMIO_QUEUE_AVAIL_LOW, avail);
	wr64(k, VIRTIO_MMIO_QUEUE_USED_LOW, used);
}

void disk_driver_ok(struct disk *k)
{
	wr32(k, VIRTIO_MMIO_QUEUE_SEL, 0);
	wr32(k, VIRTIO_MMIO_QUEUE_READY, 1);
	wr32(k, VIRTIO_MMIO_STATUS, DISK_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

void disk_notify(struct disk *k)
{
	wr32(k, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

void disk_add(struct disk *k, unsigned i, uint32_t type, uint64_t block)
{
	struct disk_request *r = &k->request[i];

	*r->header = (struct virtio_blk_outhdr){
		.type = htole32(type),
		.sector = htole64(block * (DISK_BLOCK / 512)),
	};
	*r->status = 0xff;
	if (driver_ring_add(k->ring, r->bufs, type == VIRTIO_BLK_T_OUT ? 2 : 1,
		    type == VIRTIO_BLK_T_OUT ? 1 : 2, r) < 0)
		g_error("no room in the vring");
}

bool disk_interrupted(struct disk *k, unsigned *seen)
{
	bool came;

	pthread_mutex_lock(&k->lock);
	came = wait_for(k, NULL, *seen);
	*seen = k->interrupts;
	pthread_mutex_unlock(&k->lock);
	disk_write(k, VIRTIO_MMIO_INTERRUPT_ACK, 4, disk_read(k, VIRTIO_MMIO_INTERRUPT_STATUS, 4));
	return came;
}
