/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-input: the configuration's window, recordings, simulated devices, LEDs. */
#include "tests/lib/kit.h"

#include <glib.h>
#include <linux/input.h>
#include <linux/virtio_input.h>

#include "base/util.h"
#include "tests/lib/input_driver.h"

#define DEVICE                                                                  \
	"# EVEMU 1.3\nN: Tablet #1\nI: 0003 046d c52b 0111\n"                   \
	"P: 01 00 00 00 00 00 00 00\nB: 01 00 00 00 40 00 00 00 00\nB: 01 00\n" \
	"B: 03 03 00 00 00 00 80 00 00\nA: 00 -5 1023 1 2 3\nA: 01 0 767 0 0\n" \
	"A: 2f 0 1 0 0 0\nB: 15 ff\n"

static const char *record(struct kit *k, const char *text)
{
	static char option[256];
	const char *path = kit_path(k, "recording");

	assert_true(g_file_set_contents(path, text, -1, NULL));
	g_snprintf(option, sizeof(option), "--replay=%s", path);
	return option;
}

static struct virtio_input_config shown(struct kit *k, uint8_t select, uint8_t subsel)
{
	const uint8_t asked[2] = { select, subsel };
	struct virtio_input_config c;

	kit_config_write(k, 0, asked, sizeof(asked));
	kit_config_read(k, 0, &c, sizeof(c));
	assert_int_equal(c.select, select);
	assert_int_equal(c.subsel, subsel);
	return c;
}

static void test_window(struct kit *k)
{
	static const uint8_t nothing[][2] = { { VIRTIO_INPUT_CFG_UNSET, 0 },
		{ VIRTIO_INPUT_CFG_ID_NAME, 1 }, { VIRTIO_INPUT_CFG_ID_SERIAL, 0 },
		{ VIRTIO_INPUT_CFG_ID_DEVIDS, 9 }, { VIRTIO_INPUT_CFG_PROP_BITS, 1 },
		{ VIRTIO_INPUT_CFG_EV_BITS, EV_LED }, { VIRTIO_INPUT_CFG_EV_BITS, EV_REP },
		{ VIRTIO_INPUT_CFG_EV_BITS, 0xff }, { VIRTIO_INPUT_CFG_EV_BITS, EV_FF },
		{ VIRTIO_INPUT_CFG_ABS_INFO, ABS_Z }, { VIRTIO_INPUT_CFG_ABS_INFO, 0xff },
		{ 0xff, 0 } };
	static const struct virtio_input_config zero;
	struct virtio_input_config c;

	kit_start(k, record(k, DEVICE), NULL);
	c = shown(k, VIRTIO_INPUT_CFG_ID_NAME, 0);
	assert_int_equal(c.size, 9);
	assert_memory_equal(c.u.string, "Tablet #1", 10);
	c = shown(k, VIRTIO_INPUT_CFG_ID_DEVIDS, 0);
	assert_int_equal(c.size, 8);
	assert_memory_equal(c.u.bitmap, "\3\0\x6d\4\x2b\xc5\x11\1", 8);
	c = shown(k, VIRTIO_INPUT_CFG_PROP_BITS, 0);
	assert_int_equal(c.size, 1);
	assert_int_equal(c.u.bitmap[0], 1);
	c = shown(k, VIRTIO_INPUT_CFG_EV_BITS, EV_KEY);
	assert_int_equal(c.size, KEY_A / 8 + 1);
	assert_int_equal(c.u.bitmap[KEY_A / 8], 1 << KEY_A % 8);
	c = shown(k, VIRTIO_INPUT_CFG_ABS_INFO, ABS_X);
	assert_int_equal(c.size, 20);
	assert_int_equal((int)le32toh(c.u.abs.min), -5);
	assert_int_equal(le32toh(c.u.abs.max), 1023);
	assert_int_equal(le32toh(c.u.abs.res), 3);
	for (unsigned i = 0; i < G_N_ELEMENTS(nothing); i++) {
		c = shown(k, nothing[i][0], nothing[i][1]);
		assert_int_equal(c.size, 0);
		assert_memory_equal(&c.u, &zero.u, sizeof(c.u));
	}
}

/* Longer ones than there is room for are cut. */
static void test_long_name(struct kit *k)
{
	g_autofree char *name = g_strnfill(300, 'n'), *text = g_strconcat("N: ", name, NULL);
	struct virtio_input_config c;

	kit_start(k, record(k, text), NULL);
	c = shown(k, VIRTIO_INPUT_CFG_ID_NAME, 0);
	assert_int_equal(c.size, 128);
	assert_memory_equal(c.u.string, name, 128);
}

static void test_bad_recordings(struct kit *k)
{
	static const char *const bad[] = { "X: 1", "hello", "N", "I: 1 2 3", "I: 1 2 3 10000",
		"P: 100", "P: 00 00 00 00 01", "B:", "B: 20 00", "B: 01 xx", "B: 02 00 00 01",
		"A: 40 0 1 0 0", "A: 00 0 1 0", "A: 00 0 99999999999 0 0", "E: 1 0001 0001 1",
		"E: 0.0 0001 001e 1", "E: 0.0 0000 0000 99999999999", "E: 0.0 0000 0000",
		"E: -1.0 0000 0000 0", "E: 0.1000000 0000 0000 0", "E: 0.0 0000 1000 0",
		"E: 99999999999999999999.0 0000 0000 0" };

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *text = g_strconcat("# EVEMU 1.3\n", bad[i], "\n", NULL);

		kit_start_fails(k, "line 2 ", record(k, text), NULL);
		kit_start_fails(k, bad[i], record(k, text), NULL);
	}
}

static void test_bad_options(struct kit *k)
{
	kit_start_fails(k, "no source", NULL);
	kit_start_fails(k, "/nowhere", "--replay=/nowhere", NULL);
	kit_start_fails(k, "/nowhere", "--evdev-path=/nowhere", NULL);
	kit_start_fails(k, "/dev/null", "--evdev-path=/dev/null", NULL);
	kit_start_fails(k, "--sim", "--sim=trackball", NULL);
	kit_start_fails(k, "--sim", "--sim=mouse", "--evdev-path=/dev/null", NULL);
}

/* In their order, and not before their time; again for a driver that starts afresh. */
static void test_replay(struct kit *k)
{
	int64_t start = g_get_monotonic_time();

	kit_start(k,
		record(k,
			DEVICE "E: 7.5 0001 001e 0001 # KEY_A\nE: 7.5 0000 0000 0000\n"
			       "E: 7.550000 0003 0000 -3\nE: 7.550000 0000 0000 0000\n"),
		NULL);
	for (unsigned i = 0; i < 2; i++) {
		input_expect(k, EV_KEY, KEY_A, 1);
		input_expect(k, EV_SYN, SYN_REPORT, 0);
		input_expect(k, EV_ABS, ABS_X, -3);
		assert_true(g_get_monotonic_time() - start >= 50000);
		input_expect(k, EV_SYN, SYN_REPORT, 0);
		start = g_get_monotonic_time();
		kit_reset(k);
	}
}

static void test_replay_again(struct kit *k)
{
	struct kit_request *r;

	kit_start(k, record(k, DEVICE "E: 0.0 0001 001e 1\nE: 0.0 0000 0000 0\n"), NULL);
	input_expect(k, EV_KEY, KEY_A, 1);
	assert_non_null(strstr(kit_call(k, "replay", ""), "being played"));
	input_expect(k, EV_SYN, SYN_REPORT, 0);
	r = input_ask(k);
	assert_false(kit_is_done(k, r));
	assert_non_null(strstr(kit_call(k, "replay", ""), "\"result\""));
	input_expect_in(k, r, EV_KEY, KEY_A, 1);
	input_expect(k, EV_SYN, SYN_REPORT, 0);
}

static void test_send(struct kit *k)
{
	static const char *const bad[] = { "KEY_A", "KEY_NONE=1", "REL_X=1", "KEY_A=", "KEY_A=1x",
		"KEY_A=99999999999", "SYN_REPORT=0 KEY_A=1 =" };
	struct kit_request *r;

	kit_start(k, "--sim=keyboard", NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_non_null(strstr(input_type(k, bad[i]), "\"error\""));
	r = input_ask(k);
	assert_false(kit_is_done(k, r));
	assert_non_null(strstr(input_type(k, "KEY_A=1  SYN_REPORT=0 KEY_A=0"), "\"result\""));
	input_expect_in(k, r, EV_KEY, KEY_A, 1);
	input_expect(k, EV_SYN, SYN_REPORT, 0);
	input_expect(k, EV_KEY, KEY_A, 0);
	input_expect(k, EV_SYN, SYN_REPORT, 0);
	assert_non_null(strstr(kit_call(k, "replay", ""), "no recording"));
}

/* A guest that takes nothing makes nothing grow without limit. */
static void test_slow_guest(struct kit *k)
{
	g_autoptr(GString) text = g_string_new("KEY_A=1");
	unsigned n = 0;

	for (unsigned i = 1; i < 100; i++)
		g_string_append_printf(text, " KEY_A=%u", i % 2 ^ 1);
	kit_start(k, "--sim=keyboard", NULL);
	while (!strstr(input_type(k, text->str), "does not take"))
		assert_true(++n < 100);
	assert_true(n > 10);
	for (unsigned i = 0; i < 100; i++)
		input_expect(k, EV_KEY, KEY_A, i % 2 ^ 1);
	input_expect(k, EV_SYN, SYN_REPORT, 0);
}

/*
 * One that has lost its memory does not know which keys are down for the guest. Buffers that its
 * predecessor had are filled in their order.
 */
static void test_restart(struct kit *k)
{
	unsigned kills = kit_rounds(k, 2);

	kit_start(k, "--sim=mouse", NULL);
	for (unsigned i = 0; i < kills; i++) {
		struct kit_request *r;

		input_type(k, "BTN_LEFT=1");
		input_expect(k, EV_KEY, BTN_LEFT, 1);
		input_expect(k, EV_SYN, SYN_REPORT, 0);
		r = input_ask(k);
		kit_restart(k);
		input_expect_in(k, r, EV_KEY, BTN_LEFT, 0);
		for (unsigned key = BTN_LEFT + 1; key <= BTN_TASK; key++)
			input_expect(k, EV_KEY, key, 0);
		input_expect(k, EV_SYN, SYN_REPORT, 0);
		input_status(k, EV_LED, LED_CAPSL, 1);
	}
}

static void test_status(struct kit *k)
{
	kit_start(k, "--sim=keyboard", NULL);
	input_status(k, EV_LED, LED_CAPSL, 1);
	input_status(k, EV_LED, LED_MISC, 1); /* it has none */
	input_status(k, EV_KEY, KEY_A, 1);
	input_status(k, 0xffff, 0xffff, -1);
	assert_non_null(strstr(kit_call(k, "state", ""), "\"leds\":[\"LED_CAPSL\"]"));
	input_status(k, EV_LED, LED_CAPSL, 0);
	assert_non_null(strstr(kit_call(k, "state", ""), "\"leds\":[]"));
	assert_false(kit_is_done(k, input_ask(k)));
}

static void test_short_buffer(struct kit *k)
{
	kit_start(k, "--sim=keyboard", NULL);
	kit_send(k, 0, NULL, 0, 7);
	kit_wait_broken(k, "of 7 bytes");
}

static void test_short_status(struct kit *k)
{
	kit_start(k, "--sim=keyboard", NULL);
	kit_send(k, 1, "1234567", 7, 0);
	kit_wait_broken(k, "shorter than 8");
}

/* What a killed program was to send is lost with it, and what it sent is not sent again. */
static const struct kit_test tests[] = {
	{ "window", test_window },
	{ "long name", test_long_name },
	{ "bad recordings", test_bad_recordings },
	{ "bad options", test_bad_options },
	{ "replay", test_replay, .skip = KIT_NO_KILL },
	{ "replay again", test_replay_again, .skip = KIT_NO_KILL },
	{ "send", test_send, .skip = KIT_NO_KILL },
	{ "slow guest", test_slow_guest, .skip = KIT_NO_KILL },
	{ "restart", test_restart, .skip = KIT_NO_KILL },
	{ "status", test_status, .skip = KIT_NO_KILL },
	{ "short buffer", test_short_buffer },
	{ "short status", test_short_status },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
