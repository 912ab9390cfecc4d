/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adapters of the host, by i2c-dev. A transfer is one I2C_RDWR, so that no other user of the
 * adapter comes in between its messages. Adapters that only know SMBus get its commands instead,
 * for those transfers that have the form of one.
 */
#include "daemon/devices/i2c/i2c.h"

#include <errno.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>

#include "base/log.h"
#include "base/number.h"
#include "base/option.h"
#include "base/util.h"
#include "daemon/devices/i2c/i2c_host.h"

#define MAX_BUS 0xfffff /* I2C_MINORS of Linux */

struct i2c_dev {
	struct i2c_bus bus;
	int fd;
	unsigned number;
	unsigned long functions; /* I2C_FUNC_* */
	bool force;
	struct log_limit limit;
};

/* A transfer that is an SMBus command, by its last message. */
struct smbus_form {
	unsigned messages; /* 2: before it, the command is written */
	bool read;
	uint8_t min,
		max; /* bytes of the last message; without a read, the command is one of them */
	uint32_t size; /* I2C_SMBUS_* */
	unsigned long function;
};

static const struct smbus_form smbus_forms[] = {
	{ 1, false, 0, 0, I2C_SMBUS_QUICK, I2C_FUNC_SMBUS_QUICK },
	{ 1, true, 0, 0, I2C_SMBUS_QUICK, I2C_FUNC_SMBUS_QUICK },
	{ 1, true, 1, 1, I2C_SMBUS_BYTE, I2C_FUNC_SMBUS_READ_BYTE },
	{ 1, false, 1, 1, I2C_SMBUS_BYTE, I2C_FUNC_SMBUS_WRITE_BYTE },
	{ 1, false, 2, 2, I2C_SMBUS_BYTE_DATA, I2C_FUNC_SMBUS_WRITE_BYTE_DATA },
	{ 1, false, 3, 3, I2C_SMBUS_WORD_DATA, I2C_FUNC_SMBUS_WRITE_WORD_DATA },
	{ 1, false, 2, 1 + I2C_SMBUS_BLOCK_MAX, I2C_SMBUS_I2C_BLOCK_DATA,
		I2C_FUNC_SMBUS_WRITE_I2C_BLOCK },
	{ 2, true, 1, 1, I2C_SMBUS_BYTE_DATA, I2C_FUNC_SMBUS_READ_BYTE_DATA },
	{ 2, true, 2, 2, I2C_SMBUS_WORD_DATA, I2C_FUNC_SMBUS_READ_WORD_DATA },
	{ 2, true, 1, I2C_SMBUS_BLOCK_MAX, I2C_SMBUS_I2C_BLOCK_DATA,
		I2C_FUNC_SMBUS_READ_I2C_BLOCK },
};

static const struct smbus_form *find_form(
	const struct i2c_dev *d, const struct i2c_message *m, unsigned n)
{
	const struct i2c_message *last = &m[n - 1];

	if (n == 2 && (m[0].read || m[0].len != 1 || m[0].address != m[1].address))
		return NULL;
	for (size_t i = 0; i < G_N_ELEMENTS(smbus_forms); i++) {
		const struct smbus_form *f = &smbus_forms[i];

		if (f->messages == n && f->read == last->read && last->len >= f->min &&
			last->len <= f->max && d->functions & f->function)
			return f;
	}
	return NULL;
}

/* Puts the bytes behind the command where the command's size has them. */
static void put_smbus(union i2c_smbus_data *to, uint32_t size, const uint8_t *from, unsigned len)
{
	if (size == I2C_SMBUS_BYTE_DATA) {
		to->byte = from[0];
	} else if (size == I2C_SMBUS_WORD_DATA) {
		to->word = (uint16_t)(from[0] | from[1] << 8);
	} else if (size == I2C_SMBUS_I2C_BLOCK_DATA) {
		to->block[0] = len;
		memcpy(to->block + 1, from, len);
	}
}

static bool get_smbus(const union i2c_smbus_data *from, uint32_t size, const struct i2c_message *to)
{
	if (size == I2C_SMBUS_BYTE || size == I2C_SMBUS_BYTE_DATA) {
		to->data[0] = from->byte;
	} else if (size == I2C_SMBUS_WORD_DATA) {
		to->data[0] = from->word & 0xff;
		to->data[1] = from->word >> 8;
	} else if (size == I2C_SMBUS_I2C_BLOCK_DATA) {
		if (from->block[0] != to->len)
			return false;
		memcpy(to->data, from->block + 1, to->len);
	}
	return true;
}

static bool run_smbus(struct i2c_dev *d, const struct i2c_message *m, unsigned n)
{
	const struct smbus_form *f = find_form(d, m, n);
	const struct i2c_message *last = &m[n - 1];
	union i2c_smbus_data data = { .block = { 0 } };
	struct i2c_smbus_ioctl_data command = { .data = &data };

	if (!f) {
		errno = EOPNOTSUPP;
		return false;
	}
	command.size = f->size;
	command.read_write = f->read ? I2C_SMBUS_READ : I2C_SMBUS_WRITE;
	if (n == 2 || (!f->read && last->len))
		command.command = m[0].data[0];
	if (!f->read && last->len > 1)
		put_smbus(&data, f->size, last->data + 1, last->len - 1);
	if (f->size == I2C_SMBUS_I2C_BLOCK_DATA && f->read)
		data.block[0] = last->len;
	if (i2c_host_ioctl(d->fd, d->force ? I2C_SLAVE_FORCE : I2C_SLAVE,
		    GUINT_TO_POINTER(last->address)) < 0 ||
		i2c_host_ioctl(d->fd, I2C_SMBUS, &command) < 0)
		return false;
	if (!f->read || get_smbus(&data, f->size, last))
		return true;
	errno = EPROTO;
	return false;
}

static bool run_i2c(struct i2c_dev *d, const struct i2c_message *m, unsigned n)
{
	struct i2c_msg msgs[I2C_MAX_MESSAGES];
	struct i2c_rdwr_ioctl_data transfer = { .msgs = msgs, .nmsgs = n };
	int done;

	for (unsigned i = 0; i < n; i++)
		msgs[i] = (struct i2c_msg){
			.addr = m[i].address,
			.flags = m[i].read ? I2C_M_RD : 0,
			.len = m[i].len,
			.buf = m[i].data,
		};
	done = i2c_host_ioctl(d->fd, I2C_RDWR, &transfer);
	if (done >= 0 && (unsigned)done < n)
		errno = EIO;
	return done >= 0 && (unsigned)done == n;
}

/* Returns all or nothing: the kernel does not tell how far a transfer came. */
static unsigned dev_transfer(struct i2c_bus *b, const struct i2c_message *m, unsigned n)
{
	struct i2c_dev *d = container_of(b, struct i2c_dev, bus);
	bool ok = d->functions & I2C_FUNC_I2C ? run_i2c(d, m, n) : run_smbus(d, m, n);

	if (ok)
		return n;
	/* An address without a device is no fault: guests look for devices that way. */
	log_limited(&d->limit, LOG_LEVEL_DEBUG, NULL,
		"i2c-%u: %u messages, the first to 0x%02x: %s", d->number, n, m[0].address,
		g_strerror(errno));
	return 0;
}

static void dev_free(struct i2c_bus *b)
{
	struct i2c_dev *d = container_of(b, struct i2c_dev, bus);

	fd_close(&d->fd);
	g_free(d);
}

static const struct i2c_bus_ops dev_ops = { .transfer = dev_transfer, .free = dev_free };

static bool host_error(GError **error, const struct i2c_dev *d, const char *why)
{
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "cannot use /dev/i2c-%u: %s",
		d->number, why);
	return false;
}

/* Refuses a device that a driver of the host uses: it would be changed behind its back. */
static bool claim(struct i2c_map *map, struct i2c_dev *d, const char *text, GError **error)
{
	unsigned address;

	if (!i2c_parse_address(text, &address, error) ||
		!i2c_map_claim(map, &d->bus, address, error))
		return false;
	if (d->force || i2c_host_ioctl(d->fd, I2C_SLAVE, GUINT_TO_POINTER(address)) == 0)
		return true;
	if (errno != EBUSY)
		return host_error(error, d, g_strerror(errno));
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
		"address 0x%02x of /dev/i2c-%u is used by a driver of the host (unbind that, or "
		"give --force)",
		address, d->number);
	return false;
}

/* Opens an adapter from the strings of "BUS:ADDRESS...". */
static bool open_adapter(struct i2c_map *map, char *const *part, bool force, GError **error)
{
	struct i2c_dev *d;
	uint64_t number;

	if (!part[0] || !number_parse(part[0], 0, MAX_BUS, &number) || !part[1])
		return option_bad(
			error, "BUS:ADDRESS[:ADDRESS...],... with the number of /dev/i2c-BUS");
	d = g_new0(struct i2c_dev, 1);
	d->bus.ops = &dev_ops;
	d->number = (unsigned)number;
	d->force = force;
	d->fd = i2c_host_open(d->number);
	i2c_map_add(map, &d->bus);
	if (d->fd < 0 || i2c_host_ioctl(d->fd, I2C_FUNCS, &d->functions) < 0)
		return host_error(error, d, g_strerror(errno));
	for (part++; *part; part++) {
		if (!claim(map, d, *part, error))
			return false;
	}
	return true;
}

bool i2c_dev_open(struct i2c_map *map, const char *list, bool force, GError **error)
{
	g_auto(GStrv) adapters = g_strsplit(list, ",", I2C_ADDRESSES);

	for (unsigned i = 0; adapters[i]; i++) {
		g_auto(GStrv) part = g_strsplit(adapters[i], ":", -1);

		if (!open_adapter(map, part, force, error))
			return false;
	}
	return true;
}
