/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-i2c on adapters of the host, in whose place is a fake that notes what it gets. */
#include "tests/lib/kit.h"

#include <errno.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <linux/virtio_i2c.h>

#include "daemon/devices/i2c/i2c_host.h"

#define OK VIRTIO_I2C_MSG_OK
#define ERR VIRTIO_I2C_MSG_ERR
#define MORE VIRTIO_I2C_FLAGS_FAIL_NEXT
#define READ VIRTIO_I2C_FLAGS_M_RD
#define BUSY 0x60 /* a driver of the host has this one */
#define ABSENT 0x61

/* Adapter 1 knows I2C, 2 SMBus, 3 of that only bytes. */
static const unsigned long functions[] = {
	[1] = I2C_FUNC_I2C | I2C_FUNC_SMBUS_EMUL,
	[2] = I2C_FUNC_SMBUS_QUICK | I2C_FUNC_SMBUS_BYTE | I2C_FUNC_SMBUS_BYTE_DATA |
		I2C_FUNC_SMBUS_WORD_DATA | I2C_FUNC_SMBUS_I2C_BLOCK,
	[3] = I2C_FUNC_SMBUS_BYTE,
};

static struct {
	int fd[4]; /* of the adapter with this number */
	unsigned long address; /* for SMBus */
	GString *calls;
} fake;

int i2c_host_open(unsigned bus)
{
	int fd;

	if (bus >= G_N_ELEMENTS(functions) || !functions[bus]) {
		errno = ENOENT;
		return -1;
	}
	g_string_truncate(fake.calls, 0);
	fd = dup(STDERR_FILENO);
	for (unsigned i = 0; i < G_N_ELEMENTS(fake.fd); i++) {
		if (fake.fd[i] == fd) /* of a test before */
			fake.fd[i] = -1;
	}
	return fake.fd[bus] = fd;
}

static int transfer(unsigned bus, const struct i2c_rdwr_ioctl_data *t)
{
	g_string_append_printf(fake.calls, "%u:", bus);
	for (unsigned i = 0; i < t->nmsgs; i++) {
		const struct i2c_msg *m = &t->msgs[i];

		g_string_append_printf(
			fake.calls, " %c%02x", m->flags & I2C_M_RD ? 'r' : 'w', m->addr);
		for (unsigned j = 0; j < m->len; j++) {
			if (m->flags & I2C_M_RD)
				m->buf[j] = (uint8_t)(0xa0 + j);
			else
				g_string_append_printf(fake.calls, ".%02x", m->buf[j]);
		}
		if (m->addr == ABSENT) {
			errno = ENXIO;
			return -1;
		}
	}
	g_string_append_c(fake.calls, '\n');
	return (int)t->nmsgs;
}

static int command(unsigned bus, const struct i2c_smbus_ioctl_data *c)
{
	g_string_append_printf(fake.calls, "%u: %02lx %c size %u command %02x", bus, fake.address,
		c->read_write == I2C_SMBUS_READ ? 'r' : 'w', c->size, c->command);
	if (c->read_write == I2C_SMBUS_READ) {
		unsigned n = c->data->block[0];

		memcpy(c->data->block + 1, "\xb0\xb1\xb2", 3);
		c->data->word = 0xa1a0;
		if (c->size == I2C_SMBUS_I2C_BLOCK_DATA)
			c->data->block[0] = n;
	} else if (c->size == I2C_SMBUS_WORD_DATA) {
		g_string_append_printf(fake.calls, " word %04x", c->data->word);
	} else if (c->size == I2C_SMBUS_I2C_BLOCK_DATA) {
		g_string_append_printf(
			fake.calls, " block %u %02x...", c->data->block[0], c->data->block[1]);
	}
	g_string_append_c(fake.calls, '\n');
	return 0;
}

int i2c_host_ioctl(int fd, unsigned long request, void *arg)
{
	unsigned bus = 1;

	while (fake.fd[bus] != fd)
		bus++;
	switch (request) {
	case I2C_FUNCS:
		*(unsigned long *)arg = functions[bus];
		return 0;
	case I2C_SLAVE:
	case I2C_SLAVE_FORCE:
		fake.address = GPOINTER_TO_UINT(arg);
		errno = EBUSY;
		return request == I2C_SLAVE && fake.address == BUSY ? -1 : 0;
	case I2C_RDWR:
		return transfer(bus, arg);
	case I2C_SMBUS:
		return command(bus, arg);
	default:
		fail_msg("unexpected ioctl: %#lx", request);
		return -1;
	}
}

static struct kit_request *add(
	struct kit *k, unsigned address, uint32_t flags, const char *bytes, size_t len)
{
	struct {
		struct virtio_i2c_out_hdr h;
		char bytes[64];
	} out = { { htole16(address << 1), 0, htole32(flags) }, { 0 } };

	if (flags & READ)
		return kit_add(k, 0, &out, sizeof(out.h), len + 1);
	memcpy(out.bytes, bytes, len);
	return kit_add(k, 0, &out, sizeof(out.h) + len, 1);
}

static uint8_t status(struct kit *k, struct kit_request *r)
{
	kit_wait(k, r);
	return r->in[r->in_size - 1];
}

/* Checks what the host got since the last time. */
static void check_calls(const char *expected)
{
	assert_string_equal(fake.calls->str, expected);
	g_string_truncate(fake.calls, 0);
}

static void test_transfers(struct kit *k)
{
	struct kit_request *r[4];

	kit_start(k, "--device-list=1:0x50:0x51:0x61", NULL);
	r[0] = add(k, 0x50, MORE, "\1\2", 2);
	r[1] = add(k, 0x51, MORE | READ, NULL, 3);
	r[2] = add(k, 0x50, 0, "", 0);
	r[3] = add(k, 0x50, READ, NULL, 1);
	kit_kick(k, 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++)
		assert_int_equal(status(k, r[i]), OK);
	assert_memory_equal(r[1]->in, "\xa0\xa1\xa2", 3);
	check_calls("1: w50.01.02 r51 w50\n1: r50\n");
	r[0] = add(k, 0x50, MORE, "\3", 1);
	r[1] = add(k, ABSENT, 0, "\4", 1);
	kit_kick(k, 0);
	assert_int_equal(status(k, r[0]), ERR);
	assert_int_equal(status(k, r[1]), ERR);
	check_calls("1: w50.03 w61.04");
}

/* A group for devices of two adapters is a transfer of each. */
static void test_two_adapters(struct kit *k)
{
	struct kit_request *r[3];

	kit_start(k, "--device-list=1:0x50,2:0x20", "--sim=tmp@0x48", NULL);
	r[0] = add(k, 0x50, MORE, "\1", 1);
	r[1] = add(k, 0x48, MORE, "\1", 1);
	r[2] = add(k, 0x20, 0, "\2", 1);
	kit_kick(k, 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++)
		assert_int_equal(status(k, r[i]), OK);
	check_calls("1: w50.01\n2: 20 w size 1 command 02\n");
}

struct smbus_case {
	unsigned address; /* 0x20: of adapter 2, 0x21: of adapter 3 */
	size_t written, read; /* bytes; read 0: nothing is read */
	const char *calls, *got; /* got NULL: it fails */
};

static const struct smbus_case smbus_cases[] = {
	{ 0x20, 0, 0, "2: 20 w size 0 command 00\n", "" },
	{ 0x20, 1, 0, "2: 20 w size 1 command 01\n", "" },
	{ 0x20, 2, 0, "2: 20 w size 2 command 01\n", "" },
	{ 0x20, 3, 0, "2: 20 w size 3 command 01 word 0302\n", "" },
	{ 0x20, 5, 0, "2: 20 w size 8 command 01 block 4 02...\n", "" },
	{ 0x20, 34, 0, "", NULL },
	{ 0x20, 0, 1, "2: 20 r size 1 command 00\n", "\xa0" },
	{ 0x20, 1, 1, "2: 20 r size 2 command 01\n", "\xa0" },
	{ 0x20, 1, 2, "2: 20 r size 3 command 01\n", "\xa0\xa1" },
	{ 0x20, 1, 3, "2: 20 r size 8 command 01\n", "\xa1\xb1\xb2" },
	{ 0x20, 1, 33, "", NULL },
	{ 0x20, 2, 1, "", NULL },
	{ 0x21, 0, 0, "", NULL },
	{ 0x21, 1, 1, "", NULL },
	{ 0x21, 0, 1, "3: 21 r size 1 command 00\n", "\xa0" },
};

static void test_smbus(struct kit *k)
{
	static const char bytes[] = "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22\23\24\25\26"
				    "\27\30\31\32\33\34\35\36\37\40\41\42";

	kit_start(k, "--device-list=2:0x20,3:0x21", NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(smbus_cases); i++) {
		const struct smbus_case *c = &smbus_cases[i];
		struct kit_request *r = NULL;

		if (c->written || !c->read)
			r = add(k, c->address, c->read ? MORE : 0, bytes, c->written);
		if (c->read)
			r = add(k, c->address, READ, NULL, c->read);
		kit_kick(k, 0);
		assert_int_equal(status(k, r), c->got ? OK : ERR);
		if (c->got)
			assert_memory_equal(r->in, c->got, c->read);
		check_calls(c->calls);
	}
}

static void test_busy(struct kit *k)
{
	struct kit_request *r;

	kit_start_fails(k, "0x60 of /dev/i2c-2 is used by a driver", "--device-list=2:0x60", NULL);
	kit_start_fails(k, "/dev/i2c-9: No such file", "--device-list=9:0x50", NULL);
	kit_start_fails(k, "given twice", "--device-list=1:0x50,2:0x50", NULL);
	kit_start_fails(k, "0x01 (0x03", "--device-list=1:0x01", NULL);
	kit_start(k, "--device-list=2:0x60", "--force", NULL);
	r = add(k, BUSY, READ, NULL, 1);
	kit_kick(k, 0);
	assert_int_equal(status(k, r), OK);
	check_calls("2: 60 r size 1 command 00\n");
}

static const struct kit_test tests[] = {
	{ "transfers", test_transfers, .skip = KIT_NO_PROCESS | KIT_NO_HOSTILE },
	{ "two adapters", test_two_adapters, .skip = KIT_NO_PROCESS },
	{ "SMBus", test_smbus, .skip = KIT_NO_PROCESS },
	{ "busy", test_busy, .skip = KIT_NO_PROCESS },
};

int main(int argc, char **argv)
{
	int result;

	fake.calls = g_string_new(NULL);
	result = kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
	g_string_free(fake.calls, TRUE);
	return result;
}
