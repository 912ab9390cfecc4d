/* SPDX-License-Identifier: Apache-2.0 */
/* Which bus serves which address. */
#include "daemon/devices/i2c/i2c.h"

#include "base/number.h"
#include "base/option.h"

#define FIRST_ADDRESS 0x03
#define LAST_ADDRESS 0x77

void i2c_map_add(struct i2c_map *map, struct i2c_bus *b)
{
	/* Each claims an address at least, or is the last one, as that is an error. */
	g_assert(map->n_buses < G_N_ELEMENTS(map->bus));
	map->bus[map->n_buses++] = b;
}

bool i2c_map_claim(struct i2c_map *map, struct i2c_bus *b, unsigned address, GError **error)
{
	if (map->of[address])
		return option_bad(
			error, "address 0x%02x is given twice: the guest has one adapter", address);
	map->of[address] = b;
	return true;
}

void i2c_map_clear(struct i2c_map *map)
{
	for (unsigned i = 0; i < map->n_buses; i++)
		map->bus[i]->ops->free(map->bus[i]);
	*map = (struct i2c_map){ 0 };
}

bool i2c_parse_address(const char *text, unsigned *address, GError **error)
{
	uint64_t value;

	if (!number_parse(text, FIRST_ADDRESS, LAST_ADDRESS, &value))
		return option_bad(error, "invalid address: %s (0x%02x to 0x%02x)", text,
			FIRST_ADDRESS, LAST_ADDRESS);
	*address = (unsigned)value;
	return true;
}
