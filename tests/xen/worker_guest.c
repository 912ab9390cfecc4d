/* SPDX-License-Identifier: Apache-2.0 */
/* The guest of a worker under test, and Xen on its behalf. */
#include "worker_fixture.h"

#include <sys/socket.h>
#include <linux/virtio_mmio.h>

static struct ioreq_slot *guest_slot(unsigned vcpu)
{
	return &fake_host->page[vcpu / VCPUS][vcpu % VCPUS];
}

static uint8_t guest_slot_state(unsigned vcpu)
{
	return __atomic_load_n(&guest_slot(vcpu)->bits, __ATOMIC_SEQ_CST) & IOREQ_STATE_BITS;
}

void guest_post_type(struct worker_test *w, unsigned vcpu, uint8_t type, uint64_t addr,
	uint32_t size, bool write, uint64_t data)
{
	struct ioreq_slot *s = guest_slot(vcpu);
	uint32_t port = PORT + vcpu;

	assert_int_equal(guest_slot_state(vcpu), IOREQ_NONE);
	*s = (struct ioreq_slot){
		.addr = addr, .data = data, .size = size, .count = 1, .type = type
	};
	__atomic_store_n(
		&s->bits, (uint8_t)(IOREQ_READY | (write ? 0 : IOREQ_DIR_READ)), __ATOMIC_SEQ_CST);
	assert_int_equal(send(w->events[0], &port, sizeof(port), 0), sizeof(port));
}

void guest_post(struct worker_test *w, unsigned vcpu, uint64_t addr, uint32_t size, bool write,
	uint64_t data)
{
	guest_post_type(w, vcpu, IOREQ_COPY, addr, size, write, data);
}

uint64_t guest_wait(struct worker_test *w, unsigned vcpu)
{
	uint64_t data;
	uint32_t port;

	while (guest_slot_state(vcpu) != IOREQ_RESP_READY) {
		test_wait_fd(w->events[0], POLLIN);
		assert_int_equal(recv(w->events[0], &port, sizeof(port), 0), sizeof(port));
	}
	data = guest_slot(vcpu)->data;
	__atomic_store_n(&guest_slot(vcpu)->bits, (uint8_t)IOREQ_NONE, __ATOMIC_SEQ_CST);
	return data;
}

uint32_t guest_read(struct worker_test *w, unsigned device, uint64_t offset)
{
	guest_post(w, 0, BASE + device * WINDOW + offset, 4, false, 0);
	return guest_wait(w, 0);
}

void guest_write(struct worker_test *w, unsigned device, uint64_t offset, uint32_t value)
{
	guest_post(w, 0, BASE + device * WINDOW + offset, 4, true, value);
	guest_wait(w, 0);
}

static void guest_write64(struct worker_test *w, unsigned device, uint64_t offset, uint64_t value)
{
	guest_write(w, device, offset, value);
	guest_write(w, device, offset + 4, value >> 32);
}

void guest_drive(struct worker_test *w, unsigned device, uint64_t ring, uint32_t features)
{
	static const uint8_t steps[] = { 0, 1, 3 };

	for (unsigned i = 0; i < 3; i++)
		guest_write(w, device, VIRTIO_MMIO_STATUS, steps[i]);
	guest_write(w, device, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	guest_write(w, device, VIRTIO_MMIO_DRIVER_FEATURES, features | (ring >= GRANTS ? 3 : 1));
	guest_write(w, device, VIRTIO_MMIO_STATUS, 0xb);
	assert_true(guest_read(w, device, VIRTIO_MMIO_STATUS) == 0xb || w->faulty);
	guest_write(w, device, VIRTIO_MMIO_QUEUE_SEL, 0);
	guest_write(w, device, VIRTIO_MMIO_QUEUE_NUM, 256);
	guest_write64(w, device, VIRTIO_MMIO_QUEUE_DESC_LOW, ring);
	guest_write64(w, device, VIRTIO_MMIO_QUEUE_AVAIL_LOW, ring + 4096);
	guest_write64(w, device, VIRTIO_MMIO_QUEUE_USED_LOW, ring + 8192);
	guest_write(w, device, VIRTIO_MMIO_QUEUE_READY, 1);
	guest_write(w, device, VIRTIO_MMIO_STATUS, 0xf);
}

unsigned guest_irqs(unsigned device)
{
	return __atomic_load_n(&fake_host->irqs[33 + device], __ATOMIC_SEQ_CST);
}
