/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-spi: requests, and the simulated chips. argv[2]: the number of kills. */
#include "tests/lib/kit.h"

#include <glib/gstdio.h>

#include "daemon/devices/spi/spi.h"

#define OK SPI_TRANS_OK

static const char *with_file(struct kit *k)
{
	static char text[256];

	g_snprintf(text, sizeof(text), "--sim=flash,size=64K,file=%s", kit_path(k, "flash"));
	return text;
}

static struct kit_request *send_head(
	struct kit *k, const struct spi_head *h, const void *tx, size_t n_tx, size_t n_rx)
{
	g_autofree uint8_t *out = g_malloc(sizeof(*h) + n_tx);

	memcpy(out, h, sizeof(*h));
	if (n_tx)
		memcpy(out + sizeof(*h), tx, n_tx);
	return kit_send(k, 0, out, sizeof(*h) + n_tx, n_rx + 1);
}

/* Waits for a request, of which every byte is written, and returns its result. */
static uint8_t result_of(struct kit *k, struct kit_request *r)
{
	assert_int_equal(kit_wait(k, r), r->in_size);
	return r->in[r->in_size - 1];
}

static uint8_t try_head(struct kit *k, const struct spi_head *h, size_t n_tx, size_t n_rx)
{
	static const uint8_t zeroes[64];

	return result_of(k, send_head(k, h, zeroes, n_tx, n_rx));
}

/* Transfers with chip select 0. Returns false if that fails. */
static bool transfer(struct kit *k, bool change, const void *tx, size_t n_tx, void *to, size_t n_rx)
{
	const struct spi_head h = { .bits_per_word = 8, .cs_change = change };
	struct kit_request *r = send_head(k, &h, tx, n_tx, n_rx);
	uint8_t result = result_of(k, r);

	if (n_rx)
		memcpy(to, r->in, n_rx);
	return result == OK;
}

static void test_config(struct kit *k)
{
	struct spi_config c;

	kit_start(k, "--sim=loopback", "--sim=flash", NULL);
	kit_config_read(k, 0, &c, sizeof(c));
	assert_int_equal(c.cs_max_number, 2);
	assert_int_equal(c.cs_change_supported, 1);
	assert_int_equal(le32toh(c.bits_per_word_mask), 1u << 7);
	assert_true(le32toh(c.mode_func) & SPI_MF_CPHA_1);
	assert_int_equal(c.max_freq_hz, 0);
}

/* Full duplex, in pieces of the device's and of the driver's. */
static void test_loopback(struct kit *k)
{
	g_autofree uint8_t *tx = g_malloc(10000), *rx = g_malloc(10000);

	for (unsigned i = 0; i < 10000; i++)
		tx[i] = (uint8_t)(i * 7 + i / 256);
	kit_start(k, "--sim=loopback", NULL);
	for (unsigned n = 1; n <= 10000; n = n * 3 + 1) {
		while (!transfer(k, false, tx, n, rx, n))
			assert_true(kit_has_kills(k));
		assert_memory_equal(rx, tx, n);
	}
	while (!transfer(k, false, tx, 5, NULL, 0))
		assert_true(kit_has_kills(k));
	while (!transfer(k, true, NULL, 0, rx, 5))
		assert_true(kit_has_kills(k));
	assert_memory_equal(rx, "\0\0\0\0\0", 5);
}

/* Loses no answer, and gives no wrong one, over many kills. */
static void test_kills(struct kit *k)
{
	unsigned kills = kit_rounds(k, 10);

	kit_start(k, "--sim=loopback", NULL);
	for (unsigned i = 0; i < kills; i++) {
		unsigned got;

		while (!transfer(k, false, &i, sizeof(i), &got, sizeof(got)))
			assert_true(kit_has_kills(k));
		assert_int_equal(got, i);
	}
}

static void test_bad_requests(struct kit *k)
{
	const struct spi_head bad[] = {
		{ .chip_select = 1, .bits_per_word = 8 },
		{ .bits_per_word = 7 },
		{ .bits_per_word = 33 },
		{ .bits_per_word = 8, .tx_nbits = 2 },
		{ .bits_per_word = 8, .rx_nbits = 3 },
		{ .bits_per_word = 8, .mode = htole32(1u << 5) },
	};
	static const struct spi_head good = { .bits_per_word = 8 };
	static const struct spi_head wide = { .bits_per_word = 16 };

	kit_start(k, "--sim=loopback", NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_int_equal(try_head(k, &bad[i], 4, 4), SPI_PARAM_ERR);
	assert_int_equal(try_head(k, &good, 4, 5), SPI_PARAM_ERR);
	assert_int_equal(try_head(k, &good, 0, 0), SPI_PARAM_ERR);
	assert_int_equal(try_head(k, &wide, 3, 3), SPI_PARAM_ERR);
	assert_int_equal(result_of(k, kit_send(k, 0, "short", 5, 1)), SPI_PARAM_ERR);
	assert_int_equal(try_head(k, &wide, 4, 4), OK);
	assert_int_equal(try_head(k, &good, 4, 0), OK);
	assert_int_equal(result_of(k, send_head(k, &good, NULL, 0, (1u << 20) + 1)), SPI_PARAM_ERR);
}

static void test_no_result(struct kit *k)
{
	kit_start(k, "--sim=loopback", NULL);
	kit_send(k, 0, "no result", 9, 0);
	kit_wait_broken(k, "no room for a result");
}

/* Sends a command as Linux does: a request for each part, and none marked as the last. */
static void command(struct kit *k, const void *head, size_t n, const void *tx, void *rx, size_t len)
{
	while (!transfer(k, false, head, 1, NULL, 0) ||
		(n > 1 && !transfer(k, false, (const uint8_t *)head + 1, n - 1, NULL, 0)) ||
		(len && !transfer(k, false, tx, tx ? len : 0, rx, rx ? len : 0)))
		assert_true(kit_has_kills(k));
}

static void read_flash(struct kit *k, uint32_t at, void *to, size_t n)
{
	const uint8_t head[] = { 0x03, (uint8_t)(at >> 16), (uint8_t)(at >> 8), (uint8_t)at };

	command(k, head, sizeof(head), NULL, to, n);
}

static void write_flash(struct kit *k, uint32_t at, const void *from, size_t n)
{
	const uint8_t head[] = { 0x02, (uint8_t)(at >> 16), (uint8_t)(at >> 8), (uint8_t)at };

	command(k, "\x06", 1, NULL, NULL, 0);
	command(k, head, sizeof(head), from, NULL, n);
}

static void test_flash(struct kit *k)
{
	uint8_t got[8];

	kit_start(k, with_file(k), NULL);
	command(k, "\x9f", 1, NULL, got, 3);
	assert_memory_equal(got, "\xef\x40\x10", 3);
	read_flash(k, 0x1fe, got, 4);
	assert_memory_equal(got, "\xff\xff\xff\xff", 4);
	/* Beyond a page's end its beginning follows; bits become 0 only. */
	write_flash(k, 0x1fe, "abcd", 4);
	read_flash(k, 0x1fe, got, 4);
	assert_memory_equal(got, "ab\xff\xff", 4);
	read_flash(k, 0x100, got, 3);
	assert_memory_equal(got, "cd\xff", 3);
	write_flash(k, 0x100, "\xf0\xff", 2);
	read_flash(k, 0x100, got, 2);
	assert_memory_equal(got, "\x60\x64", 2);
	/* Nothing is written unless that was enabled. */
	command(k, "\x02\0\0\x10", 4, "x", NULL, 1);
	read_flash(k, 0x10, got, 1);
	assert_int_equal(got[0], 0xff);
	command(k, "\x06", 1, NULL, NULL, 0);
	command(k, "\x05", 1, NULL, got, 1);
	assert_int_equal(got[0], 2);
	command(k, "\x20\0\x0f\0", 4, NULL, NULL, 0);
	read_flash(k, 0x100, got, 2);
	assert_memory_equal(got, "\xff\xff", 2);
	command(k, "\x05", 1, NULL, got, 1);
	assert_int_equal(got[0], 0);
}

/* A whole image, written and read back; it is in the file. */
static void test_image(struct kit *k)
{
	g_autofree uint8_t *image = g_malloc(4096), *got = g_malloc(4096);
	g_autofree char *text = NULL;
	size_t len;

	for (unsigned i = 0; i < 4096; i++)
		image[i] = (uint8_t)(i ^ i >> 5);
	kit_start(k, with_file(k), NULL);
	for (unsigned at = 0; at < 4096; at += 256)
		write_flash(k, at, image + at, 256);
	read_flash(k, 0, got, 4096);
	assert_memory_equal(got, image, 4096);
	assert_true(g_file_get_contents(kit_path(k, "flash"), &text, &len, NULL));
	assert_int_equal(len, 65536);
	assert_memory_equal(text, image, 4096);
	if (!kit_core(k)) /* whose options are gone */
		kit_restart(k);
	read_flash(k, 0x800, got, 16);
	assert_memory_equal(got, image + 0x800, 16);
}

/* In memory; and one request for a whole command, full duplex. */
static void test_memory(struct kit *k)
{
	uint8_t got[8];

	kit_start(k, "--sim=flash", NULL);
	assert_true(transfer(k, false, "\x06", 1, NULL, 0));
	assert_true(transfer(k, false, "\x02\0\x01\0hi", 6, NULL, 0));
	assert_true(transfer(k, false, "\x03\0\x01\0\0\0\0", 7, got, 7));
	assert_memory_equal(got + 4, "hi\xff", 3);
	assert_true(transfer(k, false, "\x0b\0\x01\0\0\0\0", 7, got, 7));
	assert_memory_equal(got + 4, "\xffhi", 3);
	assert_true(transfer(k, false, "\x06", 1, NULL, 0));
	assert_true(transfer(k, false, "\xc7", 1, NULL, 0));
	assert_true(transfer(k, false, "\x03\0\x01\0\0\0\0", 7, got, 7));
	assert_memory_equal(got + 4, "\xff\xff\xff", 3);
	/* From the end it goes on at the beginning; what is no command has no effect. */
	assert_true(transfer(k, false, "\x03\x0f\xff\xff\0\0", 6, got, 6));
	assert_memory_equal(got + 4, "\xff\xff", 2);
	assert_true(transfer(k, false, "\x55\x06", 2, got, 2));
	assert_true(transfer(k, false, "\x05\0", 2, got, 2));
	assert_int_equal(got[1], 0);
}

/* Whose drivers tell the end of a message: data may come in parts. */
static void test_zephyr(struct kit *k)
{
	uint8_t got[8];

	kit_start(k, "--sim=flash", "--dialect=zephyr", "--cs-idle-us=1000000", NULL);
	assert_true(transfer(k, false, "\x06", 1, NULL, 0));
	assert_true(transfer(k, true, "\x02\0\0\0a", 5, NULL, 0));
	assert_true(transfer(k, true, "b", 1, NULL, 0));
	assert_true(transfer(k, false, "\x06", 1, NULL, 0));
	assert_true(transfer(k, true, "\x03\0\0\0", 4, NULL, 0));
	assert_true(transfer(k, false, "\0\0\0\0", 4, got, 4));
	assert_memory_equal(got, "ab\x06\xff", 4);
}

static void test_bad_options(struct kit *k)
{
	static const char *const bad[][2] = {
		{ "--sim=eeprom", "--sim=eeprom: loopback, or flash" },
		{ "--sim=loopback,size=1", "loopback, or flash" },
		{ "--sim=flash,size=96K", "96K (a power of two from 64K to 16M)" },
		{ "--sim=flash,size=32M", "32M (" },
		{ "--sim=flash,color=red", "color=red" },
		{ "--sim=flash,file=/nowhere/flash", "/nowhere/flash" },
		{ "--sim=flash,file=/dev/null", "regular" },
		{ "--device=/dev/spidev99.9", "/dev/spidev99.9: cannot use it: No such file" },
		{ "--dialect=latin", "linux, zephyr or single" },
		{ "--cs-idle-us=0", "1 to 1000000" },
	};

	kit_start_fails(k, "--sim=CHIP is missing", NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		kit_start_fails(k, bad[i][1], bad[i][0], NULL);
}

/* A killed chip forgets what is in no file, and what it was told of a command: KIT_NO_KILL. */
static const struct kit_test tests[] = {
	{ "configuration", test_config },
	{ "loopback", test_loopback },
	{ "kills", test_kills },
	{ "bad requests", test_bad_requests, .skip = KIT_NO_KILL },
	{ "no result", test_no_result, .skip = KIT_NO_KILL },
	{ "flash", test_flash, .skip = KIT_NO_KILL },
	{ "image", test_image, .skip = KIT_NO_KILL },
	{ "memory", test_memory, .skip = KIT_NO_KILL },
	{ "zephyr", test_zephyr, .skip = KIT_NO_KILL },
	{ "bad options", test_bad_options },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
