/* SPDX-License-Identifier: Apache-2.0 */
/* An entropy device (virtio 1.2 §5.4): two times 64 bytes, not all zero and not the same. */
#include "guest.h"

#define BYTES 64u

/* Reads bytes: a device may give less than was asked for, but something. */
static bool read_bytes(struct device *d, uint8_t *to)
{
	for (uint32_t got = 0, n; got < BYTES; got += n) {
		queue_add(d, &(struct piece){ to + got, BYTES - got, true }, 1);
		if (!queue_run(d))
			return false;
		n = queue_written(0);
		if (n == 0 || n > BYTES - got)
			return fail(d, "a wrong length in a used entry");
	}
	return true;
}

bool entropy_test(struct device *d)
{
	static uint8_t bytes[2][BYTES];
	uint8_t any = 0, differ = 0;

	if (!device_start(d, 0) || !read_bytes(d, bytes[0]) || !read_bytes(d, bytes[1]))
		return false;
	for (unsigned i = 0; i < BYTES; i++) {
		any |= bytes[0][i];
		differ |= bytes[0][i] ^ bytes[1][i];
	}
	if (!any || !differ)
		return fail(d, any ? "the same bytes twice" : "all bytes are zero");
	report(d, "%u random bytes, two times", BYTES);
	return true;
}
