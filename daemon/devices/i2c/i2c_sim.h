/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated chips: i2c_sim.c has the bus, each chip is a table of its own. */
#pragma once

#include <stddef.h>

#include "base/util.h"
#include "daemon/devices/i2c/i2c.h"

struct i2c_sim {
	struct i2c_bus bus;
	const struct i2c_chip *chip;
	unsigned address;
	unsigned pointer; /* of the byte or register that comes next */
	uint8_t *bytes; /* memory, registers */
	unsigned size; /* of bytes */
	int fd; /* where an EEPROM's memory outlives the process; -1: nowhere */
	int64_t ahead_s; /* a clock: of the host's */
	int64_t stopped_s; /* its time while it is stopped; -1: it runs */
};

struct i2c_chip {
	const char *name;
	unsigned size; /* bytes that it has at first */
	unsigned max_size; /* and that a value can make of them; 0: no more */
	const uint8_t *initial; /* their contents; NULL: zeroes */
	/* The values that a user may set, a list of the format "size=BYTES or file=FILE". */
	const char *values;
	/*
	 * Sets one, at the start or (starts is false) at any time later. False: there is no such
	 * value, it cannot be set now, or *error.
	 */
	bool (*set)(
		struct i2c_sim *s, const char *key, const char *value, bool starts, GError **error);
	/* Once all values of the start are set; NULL: nothing to do. */
	bool (*setup)(struct i2c_sim *s, GError **error);
	/* The start of a transfer that addresses the chip; NULL: nothing to do. */
	void (*start)(struct i2c_sim *s);
	/* One message. False: the chip does not acknowledge. */
	bool (*write)(struct i2c_sim *s, const uint8_t *data, unsigned n);
	void (*read)(struct i2c_sim *s, uint8_t *data, unsigned n);
};

extern const struct i2c_chip i2c_eeprom, i2c_rtc, i2c_tmp;
