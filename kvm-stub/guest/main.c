/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the slots of virtio-mmio and tests each device twice, with a reset in between. */
#include "arch.h"
#include "guest.h"

#include <stdarg.h>

enum { MAGIC = 0x0, VERSION = 0x4, DEVICE_ID = 0x8 };
#define MAGIC_VALUE 0x74726976u /* "virt" */

static const struct known {
	uint32_t id;
	const char *name;
	bool (*test)(struct device *d);
} known[] = {
	{ 2, "block", block_test },
	{ 4, "entropy", entropy_test },
};

/* A compiler may call it, even without a library. volatile: it must not find one in here. */
void *memset(void *to, int byte, size_t len);
void *memset(void *to, int byte, size_t len)
{
	volatile uint8_t *at = to;

	while (len--)
		*at++ = (uint8_t)byte;
	return to;
}

static void print_string(const char *s)
{
	while (*s)
		arch_putc(*s++);
}

static void print_number(uint32_t n, unsigned base)
{
	char text[12], *at = text + sizeof(text) - 1;

	*at = 0;
	do {
		*--at = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	if (base == 16)
		print_string("0x");
	print_string(at);
}

static void vprint(const char *format, va_list args)
{
	for (; *format; format++) {
		if (*format == '\n')
			arch_putc('\r');
		if (*format != '%') {
			arch_putc(*format);
			continue;
		}
		format++;
		if (*format == 's')
			print_string(va_arg(args, const char *));
		else
			print_number(va_arg(args, uint32_t), *format == 'x' ? 16 : 10);
	}
}

static void __attribute__((format(printf, 1, 2))) print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprint(format, args);
	va_end(args);
}

void report(const struct device *d, const char *format, ...)
{
	va_list args;

	if (d->again)
		return;
	print("selftest: slot %u: ", d->slot);
	va_start(args, format);
	vprint(format, args);
	va_end(args);
	print("\n");
}

bool fail(const struct device *d, const char *what)
{
	print("selftest: slot %u: FAILED: %s\n", d->slot, what);
	return false;
}

/* Tests all that can be tested of a device that is not known here. */
static bool unknown_test(struct device *d)
{
	return device_start(d, 0);
}

static bool slot_test(struct device *d)
{
	const struct known *k = NULL;

	for (unsigned i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (known[i].id == d->id)
			k = &known[i];
	report(d, "device id %u, %s", d->id,
		k ? k->name : "not known here: it is started and reset, no more");
	for (unsigned round = 0; round < 2; round++) {
		d->again = round > 0;
		if (!(k ? k->test : unknown_test)(d) || !shm_test(d) || !device_reset(d) ||
			!shm_is_zero(d))
			return false;
	}
	print("selftest: slot %u: passed, and after a reset again\n", d->slot);
	return true;
}

void selftest_main(void)
{
	unsigned n = 0, passed = 0;

	arch_init();
	for (unsigned slot = 0; slot < MAX_SLOTS; slot++) {
		struct device d = { .slot = slot, .base = virtio_addr(slot) };

		if (mmio_read(d.base + MAGIC) != MAGIC_VALUE)
			continue;
		d.id = mmio_read(d.base + DEVICE_ID);
		if (d.id == 0)
			continue;
		n++;
		if (mmio_read(d.base + VERSION) != 2)
			fail(&d, "not version 2 of virtio-mmio");
		else if (slot_test(&d))
			passed++;
	}
	print("selftest: %u devices, %u passed, %u failed\n", n, passed, n - passed);
	arch_power_off(passed != n);
}
