/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as numbers, strings and parts. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

bool fuzz_more(const struct fuzz_input *in)
{
	return in->at < in->end;
}

void fuzz_copy(struct fuzz_input *in, void *to, size_t len)
{
	size_t n = MIN(len, (size_t)(in->end - in->at));

	memset(to, 0, len);
	if (n)
		memcpy(to, in->at, n);
	in->at += n;
}

uint8_t fuzz_u8(struct fuzz_input *in)
{
	return fuzz_more(in) ? *in->at++ : 0;
}

uint16_t fuzz_u16(struct fuzz_input *in)
{
	uint16_t n;

	fuzz_copy(in, &n, sizeof(n));
	return GUINT16_FROM_LE(n);
}

uint32_t fuzz_u32(struct fuzz_input *in)
{
	uint32_t n;

	fuzz_copy(in, &n, sizeof(n));
	return GUINT32_FROM_LE(n);
}

uint64_t fuzz_u64(struct fuzz_input *in)
{
	uint64_t n;

	fuzz_copy(in, &n, sizeof(n));
	return GUINT64_FROM_LE(n);
}

unsigned fuzz_below(struct fuzz_input *in, unsigned n)
{
	return (n <= 256 ? fuzz_u8(in) : fuzz_u16(in)) % n;
}

struct fuzz_input fuzz_part(struct fuzz_input *in, size_t len)
{
	struct fuzz_input part = { in->at, in->at + MIN(len, (size_t)(in->end - in->at)) };

	in->at = part.end;
	return part;
}

char *fuzz_string(struct fuzz_input *in)
{
	struct fuzz_input part = fuzz_part(in, fuzz_u8(in));

	return g_strndup((const char *)part.at, (size_t)(part.end - part.at));
}
