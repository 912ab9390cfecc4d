/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550A serial port: registers only. x86 has it at SERIAL_PORT, arm64 in memory (one byte a
 * register). Thread-safe.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct serial_ops {
	/* The guest wrote these bytes. */
	void (*output)(void *opaque, const void *bytes, size_t len);
	/* The interrupt line. */
	void (*interrupt)(void *opaque, bool level);
	/* The receive FIFO has room again. */
	void (*receive_ready)(void *opaque);
};

struct serial;
typedef struct serial serial; /* for g_autoptr */

struct serial *serial_new(const struct serial_ops *ops, void *opaque);
void serial_free(struct serial *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(serial, serial_free)
/* Resets all registers to their power-on values. */
void serial_reset(struct serial *s);
/* A bus_access_fn; opaque is the serial port. */
bool serial_access(
	void *opaque, uint64_t offset, unsigned size, bool write, uint64_t *value, void *token);
/* Passes bytes to the guest; returns how many fit into the receive FIFO. */
size_t serial_receive(struct serial *s, const void *bytes, size_t len);
