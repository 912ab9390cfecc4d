/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated NOR flash, as the W25Q are: commands of a byte, an address of three bytes, data. Its
 * contents are a file's, or, all bytes inverted, those of a memfd: what was never written is erased
 * and takes no memory.
 *
 * A command ends when the chip is released. Where that is guessed (spi_request.c), it also ends
 * with the request that makes it complete; only what is read can go on in another one, that does
 * not write. A real chip would wait for its release there.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/kept_file.h"
#include "base/number.h"
#include "base/option.h"
#include "base/util.h"
#include "daemon/devices/spi/spi.h"

#define MIN_SIZE 65536
#define MAX_SIZE (16u << 20) /* that three bytes address */
#define PAGE 256
#define MANUFACTURER 0xef
#define FAMILY 0x40
#define WRITE_ENABLED 2 /* in the status */

enum flash_data { NO_DATA, READS_MEMORY, READS_STATUS, READS_ID, PROGRAMS, ERASES };

struct flash_command {
	uint8_t code;
	uint8_t head; /* bytes after the code, before data: the address, dummies */
	enum flash_data data;
	uint32_t erases; /* bytes; 0: all */
	bool writes; /* only if that is enabled */
};

static const struct flash_command commands[] = {
	{ 0x01, 1, NO_DATA, .writes = true }, /* write status: it has no other bits */
	{ 0x02, 3, PROGRAMS, .writes = true },
	{ 0x03, 3, READS_MEMORY },
	{ 0x04, 0, NO_DATA },
	{ 0x05, 0, READS_STATUS },
	{ 0x06, 0, NO_DATA },
	{ 0x0b, 4, READS_MEMORY },
	{ 0x20, 3, ERASES, .erases = 4096, .writes = true },
	{ 0x52, 3, ERASES, .erases = 32768, .writes = true },
	{ 0x60, 0, ERASES, .writes = true },
	{ 0x9f, 0, READS_ID },
	{ 0xc7, 0, ERASES, .writes = true },
	{ 0xd8, 3, ERASES, .erases = 65536, .writes = true },
};
#define WRITE_DISABLE 0x04
#define WRITE_ENABLE 0x06

struct flash {
	struct spi_chip chip;
	int fd;
	uint8_t invert; /* 0xff: bytes are inverted in the file */
	uint32_t size; /* a power of two */
	uint8_t status;
	/* The command: NULL before its code, or if there is none of that code. */
	const struct flash_command *command;
	bool begun; /* its code has come */
	unsigned head; /* bytes of it that have come */
	uint32_t address; /* of the byte that comes next */
	bool has_data; /* data was read or written */
	unsigned n_program; /* bytes to program, into one page */
	uint8_t program[PAGE]; /* by their place in the page, erased where there are none */
	int result; /* of the file: -errno */
};

static int file_read(struct flash *f, uint32_t at, uint8_t *to, unsigned n)
{
	ssize_t got = pread(f->fd, to, n, at);

	if (got < 0)
		return -errno;
	memset(to + got, f->invert ? 0 : 0xff, n - (unsigned)got);
	for (unsigned i = 0; i < n; i++)
		to[i] ^= f->invert;
	return 0;
}

static int file_write(struct flash *f, uint32_t at, uint8_t *from, unsigned n)
{
	ssize_t put;

	for (unsigned i = 0; i < n; i++)
		from[i] ^= f->invert;
	put = pwrite(f->fd, from, n, at);
	return put < 0 ? -errno : put < (ssize_t)n ? -ENOSPC : 0;
}

static int erase(struct flash *f)
{
	uint32_t n = f->command->erases ? f->command->erases : f->size;
	uint32_t at = f->command->erases ? f->address & ~(n - 1) : 0;
	uint8_t page[PAGE];
	int result = 0;

	if (f->invert && fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, n) == 0)
		return 0;
	for (; n && result == 0; at += PAGE, n -= PAGE) {
		memset(page, 0xff, sizeof(page));
		result = file_write(f, at, page, PAGE);
	}
	return result;
}

/* Programs a page: bits can become 0 only. */
static int program(struct flash *f)
{
	uint32_t at = f->address & ~(uint32_t)(PAGE - 1);
	uint8_t page[PAGE];
	int result = file_read(f, at, page, PAGE);

	if (result < 0)
		return result;
	for (unsigned i = 0; i < PAGE; i++)
		page[i] &= f->program[i];
	return file_write(f, at, page, PAGE);
}

static bool is_complete(const struct flash *f)
{
	if (!f->command)
		return f->begun;
	return f->head == f->command->head &&
		(f->has_data || f->command->data == NO_DATA || f->command->data == ERASES);
}

static bool reads(const struct flash *f)
{
	return f->command &&
		(f->command->data == READS_MEMORY || f->command->data == READS_STATUS ||
			f->command->data == READS_ID);
}

/* Carries out a command whose end has come, as far as that has an effect. */
static void finish(struct flash *f)
{
	const struct flash_command *c = f->command;

	if (c && is_complete(f) && (!c->writes || f->status & WRITE_ENABLED)) {
		if (c->data == ERASES)
			f->result = erase(f);
		else if (c->data == PROGRAMS)
			f->result = program(f);
		if (c->writes || c->code == WRITE_DISABLE)
			f->status &= ~WRITE_ENABLED;
		else if (c->code == WRITE_ENABLE)
			f->status |= WRITE_ENABLED;
	}
	f->command = NULL;
	f->begun = f->has_data = false;
}

static void begin(struct flash *f, uint8_t code)
{
	f->begun = true;
	f->head = 0;
	f->address = 0;
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
		if (commands[i].code == code)
			f->command = &commands[i];
	}
	memset(f->program, 0xff, sizeof(f->program));
}

/* Takes one byte of data to program; beyond the page's end its beginning follows. */
static void put_data(struct flash *f, uint8_t byte)
{
	uint32_t page = f->address & ~(uint32_t)(PAGE - 1);

	f->program[f->address % PAGE] = byte;
	f->address = page | ((f->address + 1) % PAGE);
}

/* Returns what the chip shows of its data. */
static uint8_t get_data(struct flash *f)
{
	uint8_t id[3] = { MANUFACTURER, FAMILY, (uint8_t)g_bit_storage(f->size - 1) };

	switch (f->command->data) {
	case READS_STATUS:
		return f->status;
	case READS_ID:
		return id[f->address++ % sizeof(id)];
	default:
		return 0xff;
	}
}

/* Reads a stretch of memory, up to its end, where its beginning follows. */
static void read_memory(struct flash *f, uint8_t *to, unsigned n)
{
	while (n) {
		unsigned part = MIN(n, f->size - f->address);

		if (file_read(f, f->address, to, part) < 0)
			memset(to, 0xff, part);
		f->address = (f->address + part) & (f->size - 1);
		to += part;
		n -= part;
	}
}

/* Shifts one byte of a command's head, or of its data but what is read of memory. */
static uint8_t shift(struct flash *f, uint8_t out)
{
	if (!f->begun) {
		begin(f, out);
	} else if (f->command && f->head < f->command->head) {
		if (f->head++ < 3)
			f->address = (f->address << 8 | out) & (f->size - 1);
	} else if (f->command) {
		f->has_data = true;
		if (f->command->data != PROGRAMS)
			return get_data(f);
		put_data(f, out);
	}
	return 0xff;
}

static bool reads_memory(const struct flash *f)
{
	return f->command && f->command->data == READS_MEMORY && f->head == f->command->head;
}

static int flash_transfer(struct spi_chip *c, const struct spi_piece *p)
{
	struct flash *f = container_of(c, struct flash, chip);

	f->result = 0;
	if (p->first && p->tx && is_complete(f))
		finish(f);
	for (unsigned i = 0; i < p->len; i++) {
		uint8_t in;

		if (p->rx && reads_memory(f)) {
			read_memory(f, p->rx + i, p->len - i);
			f->has_data = true;
			break;
		}
		in = shift(f, p->tx ? p->tx[i] : 0);
		if (p->rx)
			p->rx[i] = in;
	}
	if (!p->hold || (p->last && is_complete(f) && !reads(f)))
		finish(f);
	return f->result;
}

/* Ends the command, unless the driver has only paused: it may be slow. */
static void flash_release(struct spi_chip *c, bool is_guess)
{
	if (!is_guess)
		finish(container_of(c, struct flash, chip));
}

static void flash_free(struct spi_chip *c)
{
	struct flash *f = container_of(c, struct flash, chip);

	fd_close(&f->fd);
	g_free(f);
}

static const struct spi_chip_ops flash_ops = {
	.transfer = flash_transfer,
	.release = flash_release,
	.free = flash_free,
};

/* Opens the file that has the contents; one that is shorter is made longer, by erased bytes. */
static bool open_file(struct flash *f, const char *path, GError **error)
{
	uint8_t erased[PAGE];
	off_t size;

	memset(erased, 0xff, sizeof(erased));
	f->fd = kept_file_open(path, &size, error);
	if (f->fd < 0)
		return false;
	while (size < f->size) {
		ssize_t n = MIN(PAGE, f->size - size);

		if (pwrite(f->fd, erased, (size_t)n, size) != n)
			return error_errno(error, errno, "cannot use the file '%s'", path);
		size += n;
	}
	return true;
}

static bool open_memory(struct flash *f, GError **error)
{
	f->invert = 0xff;
	f->fd = memfd_create("flash", MFD_CLOEXEC);
	if (f->fd >= 0 && ftruncate(f->fd, f->size) == 0)
		return true;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "no memory for a flash: %s",
		g_strerror(errno));
	return false;
}

/* Reads "size=BYTES" and "file=FILE". */
static bool parse(struct flash *f, char *const *values, const char **path, GError **error)
{
	uint64_t size;

	for (; *values; values++) {
		if (g_str_has_prefix(*values, "file=")) {
			*path = *values + strlen("file=");
			continue;
		}
		if (!g_str_has_prefix(*values, "size="))
			return option_bad(
				error, "invalid value: '%s' (size=BYTES or file=FILE)", *values);
		if (!number_parse_bytes(*values + strlen("size="), 0, &size) || size < MIN_SIZE ||
			size > MAX_SIZE || size & (size - 1))
			return option_bad(error,
				"invalid size: %s (a power of two from 64K to 16M)",
				*values + strlen("size="));
		f->size = (uint32_t)size;
	}
	return true;
}

struct spi_chip *spi_flash_open(char *const *values, GError **error)
{
	struct flash *f = g_new0(struct flash, 1);
	const char *path = NULL;

	f->chip.ops = &flash_ops;
	f->chip.can = spi_sim_can;
	f->chip.can.bits_per_word_mask = 1u << 7;
	f->fd = -1;
	f->size = 1u << 20;
	if (parse(f, values, &path, error) &&
		(path ? open_file(f, path, error) : open_memory(f, error)))
		return &f->chip;
	flash_free(&f->chip);
	return NULL;
}
