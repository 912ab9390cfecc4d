/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-i2c: no acknowledged byte is lost over many kills. argv[2]: how many. */
#include "tests/lib/kit.h"

#include <linux/virtio_i2c.h>

#define EEPROM 0x50

/* Writes one byte of the EEPROM. Returns the status. */
static uint8_t write_byte(struct kit *k, uint8_t at, uint8_t value)
{
	const struct {
		struct virtio_i2c_out_hdr h;
		uint8_t data[2];
	} out = { { htole16(EEPROM << 1), 0, 0 }, { at, value } };
	struct kit_request *r = kit_send(k, 0, &out, sizeof(out.h) + 2, 1);

	assert_int_equal(kit_wait(k, r), 1);
	return r->in[0];
}

static void test_load(struct kit *k)
{
	unsigned kills = kit_rounds(k, 10);
	g_autofree char *path = g_strdup(kit_path(k, "eeprom"));
	g_autofree char *sim = g_strdup_printf("--sim=eeprom@0x50,file=%s", path);
	g_autofree char *got = NULL;
	unsigned failed = 0;

	kit_start(k, sim, NULL);
	for (unsigned i = 0; i < kills; i++) {
		while (write_byte(k, (uint8_t)i, (uint8_t)(i ^ 0xa5)) != VIRTIO_I2C_MSG_OK)
			failed++;
	}
	assert_true(!failed || kit_has_kills(k));
	assert_true(g_file_get_contents(path, &got, NULL, NULL));
	for (unsigned i = 0; i < MIN(kills, 256); i++)
		assert_int_equal((uint8_t)got[i], i ^ 0xa5);
}

static const struct kit_test tests[] = { { "load", test_load, .skip = KIT_NO_HOSTILE } };

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
