/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiod-i2c from the inside: messages, and the buses that carry them out. A bus is an adapter of
 * the host (i2c_dev.c) or a simulated chip (i2c_sim.c); each address of the guest's adapter belongs
 * to one bus, or to none.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define I2C_ADDRESSES 128 /* 7 bits */
/* Limits of i2c-dev for one transfer. */
#define I2C_MAX_MESSAGES 42
#define I2C_MAX_BYTES 8192

/* One segment of a transfer, between two (repeated) starts. */
struct i2c_message {
	uint8_t address;
	bool read;
	uint16_t len; /* at most I2C_MAX_BYTES */
	uint8_t *data; /* what is written, or room for what is read */
};

struct i2c_bus {
	const struct i2c_bus_ops *ops;
};

struct i2c_bus_ops {
	/*
	 * Carries out n messages, 1 to I2C_MAX_MESSAGES, as one transfer, with no stop in between.
	 * Returns how many have succeeded, in order; after a failure the others are not tried.
	 */
	unsigned (*transfer)(struct i2c_bus *b, const struct i2c_message *m, unsigned n);
	void (*free)(struct i2c_bus *b);
};

/* Who serves which address; owns the buses. */
struct i2c_map {
	struct i2c_bus *of[I2C_ADDRESSES]; /* NULL: nothing there */
	struct i2c_bus *bus[I2C_ADDRESSES]; /* all, each once */
	unsigned n_buses;
};

/* Takes over a bus, which serves no address yet. */
void i2c_map_add(struct i2c_map *map, struct i2c_bus *b);
/* Lets a bus of the map serve an address; fails if another one does. */
bool i2c_map_claim(struct i2c_map *map, struct i2c_bus *b, unsigned address, GError **error);
void i2c_map_clear(struct i2c_map *map);

/* Parses a 7-bit address from 0x03 to 0x77: those beyond are reserved by the I2C specification. */
bool i2c_parse_address(const char *text, unsigned *address, GError **error);

/*
 * Opens the adapters of a list "BUS:ADDRESS[:ADDRESS...],..." of the host. With force, devices that
 * a driver of the host uses are not refused.
 */
bool i2c_dev_open(struct i2c_map *map, const char *list, bool force, GError **error);

/* Adds a simulated chip, "CHIP@ADDRESS[,KEY=VALUE...]". */
bool i2c_sim_open(struct i2c_map *map, const char *text, GError **error);
/* Sets a value of a simulated chip that runs, such as a temperature. */
bool i2c_sim_change(struct i2c_bus *b, const char *key, const char *value, GError **error);
