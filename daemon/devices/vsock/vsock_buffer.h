/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest sent and the host has not taken: a ring of bytes, and for each byte a bit that
 * tells whether a message ends with it. Its memory is the owner's; the kernel has none of it before
 * it is needed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/iov.h"

#define VSOCK_BUFFER_MAX (256u << 10)
/* Memory for one of the largest: bytes and bits. */
#define VSOCK_BUFFER_MEMORY (VSOCK_BUFFER_MAX + VSOCK_BUFFER_MAX / 8)

struct vsock_buffer {
	uint8_t *bytes;
	uint64_t *ends;
	uint32_t size; /* at most VSOCK_BUFFER_MAX; a multiple of 64 */
	uint32_t head, used;
	uint32_t n_ends; /* messages that are complete */
	bool touched;
};

/* memory: of VSOCK_BUFFER_MEMORY bytes, all zero, for 64-bit words. */
void vsock_buffer_init(struct vsock_buffer *b, void *memory, uint32_t size);
/* Gives the memory back to the kernel. */
void vsock_buffer_clear(struct vsock_buffer *b);
/* Appends all that is left of the data, for which there is room. */
void vsock_buffer_put(struct vsock_buffer *b, struct iov_cursor *data);
/* A message ends with the last byte. Nothing if there is none. */
void vsock_buffer_end(struct vsock_buffer *b);
/* Returns the number of bytes of the first message, which is complete. */
uint32_t vsock_buffer_message(const struct vsock_buffer *b);
/* Describes the first len bytes, which are there. Returns the number of iovecs. */
unsigned vsock_buffer_peek(const struct vsock_buffer *b, uint32_t len, struct iovec iov[2]);
void vsock_buffer_skip(struct vsock_buffer *b, uint32_t len);
