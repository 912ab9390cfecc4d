/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ACPI tables: found as an operating system finds them, sums and lengths, what each device is
 * said to have; and ACPICA's iasl, which takes them apart and compiles them again.
 */
#include "tests/lib/test.h"

#include "kvm-stub/boot/acpi.h"
#include "kvm-stub/layout.h"

#define ADDR 0xe0000u
#define LIMIT 0x20000u
#define MAX_TABLES 8

static struct ram *r;

struct acpi_table {
	const uint8_t *bytes;
	uint32_t len;
};

static int setup(void **state)
{
	plain_setup(state);
	r = ram_new(4 << 20, NULL);
	return r ? 0 : -1;
}

static int teardown(void **state)
{
	ram_free(r);
	return plain_teardown(state);
}

static uint64_t int_at(const uint8_t *p, unsigned n)
{
	uint64_t value = 0;

	memcpy(&value, p, n);
	return value;
}

static void assert_sum(const uint8_t *bytes, uint32_t len)
{
	uint8_t sum = 0;

	for (uint32_t i = 0; i < len; i++)
		sum += bytes[i];
	assert_int_equal(sum, 0);
}

static struct acpi_table table_at(uint64_t addr, const char *signature)
{
	const uint8_t *p = ram_at(r, addr, 36);
	uint32_t len;

	assert_non_null(p);
	assert_memory_equal(p, signature, 4);
	len = (uint32_t)int_at(p + 4, 4);
	assert_in_range(addr, ADDR, ADDR + LIMIT - len);
	assert_sum(p, len);
	return (struct acpi_table){ p, len };
}

/* Finds a table by RSDP and XSDT; the DSDT by the FADT. */
static struct acpi_table find(const char *signature)
{
	const uint8_t *rsdp = ram_at(r, ADDR, 36);
	struct acpi_table xsdt;

	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_sum(rsdp, 20);
	assert_sum(rsdp, 36);
	assert_int_equal(rsdp[15], 2);
	xsdt = table_at(int_at(rsdp + 24, 8), "XSDT");
	assert_int_equal((xsdt.len - 36) % 8, 0);
	if (!strcmp(signature, "XSDT"))
		return xsdt;
	for (uint32_t at = 36; at < xsdt.len; at += 8) {
		uint64_t addr = int_at(xsdt.bytes + at, 8);

		if (!memcmp(ram_at(r, addr, 4), signature, 4))
			return table_at(addr, signature);
	}
	return table_at(int_at(find("FACP").bytes + 140, 8), signature);
}

static void build(unsigned cpus, unsigned n_slots)
{
	uint64_t used = acpi_build(r, ADDR, LIMIT, cpus, n_slots, NULL);

	assert_in_range(used, 36 * 4, LIMIT);
	/* Nothing behind it. */
	for (uint64_t at = used; at < LIMIT; at++)
		assert_int_equal(((const uint8_t *)ram_at(r, ADDR, LIMIT))[at], 0);
}

static void test_fadt(void **state)
{
	const uint8_t *f;

	build(1, 1);
	f = find("FACP").bytes;
	assert_int_equal(find("FACP").len, 276);
	assert_int_equal(int_at(f + 40, 4), int_at(f + 140, 8));
	assert_int_equal(int_at(f + 112, 4) & (1 << 20 | 1 << 10), 1 << 20 | 1 << 10);
	assert_int_equal(int_at(f + 109, 2) & 2, 0); /* no keyboard controller */
	assert_int_equal(f[116], 1);
	assert_int_equal(int_at(f + 120, 8), RESET_PORT);
	assert_int_equal(f[128], RESET_VALUE);
	assert_int_equal(int_at(f + 248, 8), SLEEP_CONTROL_PORT);
	assert_int_equal(int_at(f + 260, 8), SLEEP_STATUS_PORT);
}

static void test_madt(void **state)
{
	const unsigned cpus[] = { 1, 2, MAX_CPUS };
	struct acpi_table m;

	for (unsigned i = 0; i < G_N_ELEMENTS(cpus); i++) {
		memset(r->host, 0, r->size);
		build(cpus[i], 0);
		m = find("APIC");
		assert_int_equal(m.len, 44 + 8 * cpus[i] + 12);
		for (unsigned c = 0; c < cpus[i]; c++) {
			const uint8_t *lapic = m.bytes + 44 + 8 * c;

			assert_int_equal(lapic[0], 0);
			assert_int_equal(lapic[3], c);
			assert_int_equal(int_at(lapic + 4, 4), 1);
		}
		assert_int_equal(m.bytes[44 + 8 * cpus[i]], 1);
		assert_int_equal(int_at(m.bytes + m.len - 8, 4), 0xfec00000);
	}
}

static void test_no_room(void **state)
{
	g_autoptr(GError) error = NULL;

	assert_int_equal(acpi_build(r, ADDR, 500, 1, MAX_SLOTS, &error), 0);
	assert_non_null(strstr(error->message, "1 vCPUs"));
	g_clear_error(&error);
	assert_int_equal(acpi_build(r, r->size - 4096, LIMIT, 1, 1, &error), 0);
	assert_non_null(error);
	for (uint64_t i = 0; i < r->size; i++)
		assert_int_equal(r->host[i], 0);
}

/* Runs iasl in this folder; returns its output. */
static char *run_iasl(const char *dir, const char *option, const char *file, int *status)
{
	const char *argv[] = { "iasl", option, file, NULL };
	char *out = NULL;

	assert_true(g_spawn_sync(dir, (char **)argv, NULL,
		G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &out, NULL, status,
		NULL));
	return out;
}

/* Converts table -> source -> table; returns the source. */
static char *round_trip(const char *dir, const char *signature)
{
	struct acpi_table t = find(signature);
	g_autofree char *table = g_strdup_printf("%s/%s.aml", dir, signature);
	g_autofree char *source = g_strdup_printf("%s/%s.dsl", dir, signature);
	g_autofree char *apart = NULL, *again = NULL;
	char *text = NULL;
	int status;

	assert_true(g_file_set_contents(table, (const char *)t.bytes, t.len, NULL));
	apart = run_iasl(dir, "-d", table, &status);
	assert_int_equal(status, 0);
	again = run_iasl(dir, "-we", source, &status);
	if (status || !strstr(again, "Compilation successful. 0 Errors"))
		fail_msg("%s: %s", signature, again);
	assert_true(g_file_get_contents(source, &text, NULL, NULL));
	assert_null(strstr(text, "ncorrect checksum"));
	return text;
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	while ((text = strstr(text, what)) != NULL) {
		text++;
		n++;
	}
	return n;
}

static void check_source(const char *dir, unsigned n_slots)
{
	g_autofree char *text = NULL;

	memset(r->host, 0, r->size);
	build(2, n_slots);
	text = round_trip(dir, "DSDT");
	assert_int_equal(count(text, "\"LNRO0005\""), n_slots);
	assert_int_equal(count(text, "\"PNP0501\""), 1);
	assert_int_equal(count(text, "Memory32Fixed (ReadWrite"), n_slots);
	assert_int_equal(count(text, "Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive"),
		n_slots + 1);
	assert_int_equal(count(text, "Name (\\_S5"), 1);
	for (unsigned i = 0; i < n_slots; i++) {
		g_autofree char *base = g_strdup_printf("0x%08lX", virtio_addr(i));
		g_autofree char *irq = g_strdup_printf("0x%08X,\n", virtio_irq(i));

		assert_int_equal(count(text, base), 1);
		assert_int_equal(count(text, irq), 1);
	}
}

static void test_iasl(void **state)
{
	g_autofree char *tool = g_find_program_in_path("iasl");
	struct test *t = *state;

	if (!tool) {
		print_message(
			"SKIPPED: no iasl here (Debian: acpica-tools): AML was not checked\n");
		skip();
	}
	test_path(t, "");
	/* Lengths below and above what one byte, and two bytes, of a PkgLength hold. */
	check_source(t->dir, 0);
	check_source(t->dir, 1);
	check_source(t->dir, MAX_SLOTS);
	for (unsigned i = 0; i < 3; i++)
		g_free(round_trip(t->dir, ((const char *[]){ "FACP", "APIC", "XSDT" })[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_fadt),
		TEST(test_madt),
		TEST(test_no_room),
		TEST(test_iasl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
