/* SPDX-License-Identifier: Apache-2.0 */
/* Four vCPUs, Xen on their behalf, and the kernel's ioeventfd code. */
#include "race.h"

#include <sys/eventfd.h>
#include <linux/virtio_mmio.h>

static bool wait_for(int fd)
{
	eventfd_t n;

	return test_readable(fd, TEST_WAIT_MS) && eventfd_read(fd, &n) == 0;
}

static uint8_t get_state(struct ioreq_slot *s)
{
	return __atomic_load_n(&s->bits, __ATOMIC_SEQ_CST) & IOREQ_STATE_BITS;
}

static void set_state(struct ioreq_slot *s, enum ioreq_state state)
{
	uint8_t bits = __atomic_load_n(&s->bits, __ATOMIC_RELAXED);

	__atomic_store_n(&s->bits, (uint8_t)((bits & ~IOREQ_STATE_BITS) | state), __ATOMIC_SEQ_CST);
}

/* Interrupts as ioeventfd_interrupt() of Linux does: stores, no compare-and-swap. */
static void interrupt(struct race_test *w, unsigned vcpu)
{
	struct ioreq_slot *s = &w->s->page[vcpu];
	uint8_t bits = __atomic_load_n(&s->bits, __ATOMIC_SEQ_CST);
	uint64_t addr, data;

	if ((bits & IOREQ_STATE_BITS) != IOREQ_READY || (bits & IOREQ_DIR_READ)) {
		eventfd_write(w->event[vcpu], 1);
		return;
	}
	set_state(s, IOREQ_INPROCESS);
	/* User space runs from here on, at the same time. */
	eventfd_write(w->event[vcpu], 1);
	addr = __atomic_load_n(&s->addr, __ATOMIC_RELAXED);
	data = __atomic_load_n(&s->data, __ATOMIC_RELAXED);
	if (addr == BASE + VIRTIO_MMIO_QUEUE_NOTIFY && data == KERNEL_QUEUE) {
		__atomic_fetch_add(&w->s->kernel_took, 1, __ATOMIC_RELAXED);
		set_state(s, IOREQ_RESP_READY);
		eventfd_write(w->notify[vcpu], 1);
		return;
	}
	if (data % 9 == 0)
		test_pause(data % 7 * 50);
	set_state(s, IOREQ_READY);
}

void race_port_change(struct race_test *w, unsigned vcpu, bool event)
{
	if (!w->kernel) {
		if (event)
			eventfd_write(w->event[vcpu], 1);
		return;
	}
	pthread_mutex_lock(&w->port[vcpu].lock);
	if (event)
		w->port[vcpu].pending = true;
	else
		w->port[vcpu].masked = false;
	if (w->port[vcpu].pending && !w->port[vcpu].masked) {
		w->port[vcpu].pending = false;
		w->port[vcpu].masked = true;
		interrupt(w, vcpu);
	}
	pthread_mutex_unlock(&w->port[vcpu].lock);
}

/* Makes one request. Nothing of Xen's checks may fail: they crash the guest. */
static const char *one_request(struct race_test *w, unsigned vcpu, uint64_t n)
{
	struct ioreq_slot *s = &w->s->page[vcpu];
	bool write = n % 2, kernels = w->kernel && n % 3 == 1 && write;
	uint8_t last = IOREQ_READY, now;

	if (get_state(s) != IOREQ_NONE)
		return "a state that is not NONE before a request";
	__atomic_store_n(&s->addr, BASE + (kernels ? VIRTIO_MMIO_QUEUE_NOTIFY : 0x100 + 8 * vcpu),
		__ATOMIC_RELAXED);
	__atomic_store_n(&s->data, kernels ? KERNEL_QUEUE : n, __ATOMIC_RELAXED);
	__atomic_store_n(&s->count, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&s->size, kernels ? 4 : 8, __ATOMIC_RELAXED);
	__atomic_store_n(&s->type, IOREQ_COPY, __ATOMIC_RELAXED);
	__atomic_store_n(
		&s->bits, (uint8_t)(IOREQ_READY | (write ? 0 : IOREQ_DIR_READ)), __ATOMIC_SEQ_CST);
	race_port_change(w, vcpu, true);
	for (;;) {
		now = get_state(s);
		/* What the kernel does here is its own affair. */
		if (!w->kernel && now < last)
			return "a state that went back";
		last = now;
		if (now == IOREQ_RESP_READY)
			break;
		if (now == IOREQ_NONE)
			return "NONE, and not by Xen";
		if (!wait_for(w->notify[vcpu]))
			return "no answer";
	}
	if (!write && __atomic_load_n(&s->data, __ATOMIC_RELAXED) != n + vcpu)
		return "another's answer";
	if (write && !kernels && __atomic_load_n(&w->s->done[vcpu], __ATOMIC_RELAXED) != n)
		return "a write that the device has not seen";
	set_state(s, IOREQ_NONE);
	return NULL;
}

static void *guest_main(void *opaque)
{
	struct guest_cpu *g = opaque;

	for (uint64_t n = 1; n <= g->w->requests && !g->wrong; n++)
		g->wrong = one_request(g->w, g->vcpu, n);
	return NULL;
}

void race_start_guest(struct race_test *w, struct guest_cpu cpu[VCPUS], pthread_t thread[VCPUS])
{
	for (unsigned i = 0; i < VCPUS; i++) {
		cpu[i] = (struct guest_cpu){ .w = w, .vcpu = i };
		assert_int_equal(pthread_create(&thread[i], NULL, guest_main, &cpu[i]), 0);
	}
}

void race_join_guest(struct guest_cpu cpu[VCPUS], pthread_t thread[VCPUS])
{
	for (unsigned i = 0; i < VCPUS; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < VCPUS; i++)
		if (cpu[i].wrong)
			fail_msg("vCPU %u: %s", i, cpu[i].wrong);
}
