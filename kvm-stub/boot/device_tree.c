/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds the device tree by libfdt's sequential writes. Bindings: Documentation/devicetree/bindings
 * in Linux.
 */
#include "kvm-stub/boot/device_tree.h"

#include <inttypes.h>
#include <libfdt.h>
#include <string.h>
#include <sys/random.h>

#include "kvm-stub/layout.h"

enum { PHANDLE_GIC = 1, PHANDLE_CLOCK };

/* The cells of the GIC's binding: shared or private interrupt, number, trigger. */
enum { GIC_SPI = 0, GIC_PPI = 1 };
enum { EDGE_RISING = 1, LEVEL_HIGH = 4 };

/* Private interrupts of the timer, as Arm's base system architecture numbers them. */
static const uint32_t timer_ppi[] = { 13, 14, 11, 10 }; /* secure, EL1, virtual, EL2 */

/* Keeps the first error, because libfdt does not. */
struct writer {
	void *fdt;
	int err;
};

#define WRITE(w, call) ((w)->err = (w)->err ? (w)->err : (call))

static void begin(struct writer *w, const char *name)
{
	WRITE(w, fdt_begin_node(w->fdt, name));
}

static void begin_at(struct writer *w, const char *name, uint64_t addr)
{
	g_autofree char *full = g_strdup_printf("%s@%" PRIx64, name, addr);

	begin(w, full);
}

static void end(struct writer *w)
{
	WRITE(w, fdt_end_node(w->fdt));
}

static void put_bytes(struct writer *w, const char *name, const void *bytes, size_t len)
{
	WRITE(w, fdt_property(w->fdt, name, bytes, (int)len));
}

static void put_string(struct writer *w, const char *name, const char *value)
{
	put_bytes(w, name, value, strlen(value) + 1);
}

/* Adds a property without value. */
static void put_flag(struct writer *w, const char *name)
{
	put_bytes(w, name, "", 0);
}

static void put_array(struct writer *w, const char *name, const uint32_t *cell, unsigned n)
{
	fdt32_t big[16];

	for (unsigned i = 0; i < n; i++)
		big[i] = cpu_to_fdt32(cell[i]);
	put_bytes(w, name, big, n * sizeof(*big));
}

#define put_cells(w, name, ...)                               \
	put_array(w, name, (const uint32_t[]){ __VA_ARGS__ }, \
		sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

/* A 64-bit number in two cells. */
#define CELLS(value) (uint32_t)((uint64_t)(value) >> 32), (uint32_t)(value)

/*
 * Returns MPIDR_EL1 as KVM derives it from a vCPU's number: clusters of 16 (the targets of one
 * interrupt of GICv3), then groups of 256.
 */
static uint32_t mpidr(unsigned cpu)
{
	return (cpu & 0xf) | (cpu >> 4 & 0xff) << 8 | (cpu >> 12 & 0xff) << 16;
}

static void put_cpus(struct writer *w, unsigned cpus)
{
	begin(w, "cpus");
	put_cells(w, "#address-cells", 1);
	put_cells(w, "#size-cells", 0);
	for (unsigned i = 0; i < cpus; i++) {
		begin_at(w, "cpu", mpidr(i));
		put_string(w, "device_type", "cpu");
		put_string(w, "compatible", "arm,armv8");
		put_string(w, "enable-method", "psci");
		put_cells(w, "reg", mpidr(i));
		end(w);
	}
	end(w);

	begin(w, "psci");
	put_bytes(w, "compatible", "arm,psci-1.0\0arm,psci-0.2", 26);
	put_string(w, "method", "hvc");
	end(w);
}

static void put_gic(struct writer *w, const struct device_tree_machine *m)
{
	begin_at(w, "interrupt-controller", GIC_DIST_BASE);
	if (m->gic_version == 3) {
		put_string(w, "compatible", "arm,gic-v3");
		put_cells(w, "reg", CELLS(GIC_DIST_BASE), CELLS(GIC_DIST_SIZE),
			CELLS(GIC_REDIST_BASE), CELLS(GIC_REDIST_STRIDE * m->cpus));
	} else {
		put_string(w, "compatible", "arm,cortex-a15-gic");
		put_cells(w, "reg", CELLS(GIC_DIST_BASE), CELLS(GIC_DIST_SIZE), CELLS(GIC_CPU_BASE),
			CELLS(GIC_CPU_SIZE));
	}
	put_flag(w, "interrupt-controller");
	put_cells(w, "#interrupt-cells", 3);
	put_cells(w, "#address-cells", 0);
	put_cells(w, "phandle", PHANDLE_GIC);
	end(w);
}

static void put_timer(struct writer *w, const struct device_tree_machine *m)
{
	/* GICv2's binding has a mask of the CPUs that receive the interrupt. */
	uint32_t mask = m->gic_version == 3 ? 0 : ((1u << MIN(m->cpus, 8)) - 1) << 8;
	uint32_t flags = LEVEL_HIGH | mask;

	begin(w, "timer");
	put_string(w, "compatible", "arm,armv8-timer");
	put_cells(w, "interrupts", GIC_PPI, timer_ppi[0], flags, GIC_PPI, timer_ppi[1], flags,
		GIC_PPI, timer_ppi[2], flags, GIC_PPI, timer_ppi[3], flags);
	put_flag(w, "always-on");
	end(w);
}

static void put_serial(struct writer *w)
{
	begin_at(w, "serial", SERIAL_BASE);
	put_string(w, "compatible", "ns16550a");
	put_cells(w, "reg", CELLS(SERIAL_BASE), CELLS(SERIAL_SIZE));
	put_cells(w, "interrupts", GIC_SPI, SERIAL_IRQ, LEVEL_HIGH);
	put_cells(w, "clock-frequency", 1843200);
	put_cells(w, "reg-shift", 0);
	put_cells(w, "reg-io-width", 1);
	end(w);
}

static void put_panic(struct writer *w)
{
	begin_at(w, "pvpanic", PANIC_ADDR);
	put_string(w, "compatible", "qemu,pvpanic-mmio");
	put_cells(w, "reg", CELLS(PANIC_ADDR), CELLS(PANIC_SIZE));
	end(w);
}

/* Puts a PL031's clock, on a bus whose binding asks for one. */
static void put_clock(struct writer *w)
{
	begin(w, "apb-pclk");
	put_string(w, "compatible", "fixed-clock");
	put_cells(w, "#clock-cells", 0);
	put_cells(w, "clock-frequency", 24000000);
	put_cells(w, "phandle", PHANDLE_CLOCK);
	end(w);

	begin_at(w, "rtc", RTC_ADDR);
	put_bytes(w, "compatible", "arm,pl031\0arm,primecell", 24);
	put_cells(w, "reg", CELLS(RTC_ADDR), CELLS(RTC_SIZE));
	put_cells(w, "interrupts", GIC_SPI, RTC_IRQ, LEVEL_HIGH);
	put_cells(w, "clocks", PHANDLE_CLOCK);
	put_string(w, "clock-names", "apb_pclk");
	end(w);
}

static void put_slot(struct writer *w, unsigned slot)
{
	begin_at(w, "virtio_mmio", virtio_addr(slot));
	put_string(w, "compatible", "virtio,mmio");
	put_cells(w, "reg", CELLS(virtio_addr(slot)), CELLS(VIRTIO_STRIDE));
	put_cells(w, "interrupts", GIC_SPI, virtio_irq(slot), EDGE_RISING);
	put_flag(w, "dma-coherent");
	end(w);
}

static void put_chosen(struct writer *w, const struct device_tree_machine *m)
{
	g_autofree char *serial = g_strdup_printf("/serial@%" PRIx64, SERIAL_BASE);
	uint32_t seed[2];

	begin(w, "chosen");
	/* Without it a kernel does not randomise its address. */
	if (getrandom(seed, sizeof(seed), 0) == sizeof(seed))
		put_array(w, "kaslr-seed", seed, G_N_ELEMENTS(seed));
	put_string(w, "bootargs", m->cmdline);
	put_string(w, "stdout-path", serial);
	if (m->initrd_size) {
		put_cells(w, "linux,initrd-start", CELLS(m->initrd));
		put_cells(w, "linux,initrd-end", CELLS(m->initrd + m->initrd_size));
	}
	end(w);
}

size_t device_tree_build(void *to, size_t size, const struct device_tree_machine *m, GError **error)
{
	struct writer writer = { .fdt = to }, *w = &writer;

	WRITE(w, fdt_create(to, (int)MIN(size, G_MAXINT)));
	WRITE(w, fdt_finish_reservemap(to));
	begin(w, "");
	put_cells(w, "#address-cells", 2);
	put_cells(w, "#size-cells", 2);
	put_string(w, "compatible", "linux,dummy-virt");
	put_string(w, "model", "virtiod-kvm");
	put_cells(w, "interrupt-parent", PHANDLE_GIC);
	put_chosen(w, m);
	begin_at(w, "memory", RAM_BASE);
	put_string(w, "device_type", "memory");
	put_cells(w, "reg", CELLS(RAM_BASE), CELLS(m->ram_size));
	end(w);
	put_cpus(w, m->cpus);
	put_gic(w, m);
	put_timer(w, m);
	put_serial(w);
	put_panic(w);
	put_clock(w);
	for (unsigned i = 0; i < m->n_slots; i++)
		put_slot(w, i);
	end(w);
	WRITE(w, fdt_finish(to));
	if (!w->err)
		return fdt_totalsize(to);
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC,
		"device tree for %u vCPUs and %u devices: %s", m->cpus, m->n_slots,
		fdt_strerror(w->err));
	return 0;
}
