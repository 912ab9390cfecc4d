/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated lines: outputs have the values that the guest sets, inputs those set from outside. */
#include <errno.h>

#include "base/option.h"
#include "daemon/devices/gpio/gpio.h"

static int sim_set_direction(struct gpio_line *l, bool output)
{
	return 0;
}

static int sim_set_value(struct gpio_line *l)
{
	return 0;
}

static int sim_get_value(struct gpio_line *l)
{
	return l->state.direction == VIRTIO_GPIO_DIRECTION_OUT ? l->state.value : l->state.level;
}

static int sim_set_edges(struct gpio_line *l, bool on)
{
	return 0;
}

static void sim_close(struct gpio *g)
{
}

static const struct gpio_bank sim_bank = {
	.set_direction = sim_set_direction,
	.set_value = sim_set_value,
	.get_value = sim_get_value,
	.set_edges = sim_set_edges,
	.close = sim_close,
};

void gpio_sim_open(struct gpio *g, unsigned n)
{
	g->bank = &sim_bank;
	gpio_make_lines(g, n);
	for (unsigned i = 0; i < n; i++) {
		g->line[i].state.direction = VIRTIO_GPIO_DIRECTION_IN;
		g_snprintf(g->line[i].name, sizeof(g->line[i].name), "sim%u", i);
	}
}

bool gpio_sim_set(struct gpio_line *l, unsigned level, GError **error)
{
	if (l->gpio->bank != &sim_bank)
		return option_bad(error, "the lines are the host's, which alone drives them");
	if (l->state.level == level)
		return true;
	l->state.level = (uint8_t)level;
	gpio_state_store(l);
	if (l->state.irq)
		gpio_irq_edge(l, level);
	return true;
}
