/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-i2c: groups of requests, and the simulated chips. */
#include "tests/lib/kit.h"

#include <glib/gstdio.h>
#include <linux/virtio_i2c.h>
#include <time.h>

#include "tests/lib/kit_core.h"
#include "virtio/inflight.h"

#define OK VIRTIO_I2C_MSG_OK
#define ERR VIRTIO_I2C_MSG_ERR
#define MORE VIRTIO_I2C_FLAGS_FAIL_NEXT
#define READ VIRTIO_I2C_FLAGS_M_RD
#define EEPROM 0x50
#define RTC 0x68
#define TMP 0x48

static struct kit_request *add_raw(
	struct kit *k, uint16_t address, uint32_t flags, const void *data, size_t len, size_t room)
{
	g_autofree uint8_t *out = g_malloc0(sizeof(struct virtio_i2c_out_hdr) + len);
	const struct virtio_i2c_out_hdr h = { htole16(address), 0, htole32(flags) };

	memcpy(out, &h, sizeof(h));
	if (len)
		memcpy(out + sizeof(h), data, len);
	return kit_add(k, 0, out, sizeof(h) + len, room + 1);
}

static struct kit_request *add_write(
	struct kit *k, unsigned address, uint32_t flags, const void *data, size_t len)
{
	return add_raw(k, address << 1, flags, data, len, 0);
}

static struct kit_request *add_read(struct kit *k, unsigned address, uint32_t flags, size_t len)
{
	return add_raw(k, address << 1, flags | READ, NULL, 0, len);
}

/* Waits for a request, of which every byte is written, and returns its status. */
static uint8_t status(struct kit *k, struct kit_request *r)
{
	assert_int_equal(kit_wait(k, r), r->in_size);
	return r->in[r->in_size - 1];
}

static uint8_t kicked(struct kit *k, struct kit_request *r)
{
	kit_kick(k, 0);
	return status(k, r);
}

/* Tries again where a device is killed and what was in flight fails, as a guest would. */
static void write_bytes(struct kit *k, unsigned address, const void *data, size_t len)
{
	uint8_t result;

	do
		result = kicked(k, add_write(k, address, 0, data, len));
	while (result == ERR && kit_has_kills(k));
	assert_int_equal(result, OK);
}

/* Writes the number of a register, or of a byte, and reads from there. */
static void read_at(
	struct kit *k, unsigned address, const void *at, size_t width, void *to, size_t len)
{
	struct kit_request *head, *r;
	uint8_t result;

	do {
		head = add_write(k, address, MORE, at, width);
		r = add_read(k, address, 0, len);
		result = kicked(k, r);
		assert_true(result == ERR || status(k, head) == OK);
	} while (result == ERR && kit_has_kills(k));
	assert_int_equal(result, OK);
	memcpy(to, r->in, len);
}

static const char *with_file(struct kit *k, const char *sim)
{
	static char text[256];

	g_snprintf(text, sizeof(text), "--sim=%s,file=%s", sim, kit_path(k, "eeprom"));
	return text;
}

static void test_eeprom(struct kit *k)
{
	uint8_t got[4];

	kit_start(k, with_file(k, "eeprom@0x50"), NULL);
	write_bytes(k, EEPROM,
		"\xfe"
		"abc",
		4);
	read_at(k, EEPROM, "\xfd", 1, got, 4);
	assert_memory_equal(got,
		"\xff"
		"abc",
		3);
	/* From the end it goes on at the beginning. */
	read_at(k, EEPROM, "\0", 1, got, 2);
	assert_memory_equal(got, "c\xff", 2);
}

static void test_large_eeprom(struct kit *k)
{
	static const uint8_t head[] = { 0x12, 0x34, 'x', 'y' };
	uint8_t got[2];

	kit_start(k, with_file(k, "eeprom@0x50,size=64K"), NULL);
	write_bytes(k, EEPROM, head, sizeof(head));
	read_at(k, EEPROM, head, 2, got, 2);
	assert_memory_equal(got, "xy", 2);
	assert_int_equal(kicked(k, add_write(k, EEPROM, 0, head, 1)), ERR);
}

/* The contents are there when another device is started on the file. */
static void test_file(struct kit *k)
{
	g_autofree char *text = NULL;
	size_t len;

	kit_start(k, with_file(k, "eeprom@0x50,size=128"), NULL);
	write_bytes(k, EEPROM, "\x10hello", 6);
	assert_true(g_file_get_contents(kit_path(k, "eeprom"), &text, &len, NULL));
	assert_int_equal(len, 128);
	assert_memory_equal(text + 16, "hello", 5);
	if (!kit_core(k)) /* whose options are gone */
		kit_restart(k);
	read_at(k, EEPROM, "\x10", 1, text, 5);
	assert_memory_equal(text, "hello", 5);
}

static uint8_t bcd(uint8_t value)
{
	return (value >> 4) * 10 + (value & 15);
}

static time_t clock_of(const uint8_t *r)
{
	struct tm tm = {
		.tm_sec = bcd(r[0]),
		.tm_min = bcd(r[1]),
		.tm_hour = bcd(r[2]),
		.tm_mday = bcd(r[4]),
		.tm_mon = bcd(r[5]) - 1,
		.tm_year = bcd(r[6]) + 100,
	};
	time_t t = timegm(&tm);

	assert_int_equal(r[3], tm.tm_wday + 1);
	return t;
}

static void test_rtc(struct kit *k)
{
	/* 31 December 2031, 11:59:59 pm on a clock of 12 hours; stopped. */
	static const uint8_t set[] = { 0, 0xd9, 0x59, 0x71, 3, 0x31, 0x12, 0x31 };
	time_t before = time(NULL), shown;
	uint8_t got[8];

	kit_start(k, "--sim=rtc@0x68", NULL);
	read_at(k, RTC, "", 1, got, 7);
	shown = clock_of(got);
	assert_in_range(shown, before, time(NULL));
	write_bytes(k, RTC, set, sizeof(set));
	read_at(k, RTC, "", 1, got, 7);
	assert_memory_equal(got, "\xd9\x59\x23\x04\x31\x12\x31", 7);
	/* It runs again. */
	write_bytes(k, RTC, "\0\x59", 2);
	read_at(k, RTC, "", 1, got, 7);
	shown = clock_of(got);
	assert_in_range(shown, 1956527999, 1956527999 + 600);
	/* Memory, to the end and on to the time. */
	write_bytes(k, RTC, "\x3eno", 3);
	read_at(k, RTC, "\x3e", 1, got, 2);
	assert_memory_equal(got, "no", 2);
}

static void test_tmp(struct kit *k)
{
	uint8_t got[4];

	kit_start(k, "--sim=tmp@0x48,celsius=-12.5", "--sim=tmp@0x49", NULL);
	read_at(k, TMP, "", 1, got, 4);
	assert_memory_equal(got, "\xf3\x80\xf3\x80", 4);
	read_at(k, TMP + 1, "", 1, got, 2);
	assert_memory_equal(got, "\x19", 2);
	write_bytes(k, TMP, "\3\x20\xf0", 3);
	read_at(k, TMP, "\3", 1, got, 2);
	if (!kit_has_kills(k))
		assert_memory_equal(got, "\x20\xf0", 2);
}

/* As i2cdetect does: neither data nor an answer but the status. */
static void test_scan(struct kit *k)
{
	kit_start(k, "--sim=eeprom@0x50", "--sim=tmp@0x48", NULL);
	for (unsigned a = 0x46; a < 0x54; a++) {
		uint8_t expected = a == EEPROM || a == TMP ? OK : ERR;

		assert_int_equal(kicked(k, add_write(k, a, 0, NULL, 0)), expected);
		assert_int_equal(kicked(k, add_read(k, a, 0, 0)), expected);
	}
}

/* A request that is none fails, and the next one is served. */
static void test_bad_requests(struct kit *k)
{
	static uint8_t bytes[8193];

	kit_start(k, "--sim=eeprom@0x50", NULL);
	assert_int_equal(kicked(k, add_raw(k, EEPROM << 1 | 1, 0, "", 1, 0)), ERR);
	assert_int_equal(kicked(k, add_raw(k, EEPROM << 1 | 0x100, 0, "", 1, 0)), ERR);
	assert_int_equal(kicked(k, add_write(k, EEPROM, 4, "", 1)), ERR);
	assert_int_equal(kicked(k, add_raw(k, EEPROM << 1, READ, "", 1, 1)), ERR);
	assert_int_equal(kicked(k, add_raw(k, EEPROM << 1, 0, "", 1, 1)), ERR);
	assert_int_equal(kicked(k, add_write(k, EEPROM, 0, bytes, sizeof(bytes))), ERR);
	assert_int_equal(kicked(k, add_read(k, EEPROM, 0, sizeof(bytes))), ERR);
	assert_int_equal(kicked(k, kit_add(k, 0, "short", 5, 1)), ERR);
	assert_int_equal(kicked(k, add_write(k, EEPROM, 0, bytes, sizeof(bytes) - 1)), OK);
}

static void test_no_status(struct kit *k)
{
	kit_start(k, "--sim=eeprom@0x50", NULL);
	kit_send(k, 0, "No answer", 8, 0);
	kit_wait_broken(k, "no room for a status");
}

/* After a failure the rest of the group fails, and only that. */
static void test_fail_next(struct kit *k)
{
	struct kit_request *r[3];
	uint8_t got;

	kit_start(k, "--sim=eeprom@0x50", NULL);
	r[0] = add_write(k, 0x51, MORE, "\1x", 2);
	r[1] = add_write(k, EEPROM, 0, "\1x", 2);
	r[2] = add_write(k, EEPROM, 0, "\2y", 2);
	kit_kick(k, 0);
	assert_int_equal(status(k, r[0]), ERR);
	assert_int_equal(status(k, r[1]), ERR);
	assert_int_equal(status(k, r[2]), OK);
	read_at(k, EEPROM, "\1", 1, &got, 1);
	assert_int_equal(got, 0xff);
	/* Those before it have succeeded. */
	r[0] = add_write(k, EEPROM, MORE, "\1z", 2);
	r[1] = add_write(k, 0x51, 0, "", 1);
	assert_int_equal(kicked(k, r[0]), OK);
	assert_int_equal(status(k, r[1]), ERR);
}

/* The rest of a group is waited for, as it may come later; but not for ever. */
static void test_rest_of_group(struct kit *k)
{
	struct kit_request *head, *r;

	kit_start(k, "--sim=eeprom@0x50", NULL);
	head = add_write(k, EEPROM, MORE, "\1q\xff", 3);
	kit_kick(k, 0);
	r = add_write(k, EEPROM, 0, "\2", 1);
	assert_int_equal(kicked(k, r), OK);
	assert_int_equal(status(k, head), OK);
	head = add_write(k, EEPROM, MORE, "\1r", 2);
	assert_int_equal(kicked(k, head), OK);
	/* Late as it is, it belongs to a group that has failed. */
	head = add_write(k, 0x51, MORE, "", 1);
	assert_int_equal(kicked(k, head), ERR);
	assert_int_equal(kicked(k, add_write(k, EEPROM, 0, "\1", 1)), ERR);
	assert_int_equal(kicked(k, add_write(k, EEPROM, 0, "\1", 1)), OK);
}

/* A group that is longer than a transfer of the host may be fails as a whole, too. */
static void test_long_group(struct kit *k)
{
	struct kit_request *r[60];

	kit_start(k, "--sim=eeprom@0x50", NULL);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < G_N_ELEMENTS(r); i++)
			r[i] = add_write(k, !i && round ? 0x51 : EEPROM,
				i + 1 < G_N_ELEMENTS(r) ? MORE : 0, "\1s", 2);
		kit_kick(k, 0);
		for (unsigned i = 0; i < G_N_ELEMENTS(r); i++)
			assert_int_equal(status(k, r[i]), round ? ERR : OK);
	}
	assert_int_equal(kicked(k, add_write(k, EEPROM, 0, "\1", 1)), OK);
}

/* What was in flight when a process died is not carried out again. */
static void test_retry(struct kit *k)
{
	struct kit_core *c = kit_core(k);
	struct virtio_inflight_split *area;
	struct kit_request *r;
	uint8_t got;

	kit_start(k, "--sim=eeprom@0x50", NULL);
	if (!c || kit_is_packed(k))
		return;
	kit_core_stop(c);
	r = add_write(k, EEPROM, 0, "\1x", 2);
	driver_ring_publish(c->queue[0].ring);
	area = c->queue[0].inflight;
	area->entry[0].inflight = 1;
	c->queue[0].base++;
	kit_core_resume(c);
	assert_int_equal(status(k, r), ERR);
	read_at(k, EEPROM, "\1", 1, &got, 1);
	assert_int_equal(got, 0xff);
}

/* Calls the method "set"; returns false if it fails. */
static bool set(struct kit *k, unsigned address, const char *key, const char *value)
{
	g_autofree char *params = g_strdup_printf(
		"\"address\":%u,\"key\":\"%s\",\"value\":\"%s\"", address, key, value);
	const char *reply = kit_call(k, "set", params);

	assert_true(!strstr(reply, "\"error\"") == !!strstr(reply, "\"result\""));
	return strstr(reply, "\"result\"");
}

static void test_set(struct kit *k)
{
	uint8_t got[8];

	kit_start(k, "--sim=tmp@0x48", "--sim=rtc@0x68", "--sim=eeprom@0x50", NULL);
	assert_true(set(k, TMP, "celsius", "-0.5"));
	read_at(k, TMP, "", 1, got, 2);
	assert_memory_equal(got, "\xff\x80", 2);
	assert_true(set(k, RTC, "time", "951782400"));
	read_at(k, RTC, "", 1, got, 7);
	assert_memory_equal(got + 4, "\x29\x02", 3);
	assert_false(set(k, TMP, "celsius", "126"));
	assert_false(set(k, EEPROM, "size", "128"));
	assert_false(set(k, 0x11, "celsius", "1"));
}

static void test_not_negotiated(struct kit *k)
{
	kit_start(k, "--sim=eeprom@0x50", NULL);
	assert_int_equal(kicked(k, add_write(k, EEPROM, 0, "\1", 1)), ERR);
}

static void test_bad_options(struct kit *k)
{
	static const char *const bad[][2] = {
		{ "--sim=eeprom@0x78", "0x78 (0x03 to 0x77)" },
		{ "--sim=eeprom", "eeprom@ADDRESS" },
		{ "--sim=eeprom@0x50,size=512", "512 (a power of two" },
		{ "--sim=eeprom@0x50,color=red", "size=BYTES" },
		{ "--sim=eeprom@0x50,file=/nowhere/eeprom", "/nowhere/eeprom" },
		{ "--sim=eeprom@0x50,file=/dev/null", "regular" },
		{ "--sim=tmp@0x48,celsius=hot", "hot (-55 to 125)" },
		{ "--sim=rtc@0x68,time=1", "invalid time: 1" },
		{ "--device-list=1", "BUS:ADDRESS" },
		{ "--device-list=99999:0x50", "/dev/i2c-99999: No such file" },
	};

	kit_start_fails(k, "--sim=CHIP is missing", NULL);
	kit_start_fails(k, "given twice", "--sim=rtc@0x50", "--sim=eeprom@0x50", NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		kit_start_fails(k, bad[i][1], bad[i][0], NULL);
}

/* A killed chip forgets what is in no file: KIT_NO_KILL. */
static const struct kit_test tests[] = {
	{ "EEPROM", test_eeprom },
	{ "large EEPROM", test_large_eeprom, .skip = KIT_NO_KILL },
	{ "file", test_file },
	{ "clock", test_rtc, .skip = KIT_NO_KILL },
	{ "thermometer", test_tmp },
	{ "scan", test_scan, .skip = KIT_NO_KILL },
	{ "bad requests", test_bad_requests, .skip = KIT_NO_KILL },
	{ "no status", test_no_status },
	{ "FAIL_NEXT", test_fail_next, .skip = KIT_NO_KILL },
	{ "rest of a group", test_rest_of_group, .skip = KIT_NO_KILL },
	{ "long group", test_long_group, .skip = KIT_NO_KILL },
	{ "retry", test_retry, .skip = KIT_NO_PROCESS | KIT_NO_PAUSE },
	{ "set", test_set, .skip = KIT_NO_KILL },
	{ "not negotiated", test_not_negotiated, .features = 1ull << 24, .skip = KIT_NO_KILL },
	{ "bad options", test_bad_options },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
