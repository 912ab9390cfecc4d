/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that accesses registers as it likes, and a back-end that answers as it likes. */
#include "tests/fuzz/fuzz.h"

#include <linux/virtio_mmio.h>
#include <sys/mman.h>

#include "tests/fuzz/hostile.h"
#include "tests/lib/test.h"
#include "vmm/vmm_dev.h"

#define ACCESSES 256
#define LIVES 3 /* of the back-end */

static struct vmm_dev *dev;
static int memory;
static struct mem_region_desc region = {
	.guest_addr = 0x40000000, .size = 0x100000, .user_addr = 0x7f0000000000
};
static struct fuzz_input lives[LIVES];
static struct hostile_backend *backends[LIVES];
static unsigned n_lives;
static unsigned n_done[ACCESSES]; /* under the lock */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;

static unsigned on_memory(void *opaque, struct vmm_dev *d, const struct virtio_mmio_queue *ready,
	unsigned n_ready, bool packed, const struct mem_region_desc **desc, const int **fds)
{
	*desc = &region;
	*fds = &memory;
	return 1;
}

static bool on_dial(void *opaque, struct vmm_dev *d, bool fresh, struct vu_front_options *options,
	struct vu_front_sockets *sockets, bool *kept, GError **error)
{
	int fd;

	if (n_lives == LIVES) {
		g_set_error(error, VU_FRONT_ERROR, VU_FRONT_ERROR_PROPERTIES, "no more lives");
		return false;
	}
	backends[n_lives] = hostile_start(lives[n_lives], &fd);
	n_lives++;
	*sockets = (struct vu_front_sockets){ .fd = fd, .channel = -1, .channel_peer = -1 };
	return true;
}

static void on_interrupt(void *opaque, struct vmm_dev *d, bool level)
{
}

static void on_done(void *opaque, void *token, uint64_t value)
{
	pthread_mutex_lock(&lock);
	++*(unsigned *)token;
	pthread_cond_broadcast(&done);
	pthread_mutex_unlock(&lock);
}

static const struct vmm_ops ops = {
	.memory = on_memory,
	.dial = on_dial,
	.interrupt = on_interrupt,
	.access_done = on_done,
};

/* Accesses a register, or any offset and size. */
static unsigned access_register(struct fuzz_input *in, unsigned *token)
{
	static const uint16_t registers[] = { VIRTIO_MMIO_STATUS, VIRTIO_MMIO_QUEUE_SEL,
		VIRTIO_MMIO_QUEUE_NUM, VIRTIO_MMIO_QUEUE_READY, VIRTIO_MMIO_QUEUE_NOTIFY,
		VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_USED_LOW,
		VIRTIO_MMIO_DRIVER_FEATURES_SEL, VIRTIO_MMIO_DRIVER_FEATURES,
		VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_CONFIG, 0xc0 };
	uint8_t which = fuzz_u8(in), what;
	uint64_t offset =
		which < G_N_ELEMENTS(registers) ? registers[which] : fuzz_u16(in) % 0x1100;
	uint64_t value;

	what = fuzz_u8(in);
	value = what & 8 ? fuzz_u64(in) : fuzz_u8(in);
	/* An address of a ring that may be one. */
	if (what & 16)
		value = region.guest_addr + (value << 12) % region.size;
	return vmm_dev_access(dev, offset, 1u << (what & 3), !(what & 4), &value, token) ==
		VIRTIO_MMIO_LATER;
}

static void wait_for(unsigned later, const unsigned *token)
{
	pthread_mutex_lock(&lock);
	while (*token < later)
		pthread_cond_wait(&done, &lock);
	g_assert_cmpuint(*token, ==, later);
	pthread_mutex_unlock(&lock);
}

static void access_all(struct fuzz_input *in)
{
	for (unsigned i = 0; i < ACCESSES && fuzz_more(in); i++) {
		uint8_t how = fuzz_u8(in) % 16;

		n_done[i] = 0;
		if (how == 1)
			vmm_dev_memory_changed(dev);
		else if (how == 2)
			wait_for(vmm_dev_invalidate(dev, &n_done[i]) == VIRTIO_MMIO_LATER,
				&n_done[i]);
		else
			wait_for(access_register(in, &n_done[i]), &n_done[i]);
	}
}

static void run(struct fuzz_input *in)
{
	struct fuzz_input guest = fuzz_part(in, fuzz_u16(in) % 1024);
	const struct vmm_dev_config config = {
		.name = "dev0",
		.fd = -1,
		.front = { .config_size = -1, .deadline_ms = 600000 },
		.base = 0x2000000,
		.retry_ms = 1,
		.idle_ms = 3600000,
	};

	for (unsigned i = 0; i < LIVES; i++)
		lives[i] = i + 1 < LIVES ? fuzz_part(in, fuzz_u8(in)) : *in;
	n_lives = 0;
	memory = memfd_create("guest", MFD_CLOEXEC);
	g_assert_cmpint(ftruncate(memory, (off_t)region.size), ==, 0);
	dev = vmm_dev_new(&config, &ops, NULL, NULL);
	g_assert_nonnull(dev);
	/* A back-end that cannot be used is the end of the first dials. */
	if (!vmm_dev_wait(dev, 600000, NULL))
		vmm_dev_give_up(dev);
	access_all(&guest);
	vmm_dev_free(dev);
	for (unsigned i = 0; i < n_lives; i++)
		hostile_join(backends[i]);
	close(memory);
}

FUZZ_TARGET(vmm, .run = run);
