/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_kvm.h: a driver of virtio-mmio, one request at a time. */
#include "tests/fault/fake_kvm.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "kvm-stub/layout.h"

#define MAGIC 0x74726976u
#define SIZE 4u
/* Of the only queue in use. */
#define DESC 0x10000u
#define AVAIL 0x11000u
#define USED 0x12000u
#define DATA 0x13000u
#define DATA_LEN 512u
#define STATUSES 4u

static uint32_t get(unsigned slot, unsigned offset)
{
	return guest_mmio(virtio_addr(slot) + offset, false, 0);
}

static void set(unsigned slot, unsigned offset, uint32_t value)
{
	guest_mmio(virtio_addr(slot) + offset, true, value);
}

static bool start(unsigned slot)
{
	static const uint8_t status[STATUSES] = { 0, VIRTIO_CONFIG_S_ACKNOWLEDGE,
		VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER,
		VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			VIRTIO_CONFIG_S_FEATURES_OK };

	for (unsigned i = 0; i < STATUSES; i++) {
		set(slot, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
		set(slot, VIRTIO_MMIO_DRIVER_FEATURES, 1); /* VERSION_1 */
		set(slot, VIRTIO_MMIO_STATUS, status[i]);
	}
	if (get(slot, VIRTIO_MMIO_STATUS) != status[STATUSES - 1])
		return false;
	memset(guest_memory(DESC), 0, DATA - DESC);
	set(slot, VIRTIO_MMIO_QUEUE_SEL, 0);
	set(slot, VIRTIO_MMIO_QUEUE_NUM, SIZE);
	set(slot, VIRTIO_MMIO_QUEUE_DESC_LOW, DESC);
	set(slot, VIRTIO_MMIO_QUEUE_AVAIL_LOW, AVAIL);
	set(slot, VIRTIO_MMIO_QUEUE_USED_LOW, USED);
	set(slot, VIRTIO_MMIO_QUEUE_READY, 1);
	set(slot, VIRTIO_MMIO_STATUS, status[STATUSES - 1] | VIRTIO_CONFIG_S_DRIVER_OK);
	return true;
}

/* Adds a request, the first: a header if the device is a disk, room for data, and a status. */
static void request(bool disk)
{
	struct vring_desc *desc = guest_memory(DESC);
	struct vring_avail *avail = guest_memory(AVAIL);
	struct virtio_blk_outhdr *header = guest_memory(DATA);
	unsigned n = 0;

	*header = (struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_IN };
	if (disk)
		desc[n++] = (struct vring_desc){ DATA, sizeof(*header), VRING_DESC_F_NEXT, 1 };
	desc[n++] = (struct vring_desc){ DATA + DATA_LEN, DATA_LEN,
		VRING_DESC_F_WRITE | (disk ? VRING_DESC_F_NEXT : 0), 2 };
	if (disk)
		desc[n] = (struct vring_desc){ DATA + 2 * DATA_LEN, 1, VRING_DESC_F_WRITE, 0 };
	__atomic_store_n(&avail->idx, 1, __ATOMIC_RELEASE);
}

static bool is_used(void)
{
	struct vring_used *used = guest_memory(USED);

	return __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) == 1;
}

static bool drive(unsigned slot)
{
	bool needs_reset = false;

	if (!start(slot))
		return false;
	request(get(slot, VIRTIO_MMIO_DEVICE_ID) == VIRTIO_ID_BLOCK);
	set(slot, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	while (!is_used() && !needs_reset) {
		guest_wait(virtio_irq(slot));
		needs_reset = get(slot, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
	}
	set(slot, VIRTIO_MMIO_INTERRUPT_ACK, get(slot, VIRTIO_MMIO_INTERRUPT_STATUS));
	set(slot, VIRTIO_MMIO_STATUS, 0);
	return !needs_reset;
}

void fake_guest(void)
{
	static unsigned starts;
	bool ok = true;

	guest_out(SERIAL_PORT, '\n');
	for (unsigned slot = 0; slot < MAX_SLOTS; slot++)
		if (get(slot, VIRTIO_MMIO_MAGIC_VALUE) == MAGIC && get(slot, VIRTIO_MMIO_DEVICE_ID))
			ok &= drive(slot);
	if (!ok)
		guest_out(RESULT_PORT, RESULT_FAILED);
	if (!starts++)
		guest_out(RESET_PORT, RESET_VALUE);
	guest_out(SLEEP_CONTROL_PORT, SLEEP_ENABLE | SLEEP_TYPE_S5 << 2);
}
