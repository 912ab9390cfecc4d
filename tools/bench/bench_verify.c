/* SPDX-License-Identifier: Apache-2.0 */
/* See bench_verify.h. */
#include "tools/bench/bench_verify.h"

#include <endian.h>
#include <inttypes.h>
#include <string.h>

#define SECTOR 512u
#define WORDS (SECTOR / sizeof(uint64_t))
#define BUSY (UINT32_C(1) << 31)
#define LOOK_AHEAD 64u

/* As on the device: little-endian. */
struct stamp {
	uint64_t offset;
	uint32_t generation, run;
	uint64_t checksum;
};

bool bench_verify_init(
	struct bench_verify *v, uint64_t n_blocks, uint32_t block_size, uint32_t run, bool any_run)
{
	*v = (struct bench_verify){
		.n_blocks = n_blocks,
		.block_size = block_size,
		.run = run,
		.any_run = any_run,
		.blocks = g_try_new0(uint32_t, n_blocks),
	};
	return v->blocks;
}

void bench_verify_clear(struct bench_verify *v)
{
	g_clear_pointer(&v->blocks, g_free);
}

bool bench_verify_take(struct bench_verify *v, uint64_t *block)
{
	for (uint64_t i = 0; i < MIN(LOOK_AHEAD, v->n_blocks); i++) {
		uint64_t candidate = (*block + i) % v->n_blocks;

		if (v->blocks[candidate] & BUSY)
			continue;
		v->blocks[candidate] |= BUSY;
		*block = candidate;
		return true;
	}
	return false;
}

bool bench_verify_next(struct bench_verify *v, uint64_t *block)
{
	while (v->cursor < v->n_blocks && !v->blocks[v->cursor])
		v->cursor++;
	if (v->cursor == v->n_blocks)
		return false;
	*block = v->cursor++;
	v->blocks[*block] |= BUSY;
	return true;
}

static uint32_t generation_of(const struct bench_verify *v, uint64_t block)
{
	return v->blocks[block] & ~BUSY;
}

/* Returns the next one; 0 means "none". */
static uint32_t next_generation(uint32_t generation)
{
	return generation + 1 == BUSY ? 1 : generation + 1;
}

bool bench_verify_is_known(const struct bench_verify *v, uint64_t block)
{
	return v->any_run || generation_of(v, block);
}

/* Mixes by the finalizer of splitmix64. */
static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t checksum(const struct stamp *s)
{
	uint64_t of_run = (uint64_t)le32toh(s->run) << 32 | le32toh(s->generation);

	return htole64(mix(mix(le64toh(s->offset) + 1) + of_run));
}

/* Fills a whole sector, as the stamp begins it. */
static void fill_sector(uint64_t *to, const struct stamp *s)
{
	uint64_t seed = le64toh(s->checksum);

	memcpy(to, s, sizeof(*s));
	for (unsigned i = sizeof(*s) / sizeof(*to); i < WORDS; i++)
		to[i] = htole64(mix(seed + i * UINT64_C(0x9e3779b97f4a7c15)));
}

static struct stamp make_stamp(uint64_t offset, uint32_t run, uint32_t generation)
{
	struct stamp s = {
		.offset = htole64(offset),
		.generation = htole32(generation),
		.run = htole32(run),
	};

	s.checksum = checksum(&s);
	return s;
}

void bench_verify_fill(const struct bench_verify *v, uint64_t block, uint64_t offset, void *data)
{
	uint32_t generation = next_generation(generation_of(v, block));

	for (uint32_t at = 0; at < v->block_size; at += SECTOR) {
		struct stamp s = make_stamp(offset + at, v->run, generation);

		fill_sector((uint64_t *)((char *)data + at), &s);
	}
}

void bench_verify_written(struct bench_verify *v, uint64_t block, bool ok)
{
	v->blocks[block] = ok ? next_generation(generation_of(v, block)) : 0;
}

void bench_verify_release(struct bench_verify *v, uint64_t block)
{
	v->blocks[block] &= ~BUSY;
}

/* Describes what a wrong sector seems to be instead. */
static char *describe(const struct bench_verify *v, const struct stamp *found)
{
	if (found->checksum != checksum(found))
		return g_strdup("no sector that virtioctl has written begins like this one");
	return g_strdup_printf("found is generation %u of the sector at %" PRIu64 ", of %s run",
		le32toh(found->generation), le64toh(found->offset),
		le32toh(found->run) == v->run ? "this" : "another");
}

static char *check_sector(
	const struct bench_verify *v, uint32_t generation, uint64_t offset, const void *data)
{
	struct stamp s = make_stamp(offset, v->run, generation), found;
	uint64_t words[WORDS];
	const uint8_t *expected = (const uint8_t *)words, *got = data;
	g_autofree char *what = NULL;
	unsigned i = 0;

	memcpy(&found, data, sizeof(found));
	if (generation == 0) /* any: what the sector says of itself, if it is its own */
		s = make_stamp(offset, le32toh(found.run), le32toh(found.generation));
	fill_sector(words, &s);
	if (!memcmp(words, data, SECTOR))
		return NULL;
	while (i < SECTOR - 1 && expected[i] == got[i])
		i++;
	what = describe(v, &found);
	return g_strdup_printf("wrong data: the byte at %" PRIu64
			       " is 0x%02x, expected 0x%02x of generation %u; %s",
		offset + i, got[i], expected[i], le32toh(s.generation), what);
}

char *bench_verify_check(
	const struct bench_verify *v, uint64_t block, uint64_t offset, const void *data)
{
	uint32_t generation = generation_of(v, block);

	for (uint32_t at = 0; at < v->block_size; at += SECTOR) {
		char *wrong = check_sector(v, generation, offset + at, (const char *)data + at);

		if (wrong)
			return wrong;
	}
	return NULL;
}
