/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated chips as buses of one address each. */
#include "daemon/devices/i2c/i2c_sim.h"

#include "base/option.h"

static const struct i2c_chip *const chips[] = { &i2c_eeprom, &i2c_rtc, &i2c_tmp };

static unsigned sim_transfer(struct i2c_bus *b, const struct i2c_message *m, unsigned n)
{
	struct i2c_sim *s = container_of(b, struct i2c_sim, bus);

	if (s->chip->start)
		s->chip->start(s);
	for (unsigned i = 0; i < n; i++) {
		/* Without a byte, the chip acknowledges its address. */
		if (m[i].read)
			s->chip->read(s, m[i].data, m[i].len);
		else if (m[i].len && !s->chip->write(s, m[i].data, m[i].len))
			return i;
	}
	return n;
}

static void sim_free(struct i2c_bus *b)
{
	struct i2c_sim *s = container_of(b, struct i2c_sim, bus);

	fd_close(&s->fd);
	g_free(s->bytes);
	g_free(s);
}

static const struct i2c_bus_ops sim_ops = { .transfer = sim_transfer, .free = sim_free };

static bool sim_set(
	struct i2c_sim *s, const char *key, const char *value, bool starts, GError **error)
{
	g_autoptr(GError) wrong = NULL;

	if (s->chip->set(s, key, value, starts, &wrong))
		return true;
	if (!wrong)
		return option_bad(
			error, "%s has no value '%s' (%s)", s->chip->name, key, s->chip->values);
	g_propagate_error(error, g_steal_pointer(&wrong));
	return false;
}

static const struct i2c_chip *find_chip(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(chips); i++) {
		if (strcmp(chips[i]->name, name) == 0)
			return chips[i];
	}
	return NULL;
}

static struct i2c_sim *sim_new(const struct i2c_chip *chip, unsigned address)
{
	struct i2c_sim *s = g_new0(struct i2c_sim, 1);

	s->bus.ops = &sim_ops;
	s->chip = chip;
	s->address = address;
	s->size = chip->size;
	s->bytes = g_malloc0(MAX(chip->size, chip->max_size));
	if (chip->initial)
		memcpy(s->bytes, chip->initial, chip->size);
	s->fd = -1;
	s->stopped_s = -1;
	return s;
}

static bool sim_setup(struct i2c_sim *s, char *const *values, GError **error)
{
	for (; *values; values++) {
		g_auto(GStrv) pair = g_strsplit(*values, "=", 2);

		if (!pair[0] || !pair[1])
			return option_bad(
				error, "invalid value: '%s' (%s)", *values, s->chip->values);
		if (!sim_set(s, pair[0], pair[1], true, error))
			return false;
	}
	return !s->chip->setup || s->chip->setup(s, error);
}

bool i2c_sim_open(struct i2c_map *map, const char *text, GError **error)
{
	g_auto(GStrv) part = g_strsplit(text, ",", -1);
	const struct i2c_chip *chip = NULL;
	struct i2c_sim *s;
	unsigned address;
	char *at = part[0] ? strchr(part[0], '@') : NULL;

	if (at) {
		*at++ = '\0';
		chip = find_chip(part[0]);
	}
	if (!chip)
		return option_bad(error,
			"eeprom@ADDRESS, rtc@ADDRESS or tmp@ADDRESS, and "
			"[,KEY=VALUE...]");
	if (!i2c_parse_address(at, &address, error))
		return false;
	s = sim_new(chip, address);
	i2c_map_add(map, &s->bus);
	return i2c_map_claim(map, &s->bus, address, error) && sim_setup(s, part + 1, error);
}

bool i2c_sim_change(struct i2c_bus *b, const char *key, const char *value, GError **error)
{
	if (b && b->ops == &sim_ops)
		return sim_set(container_of(b, struct i2c_sim, bus), key, value, false, error);
	return option_bad(error, "no chip is simulated at this address");
}
