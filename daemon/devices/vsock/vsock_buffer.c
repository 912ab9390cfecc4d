/* SPDX-License-Identifier: Apache-2.0 */
/* See vsock_buffer.h. */
#include "daemon/devices/vsock/vsock_buffer.h"

#include <glib.h>
#include <sys/mman.h>

#define WORD 64

void vsock_buffer_init(struct vsock_buffer *b, void *memory, uint32_t size)
{
	*b = (struct vsock_buffer){
		.bytes = memory,
		.ends = (uint64_t *)(void *)((uint8_t *)memory + VSOCK_BUFFER_MAX),
		.size = size,
	};
}

void vsock_buffer_clear(struct vsock_buffer *b)
{
	if (b->touched)
		madvise(b->bytes, VSOCK_BUFFER_MEMORY, MADV_DONTNEED);
	*b = (struct vsock_buffer){ 0 };
}

/* Returns where the byte is that comes `offset` bytes after the first one. */
static uint32_t at(const struct vsock_buffer *b, uint32_t offset)
{
	uint32_t place = b->head + offset;

	return place < b->size ? place : place - b->size;
}

void vsock_buffer_put(struct vsock_buffer *b, struct iov_cursor *data)
{
	b->touched = true;
	while (iov_left(data) && b->used < b->size) {
		uint32_t place = at(b, b->used);
		uint32_t room = MIN(b->size - place, b->size - b->used);

		b->used += (uint32_t)iov_pull(data, b->bytes + place, room);
	}
}

void vsock_buffer_end(struct vsock_buffer *b)
{
	uint32_t place;
	uint64_t bit;

	if (!b->used)
		return;
	place = at(b, b->used - 1);
	bit = 1ull << place % WORD;
	b->n_ends += !(b->ends[place / WORD] & bit);
	b->ends[place / WORD] |= bit;
}

uint32_t vsock_buffer_message(const struct vsock_buffer *b)
{
	uint32_t offset = 0;

	while (offset < b->used) {
		uint32_t place = at(b, offset);
		uint64_t word = b->ends[place / WORD] >> place % WORD;

		if (word)
			return offset + (uint32_t)__builtin_ctzll(word) + 1;
		offset += WORD - place % WORD;
	}
	return b->used;
}

unsigned vsock_buffer_peek(const struct vsock_buffer *b, uint32_t len, struct iovec iov[2])
{
	uint32_t first = MIN(len, b->size - b->head);

	iov[0] = (struct iovec){ b->bytes + b->head, first };
	iov[1] = (struct iovec){ b->bytes, len - first };
	return first < len ? 2 : 1;
}

/* Clears the bits of the first len bytes. */
static void forget_ends(struct vsock_buffer *b, uint32_t len)
{
	for (uint32_t offset = 0; offset < len;) {
		uint32_t place = at(b, offset);
		uint32_t n = MIN(len - offset, WORD - place % WORD);
		uint64_t mask = (n == WORD ? UINT64_MAX : (1ull << n) - 1) << place % WORD;
		uint64_t *word = &b->ends[place / WORD];

		b->n_ends -= (uint32_t)__builtin_popcountll(*word & mask);
		*word &= ~mask;
		offset += n;
	}
}

void vsock_buffer_skip(struct vsock_buffer *b, uint32_t len)
{
	if (b->n_ends)
		forget_ends(b, len);
	b->head = at(b, len);
	b->used -= len;
	if (!b->used)
		b->head = 0;
}
