/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bare guest of Xen on arm64, in place of arch_arm64.c: its console and its end. The console is
 * below RAM, where head_arm64.S has devices: good enough for the lab's emulated CPUs, which have no
 * caches.
 */
#include "kvm-stub/guest/arch.h"

#include "tests/e2e-kvm/hostile.h"

/* Xen's interface: xen.h, hvm/hvm_op.h, hvm/params.h, event_channel.h, io/console.h. */
#define EVENT_CHANNEL_OP 32u
#define HVM_OP 34u
#define GET_PARAM 1u
#define CONSOLE_PFN 17u
#define CONSOLE_EVTCHN 18u
#define SEND 4u
#define DOMID_SELF 0x7ff0u

#define PSCI_SYSTEM_OFF 0x84000008u

#define OUT 2048u /* bytes */

struct console {
	char in[1024], out[OUT];
	uint32_t in_cons, in_prod, out_cons, out_prod;
};

/* Where libxl puts virtio-mmio devices. */
#define MMIO_BASE UINT64_C(0x02000000)
#define MMIO_STRIDE 0x200u
#define DISKS 2u /* no other slot may be touched */

static void hypercall(uint64_t number, uint64_t op, void *arg)
{
	register uint64_t x0 __asm__("x0") = op;
	register uint64_t x1 __asm__("x1") = (uintptr_t)arg;
	register uint64_t x16 __asm__("x16") = number;

	__asm__ volatile("hvc #0xea1"
			 : "+r"(x0), "+r"(x1), "+r"(x16)
			 :
			 : "x2", "x3", "x4", "memory");
}

static uint64_t hvm_param(uint32_t index)
{
	struct {
		uint16_t domid;
		uint32_t index;
		uint64_t value;
	} param = { .domid = DOMID_SELF, .index = index };

	hypercall(HVM_OP, GET_PARAM, &param);
	return param.value;
}

/* Shows lines when they are complete. */
void arch_putc(char c)
{
	static volatile struct console *console;
	static uint32_t port;

	if (!console) {
		console = (struct console *)(uintptr_t)(hvm_param(CONSOLE_PFN) << 12);
		port = (uint32_t)hvm_param(CONSOLE_EVTCHN);
	}
	while (console->out_prod - console->out_cons == OUT)
		hypercall(EVENT_CHANNEL_OP, SEND, &port);
	console->out[console->out_prod % OUT] = c;
	barrier();
	console->out_prod++;
	barrier();
	if (c == '\n')
		hypercall(EVENT_CHANNEL_OP, SEND, &port);
}

/* Ends the domain; whether it failed is on the console. */
void arch_power_off(bool failed)
{
	register uint64_t function __asm__("x0") = PSCI_SYSTEM_OFF;

	__asm__ volatile("hvc #0" : "+r"(function) : : "x1", "x2", "x3", "memory");
	for (;;)
		__asm__ volatile("wfi");
}

uint64_t hostile_slot(unsigned slot)
{
	return slot < DISKS ? MMIO_BASE + slot * MMIO_STRIDE : 0;
}
