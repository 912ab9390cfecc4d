/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block device (virtio 1.2 §5.2): its last sectors are overwritten, read back and compared, and
 * get back what was in them.
 */
#include "arch.h"
#include "guest.h"

enum { F_RO = 5, F_FLUSH = 9 };
enum { READ = 0, WRITE = 1, FLUSH = 4, GET_ID = 8 };
enum { STATUS_OK = 0, STATUS_UNSUPPORTED = 2, STATUS_NONE = 0xff };

#define SECTOR 512u
#define CHUNK 4096u
#define MAX_REQUESTS 8u
#define PIECES 3u /* header, data, status */
#define ID_LEN 20u

static struct {
	uint32_t type, reserved;
	uint64_t sector;
} header[MAX_REQUESTS];
static uint8_t status[MAX_REQUESTS];

static uint32_t saved[MAX_REQUESTS][CHUNK / 4], pattern[MAX_REQUESTS][CHUNK / 4],
	back[MAX_REQUESTS][CHUNK / 4];

static void add(
	struct device *d, unsigned i, uint32_t type, uint64_t sector, void *data, uint32_t len)
{
	struct piece piece[PIECES];
	unsigned n = 0;

	header[i].type = type;
	header[i].sector = sector;
	status[i] = STATUS_NONE;
	piece[n++] = (struct piece){ &header[i], sizeof(header[i]), false };
	if (len)
		piece[n++] = (struct piece){ data, len, type != WRITE };
	piece[n++] = (struct piece){ &status[i], 1, true };
	queue_add(d, piece, n);
}

/* Transfers n chunks at once, a request each. */
static bool transfer(
	struct device *d, uint32_t type, uint64_t sector, uint32_t data[][CHUNK / 4], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		add(d, i, type, sector + i * (CHUNK / SECTOR), data[i], CHUNK);
	if (!queue_run(d))
		return false;
	for (unsigned i = 0; i < n; i++) {
		if (status[i] != STATUS_OK)
			return fail(d, type == READ ? "a read fails" : "a write fails");
		if (queue_written(i) != (type == READ ? CHUNK + 1 : 1))
			return fail(d, "a wrong length in a used entry");
	}
	return true;
}

static bool flush(struct device *d)
{
	if (!(d->features & FEATURE(F_FLUSH)))
		return true;
	add(d, 0, FLUSH, 0, NULL, 0);
	if (!queue_run(d))
		return false;
	return status[0] == STATUS_OK || fail(d, "a flush fails");
}

static bool print_serial(struct device *d)
{
	static char serial[ID_LEN + 1];

	for (unsigned i = 0; i < sizeof(serial); i++)
		serial[i] = 0;
	add(d, 0, GET_ID, 0, serial, ID_LEN);
	if (!queue_run(d))
		return false;
	if (status[0] != STATUS_OK && status[0] != STATUS_UNSUPPORTED)
		return fail(d, "GET_ID fails");
	for (char *c = serial; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	report(d, "serial \"%s\"", serial);
	return true;
}

/* Fills a chunk: no word of it is like another, nor like what it was before. */
static void fill(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < CHUNK / 4; j++) {
			pattern[i][j] = ~saved[i][j] ^ (i << 16 | j) * 2654435761u;
			if (pattern[i][j] == saved[i][j])
				pattern[i][j]++;
			back[i][j] = 0;
		}
}

static bool compare(const struct device *d, uint32_t want[][CHUNK / 4], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < CHUNK / 4; j++)
			if (back[i][j] != want[i][j])
				return fail(d, "what was read is not what was written");
	return true;
}

static bool overwrite(struct device *d, uint64_t sector, unsigned n)
{
	bool good;

	fill(n);
	good = transfer(d, WRITE, sector, pattern, n) && flush(d) &&
		transfer(d, READ, sector, back, n) && compare(d, pattern, n);
	/* Whatever came of it. */
	return transfer(d, WRITE, sector, saved, n) && flush(d) &&
		transfer(d, READ, sector, back, n) && compare(d, saved, n) && good;
}

bool block_test(struct device *d)
{
	uint64_t capacity, sector;
	unsigned n;

	if (!device_start(d, FEATURE(F_RO) | FEATURE(F_FLUSH)))
		return false;
	capacity = device_config64(d, 0);
	report(d, "%u MiB%s", (uint32_t)(capacity >> 11),
		d->features & FEATURE(F_RO) ? ", read-only" : "");
	if (d->size < PIECES)
		return fail(d, "its queue is too small");
	if (!print_serial(d))
		return false;
	n = d->size / PIECES < MAX_REQUESTS ? d->size / PIECES : MAX_REQUESTS;
	while (n && n * (CHUNK / SECTOR) > capacity)
		n--;
	if (!n) {
		report(d, "too small to be tested any further");
		return true;
	}
	sector = capacity - n * (CHUNK / SECTOR);
	if (!transfer(d, READ, sector, saved, n))
		return false;
	if (!(d->features & FEATURE(F_RO)) && !overwrite(d, sector, n))
		return false;
	report(d, "%u requests in flight at once, of %u bytes", n, CHUNK);
	return true;
}
