/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated thermometer, as the LM75 is: registers of two bytes for the temperature and two
 * limits, and one of a byte.
 */
#include "daemon/devices/i2c/i2c_sim.h"

#include "base/option.h"

enum { TEMPERATURE, CONFIGURATION, HYSTERESIS, LIMIT, N_REGISTERS };
#define MIN_CELSIUS (-55)
#define MAX_CELSIUS 125
#define RESOLUTION 0xfff0 /* the bits that exist: 1/16 of a degree is the last */

/* In units of 1/256 of a degree: 25, 75 and 80 degrees. */
static const uint8_t initial[2 * N_REGISTERS] = {
	[2 * TEMPERATURE] = 25,
	[2 * HYSTERESIS] = 75,
	[2 * LIMIT] = 80,
};

static bool tmp_set(
	struct i2c_sim *s, const char *key, const char *value, bool starts, GError **error)
{
	double celsius;
	uint16_t raw;
	char *end;

	if (strcmp(key, "celsius") != 0)
		return false;
	celsius = g_ascii_strtod(value, &end);
	if (end == value || *end || !(celsius >= MIN_CELSIUS && celsius <= MAX_CELSIUS))
		return option_bad(
			error, "invalid celsius: %s (%d to %d)", value, MIN_CELSIUS, MAX_CELSIUS);
	raw = (uint16_t)(int16_t)(celsius * 256) & RESOLUTION;
	s->bytes[2 * TEMPERATURE] = (uint8_t)(raw >> 8);
	s->bytes[2 * TEMPERATURE + 1] = (uint8_t)raw;
	return true;
}

static unsigned width(unsigned r)
{
	return r == CONFIGURATION ? 1 : 2;
}

static bool tmp_write(struct i2c_sim *s, const uint8_t *data, unsigned n)
{
	s->pointer = data[0] % N_REGISTERS;
	/* The temperature is read-only. */
	if (s->pointer != TEMPERATURE)
		memcpy(s->bytes + 2 * s->pointer, data + 1, MIN(n - 1, width(s->pointer)));
	return true;
}

/* Reads the register, again and again. */
static void tmp_read(struct i2c_sim *s, uint8_t *data, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		data[i] = s->bytes[2 * s->pointer + i % width(s->pointer)];
}

const struct i2c_chip i2c_tmp = {
	.name = "tmp",
	.size = sizeof(initial),
	.initial = initial,
	.values = "celsius=NUMBER",
	.set = tmp_set,
	.write = tmp_write,
	.read = tmp_read,
};
