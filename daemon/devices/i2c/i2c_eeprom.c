/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated EEPROM, as the 24Cxx are: a write begins with the address of a byte, one or two bytes
 * long by the chip's size; reads go on from there, and from its end to its beginning.
 */
#include "daemon/devices/i2c/i2c_sim.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/number.h"
#include "base/option.h"

#define SMALL_MAX 256 /* bytes that one byte addresses */
#define LARGE_MIN 4096 /* those in between are several chips of 256 bytes */
#define LARGE_MAX 65536

static bool eeprom_open(struct i2c_sim *s, const char *path, GError **error)
{
	fd_close(&s->fd);
	s->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	if (s->fd >= 0)
		return true;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "cannot use the file '%s': %s", path,
		g_strerror(errno));
	return false;
}

static bool eeprom_set(
	struct i2c_sim *s, const char *key, const char *value, bool starts, GError **error)
{
	uint64_t size;

	if (!starts)
		return false;
	if (strcmp(key, "file") == 0)
		return eeprom_open(s, value, error);
	if (strcmp(key, "size") != 0)
		return false;
	if (!number_parse_bytes(value, 0, &size) || size < 16 || size > LARGE_MAX ||
		(size > SMALL_MAX && size < LARGE_MIN) || size & (size - 1))
		return option_bad(error,
			"invalid size: %s (a power of two from 16 to %d, or from %d to %d)", value,
			SMALL_MAX, LARGE_MIN, LARGE_MAX);
	s->size = (unsigned)size;
	return true;
}

/* Reads the contents. A file that is shorter is made longer, by erased bytes. */
static bool eeprom_setup(struct i2c_sim *s, GError **error)
{
	ssize_t n = 0;
	struct stat st;

	memset(s->bytes, 0xff, s->size);
	if (s->fd < 0)
		return true;
	if (fstat(s->fd, &st) == 0 && !S_ISREG(st.st_mode))
		return option_bad(error, "the file of an EEPROM must be a regular one");
	n = pread(s->fd, s->bytes, s->size, 0);
	if (n >= 0 &&
		(n == (ssize_t)s->size ||
			pwrite(s->fd, s->bytes + n, s->size - n, n) == s->size - n))
		return true;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "cannot use the EEPROM's file: %s",
		g_strerror(errno));
	return false;
}

/* Stores bytes that do not go beyond the end. */
static bool eeprom_store(struct i2c_sim *s, unsigned at, const uint8_t *data, unsigned n)
{
	if (s->fd >= 0 && pwrite(s->fd, data, n, at) != (ssize_t)n)
		return false;
	memcpy(s->bytes + at, data, n);
	return true;
}

static bool eeprom_write(struct i2c_sim *s, const uint8_t *data, unsigned n)
{
	unsigned width = s->size > SMALL_MAX ? 2 : 1, part;

	if (n < width)
		return false;
	s->pointer = (width == 2 ? (unsigned)data[0] << 8 | data[1] : data[0]) & (s->size - 1);
	for (data += width, n -= width; n; data += part, n -= part) {
		part = MIN(n, s->size - s->pointer);
		if (!eeprom_store(s, s->pointer, data, part))
			return false;
		s->pointer = (s->pointer + part) & (s->size - 1);
	}
	return true;
}

static void eeprom_read(struct i2c_sim *s, uint8_t *data, unsigned n)
{
	while (n--) {
		*data++ = s->bytes[s->pointer];
		s->pointer = (s->pointer + 1) & (s->size - 1);
	}
}

const struct i2c_chip i2c_eeprom = {
	.name = "eeprom",
	.size = SMALL_MAX,
	.max_size = LARGE_MAX,
	.values = "size=BYTES or file=FILE, at the start",
	.set = eeprom_set,
	.setup = eeprom_setup,
	.write = eeprom_write,
	.read = eeprom_read,
};
