/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI 6.4 for a machine without ACPI hardware (FADT flag HW_REDUCED_ACPI): no PM timer, no SCI, no
 * 8259; sleep and reset are ports. The DSDT is AML (§20.2), built inside out: the body of a scope,
 * device or package first, because its length precedes it.
 */
#include "kvm-stub/boot/acpi.h"

#include <inttypes.h>
#include <string.h>

#include "kvm-stub/layout.h"

#define LAPIC_ADDR 0xfee00000u
#define IOAPIC_ADDR 0xfec00000u

#define OEM_ID "VIRTIO"
#define OEM_TABLE_ID "VIRTIODK"

#define RSDP_LEN 36u
#define FADT_LEN 276u

static void put(GByteArray *out, const void *bytes, size_t len)
{
	g_byte_array_append(out, bytes, (guint)len);
}

/* Appends the low n bytes of value, little-endian. */
static void put_int(GByteArray *out, uint64_t value, unsigned n)
{
	value = GUINT64_TO_LE(value);
	put(out, &value, n);
}

static void set_int(GByteArray *table, unsigned offset, uint64_t value, unsigned n)
{
	value = GUINT64_TO_LE(value);
	memcpy(table->data + offset, &value, n);
}

/* Writes a Generic Address Structure (§5.2.3.2) of a one-byte port. */
static void set_port(GByteArray *table, unsigned offset, uint16_t port)
{
	const uint8_t gas[4] = { 1 /* system I/O */, 8 /* bits */, 0, 1 /* byte access */ };

	memcpy(table->data + offset, gas, sizeof(gas));
	set_int(table, offset + 4, port, 8);
}

static void set_checksum(uint8_t *bytes, unsigned len, unsigned at)
{
	uint8_t sum = 0;

	bytes[at] = 0;
	for (unsigned i = 0; i < len; i++)
		sum += bytes[i];
	bytes[at] = (uint8_t)-sum;
}

/* AML */

/* Appends PkgLength (§20.2.4), which counts itself: one byte up to 63, else up to four. */
static void put_package(GByteArray *out, const char *op, size_t op_len, GByteArray *body)
{
	unsigned more = 0;
	uint32_t len = body->len + 1;

	put(out, op, op_len);
	if (len >= 1u << 6)
		for (more = 1; body->len + 1 + more >= 1u << (4 + 8 * more);)
			more++;
	len = body->len + 1 + more;
	put_int(out, more ? more << 6 | (len & 0xf) : len, 1);
	put_int(out, len >> 4, more);
	put(out, body->data, body->len);
	g_byte_array_unref(body);
}

#define NAME_OP "\x08"
#define BUFFER_OP "\x11"
#define PACKAGE_OP "\x12"
#define SCOPE_OP "\x10"
#define DEVICE_OP "\x5b\x82"

static void put_byte(GByteArray *out, uint8_t value)
{
	put(out, "\x0a", 1);
	put_int(out, value, 1);
}

static void put_name(GByteArray *out, const char *name)
{
	put(out, NAME_OP, 1);
	put(out, name, strlen(name));
}

/* Appends the buffer _CRS of these resource descriptors (§6.4). */
static void put_crs(GByteArray *out, GByteArray *resources)
{
	GByteArray *body = g_byte_array_new();

	put(resources, "\x79\0", 2); /* end tag */
	put(body, "\x0b", 1);
	put_int(body, resources->len, 2);
	put(body, resources->data, resources->len);
	put_name(out, "_CRS");
	put_package(out, BUFFER_OP, 1, body);
	g_byte_array_unref(resources);
}

/* Puts an extended interrupt: a consumer of an edge, active high, exclusive. */
static void put_interrupt(GByteArray *out, uint32_t irq)
{
	put(out, "\x89\x06\0\x03\x01", 5);
	put_int(out, irq, 4);
}

static void put_device(
	GByteArray *out, const char *name, const char *hid, unsigned uid, GByteArray *resources)
{
	GByteArray *body = g_byte_array_new();

	put(body, name, 4);
	put_name(body, "_HID");
	put(body, "\x0d", 1);
	put(body, hid, strlen(hid) + 1);
	put_name(body, "_UID");
	put_byte(body, (uint8_t)uid);
	put_crs(body, resources);
	put_package(out, DEVICE_OP, 2, body);
}

/* Puts I/O ports, 16 bits decoded: lowest and highest base, alignment, length. */
static GByteArray *port_resources(uint16_t port, uint8_t len)
{
	GByteArray *res = g_byte_array_new();

	put(res, "\x47\x01", 2);
	put_int(res, port, 2);
	put_int(res, port, 2);
	put_int(res, 1, 1);
	put_int(res, len, 1);
	return res;
}

static GByteArray *slot_resources(unsigned slot)
{
	GByteArray *res = g_byte_array_new();

	put(res, "\x86\x09\0\x01", 4); /* 32-bit fixed memory, read and write */
	put_int(res, virtio_addr(slot), 4);
	put_int(res, VIRTIO_STRIDE, 4);
	put_interrupt(res, virtio_irq(slot));
	return res;
}

static void put_definitions(GByteArray *out, unsigned n_slots)
{
	GByteArray *scope = g_byte_array_new(), *s5 = g_byte_array_new();
	GByteArray *serial = port_resources(SERIAL_PORT, 8);

	put(scope, "\\_SB_", 5);
	put_interrupt(serial, SERIAL_IRQ);
	put_device(scope, "COM1", "PNP0501", 1, serial);
	put_device(scope, "PNIC", "QEMU0001", 0, port_resources(PANIC_PORT, 1));
	for (unsigned i = 0; i < n_slots; i++) {
		char name[8];

		g_snprintf(name, sizeof(name), "VM%02u", i % 100);
		put_device(scope, name, "LNRO0005", i, slot_resources(i));
	}
	put_package(out, SCOPE_OP, 1, scope);

	/* SLP_TYP for SLEEP_CONTROL_REG, and three that only machines with ACPI hardware use. */
	put(s5, "\x04", 1);
	put_byte(s5, SLEEP_TYPE_S5);
	put(s5, "\0\0\0", 3);
	put_name(out, "\\_S5_");
	put_package(out, PACKAGE_OP, 1, s5);
}

/* Tables */

static GByteArray *table_new(const char *signature, uint8_t revision)
{
	GByteArray *table = g_byte_array_new();

	put(table, signature, 4);
	put_int(table, 0, 4); /* length, in table_place() */
	put_int(table, revision, 1);
	put_int(table, 0, 1); /* checksum, likewise */
	put(table, OEM_ID OEM_TABLE_ID, 14);
	put_int(table, 1, 4);
	put(table, "VIRT", 4); /* creator */
	put_int(table, 1, 4);
	return table;
}

/* Completes the table, appends it to all (which begins at base) and returns its address. */
static uint64_t table_place(GByteArray *all, uint64_t base, GByteArray *table)
{
	uint64_t at;

	while (all->len % 16)
		put_int(all, 0, 1);
	at = base + all->len;
	set_int(table, 4, table->len, 4);
	set_checksum(table->data, table->len, 9);
	put(all, table->data, table->len);
	g_byte_array_unref(table);
	return at;
}

static GByteArray *fadt_new(uint64_t dsdt)
{
	GByteArray *t = table_new("FACP", 6);
	guint filled = t->len;

	g_byte_array_set_size(t, FADT_LEN);
	memset(t->data + filled, 0, FADT_LEN - filled);
	set_int(t, 40, dsdt, 4);
	/* IAPC_BOOT_ARCH: no VGA, no ASPM, no CMOS clock; bit 1 clear: no keyboard controller. */
	set_int(t, 109, 1 << 2 | 1 << 4 | 1 << 5, 2);
	/* WBINVD works; no power and sleep buttons; RESET_REG_SUP; HW_REDUCED_ACPI. */
	set_int(t, 112, 1 << 0 | 1 << 4 | 1 << 5 | 1 << 10 | 1 << 20, 4);
	set_port(t, 116, RESET_PORT);
	set_int(t, 128, RESET_VALUE, 1);
	set_int(t, 131, 4, 1); /* minor version */
	set_int(t, 140, dsdt, 8);
	set_port(t, 244, SLEEP_CONTROL_PORT);
	set_port(t, 256, SLEEP_STATUS_PORT);
	return t;
}

static GByteArray *madt_new(unsigned cpus)
{
	GByteArray *t = table_new("APIC", 5);

	put_int(t, LAPIC_ADDR, 4);
	put_int(t, 0, 4); /* flags: no 8259 */
	for (unsigned i = 0; i < cpus; i++) {
		put(t, "\0\x08", 2); /* LAPIC: processor uid, APIC id, enabled */
		put_int(t, i, 1);
		put_int(t, i, 1);
		put_int(t, 1, 4);
	}
	put(t, "\x01\x0c\0\0", 4); /* IOAPIC 0, inputs from 0 */
	put_int(t, IOAPIC_ADDR, 4);
	put_int(t, 0, 4);
	return t;
}

static void set_rsdp(GByteArray *all, uint64_t xsdt)
{
	memcpy(all->data, "RSD PTR \0" OEM_ID "\x02", 16);
	set_int(all, 20, RSDP_LEN, 4);
	set_int(all, 24, xsdt, 8);
	set_checksum(all->data, 20, 8);
	set_checksum(all->data, RSDP_LEN, 32);
}

uint64_t acpi_build(const struct ram *r, uint64_t addr, uint64_t limit, unsigned cpus,
	unsigned n_slots, GError **error)
{
	g_autoptr(GByteArray) all = g_byte_array_new();
	GByteArray *dsdt = table_new("DSDT", 2), *xsdt = table_new("XSDT", 1);
	uint64_t dsdt_addr;
	void *to;

	g_byte_array_set_size(all, RSDP_LEN);
	memset(all->data, 0, RSDP_LEN);
	put_definitions(dsdt, n_slots);
	dsdt_addr = table_place(all, addr, dsdt);
	put_int(xsdt, table_place(all, addr, fadt_new(dsdt_addr)), 8);
	put_int(xsdt, table_place(all, addr, madt_new(cpus)), 8);
	set_rsdp(all, table_place(all, addr, xsdt));

	to = ram_at(r, addr, limit);
	if (all->len > limit || !to) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC,
			"ACPI tables for %u vCPUs and %u devices do not fit: %u bytes, %" PRIu64
			" bytes of room at 0x%" PRIx64,
			cpus, n_slots, all->len, to ? limit : 0, addr);
		return 0;
	}
	memcpy(to, all->data, all->len);
	return all->len;
}
