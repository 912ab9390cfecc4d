/* SPDX-License-Identifier: Apache-2.0 */
/* Where things are in the guest: constants of each architecture, and nothing else. */
#pragma once

#include <stdint.h>

/*
 * One page for each device slot, at VIRTIO_BASE + slot * VIRTIO_STRIDE; its interrupt by
 * virtio_irq().
 */
#define VIRTIO_STRIDE 0x1000u
#define RESULT_FAILED 1u

/* LAYOUT_ARM64: for tests of the files of arm64 elsewhere. */
#if (defined(__x86_64__) || defined(__i386__)) && !defined(LAYOUT_ARM64)

#define RAM_BASE UINT64_C(0)
/* RAM ends here at the latest and goes on at 4 GiB: between them lie devices, IOAPIC and LAPIC. */
#define RAM_HOLE_START UINT64_C(0xc0000000)
#define RAM_HOLE_END UINT64_C(0x100000000)
#define VIRTIO_BASE UINT64_C(0xd0000000)
/* Inputs of the IOAPIC that nothing else of this machine uses: one for each slot. */
#define VIRTIO_FIRST_IRQ 5u
#define MAX_SLOTS 19u
/* Local APICs have 8-bit ids; 255 is the broadcast id. */
#define MAX_CPUS 254u
/* Windows of devices' shared memory: the first that fit below 4 GiB, others above it and RAM. */
#define SHM_LOW_START UINT64_C(0xe0000000)
#define SHM_LOW_END UINT64_C(0xfe000000)
#define SHM_HIGH_START UINT64_C(0x100000000)
#define SHM_HIGH_END (UINT64_C(1) << 39)
#define I8042_PORT 0x64u
#define SERIAL_PORT 0x3f8u
#define SERIAL_IRQ 4u
/* ACPI, hardware-reduced: SLEEP_CONTROL_REG, SLEEP_STATUS_REG and RESET_REG. */
#define SLEEP_CONTROL_PORT 0x600u
#define SLEEP_STATUS_PORT 0x601u
#define RESET_PORT 0x602u
#define RESET_VALUE 1u
/* The fields of SLEEP_CONTROL_REG: SLP_EN, and the type that \_S5 names. */
#define SLEEP_ENABLE 0x20u
#define SLEEP_TYPE_S5 5u
#define CHIPSET_RESET_PORT 0xcf9u
/* The built-in guest writes RESULT_FAILED here before it powers off if anything was not right. */
#define RESULT_PORT 0x604u
/* The ACPI device QEMU0001 (one port): a guest's kernel says that it has panicked. */
#define PANIC_PORT 0x505u
/* KVM on Intel wants four pages that the guest does not use. */
#define KVM_TSS_ADDR UINT64_C(0xfffbd000)

#elif defined(__aarch64__) || defined(LAYOUT_ARM64)

#define RAM_BASE UINT64_C(0x40000000)
/* RAM is in one piece. */
#define RAM_HOLE_START UINT64_MAX
#define RAM_HOLE_END UINT64_MAX
#define GIC_DIST_BASE UINT64_C(0x08000000)
#define GIC_DIST_SIZE UINT64_C(0x10000)
#define GIC_CPU_BASE UINT64_C(0x08010000) /* GICv2's CPU interface */
#define GIC_CPU_SIZE UINT64_C(0x10000)
#define GIC_REDIST_BASE UINT64_C(0x080a0000) /* GICv3's redistributors, one pair of pages a vCPU */
#define GIC_REDIST_STRIDE UINT64_C(0x20000)
#define MAX_CPUS ((unsigned)((SERIAL_BASE - GIC_REDIST_BASE) / GIC_REDIST_STRIDE))
#define SERIAL_BASE UINT64_C(0x09000000)
#define SERIAL_SIZE UINT64_C(0x1000)
/* The built-in guest writes RESULT_FAILED here before it powers off if anything was not right. */
#define RESULT_ADDR UINT64_C(0x09010000)
#define RESULT_SIZE UINT64_C(0x1000)
/* "qemu,pvpanic-mmio": a guest's kernel says that it has panicked. */
#define PANIC_ADDR UINT64_C(0x09020000)
#define PANIC_SIZE UINT64_C(0x1000)
#define RTC_ADDR UINT64_C(0x09030000)
#define RTC_SIZE UINT64_C(0x1000)
/* Shared peripheral interrupts (SPI n is GIC interrupt 32 + n). */
#define SERIAL_IRQ 1u
#define RTC_IRQ 2u
#define VIRTIO_BASE UINT64_C(0x0a000000)
#define VIRTIO_FIRST_IRQ 16u
#define MAX_SLOTS 32u
/* Windows of devices' shared memory: the first that fit below RAM, others above it. */
#define SHM_LOW_START UINT64_C(0x10000000)
#define SHM_LOW_END RAM_BASE
#define SHM_HIGH_START RAM_BASE
#define SHM_HIGH_END (UINT64_C(1) << 40)

#else
#error "virtiod-kvm is for x86_64 and arm64"
#endif

/* The built-in guest, with its rings and stack. */
#define SELFTEST_ADDR (RAM_BASE + 0x100000u)
#define SELFTEST_SIZE 0x100000u

static inline uint64_t virtio_addr(unsigned slot)
{
	return VIRTIO_BASE + (uint64_t)slot * VIRTIO_STRIDE;
}

static inline unsigned virtio_irq(unsigned slot)
{
	return VIRTIO_FIRST_IRQ + slot;
}
