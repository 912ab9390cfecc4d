/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket shows of lines, and changes on simulated ones. */
#include "daemon/devices/gpio/gpio.h"

#include "base/option.h"

static const char *const directions[] = {
	[VIRTIO_GPIO_DIRECTION_NONE] = "none",
	[VIRTIO_GPIO_DIRECTION_OUT] = "out",
	[VIRTIO_GPIO_DIRECTION_IN] = "in",
};

static struct gpio_line *line_of(
	struct virtio_device *d, const struct virtio_arg *number, GError **error)
{
	struct gpio *g = d->data;

	if (number->number < g->n_lines)
		return &g->line[number->number];
	option_bad(error, "there is no line %d (0 to %u)", (int)number->number, g->n_lines - 1);
	return NULL;
}

static bool call_set(
	struct virtio_device *d, const struct virtio_arg *args, struct json *result, GError **error)
{
	struct gpio_line *l = line_of(d, &args[0], error);

	return l && gpio_sim_set(l, args[1].number, error);
}

static bool call_get(
	struct virtio_device *d, const struct virtio_arg *args, struct json *result, GError **error)
{
	struct gpio_line *l = line_of(d, &args[0], error);
	int value = l ? l->gpio->bank->get_value(l) : 0;

	if (l && value < 0)
		return option_bad(error, "the value is not known: %s", g_strerror(-value));
	if (!l)
		return false;
	json_string(result, "name", l->name);
	json_string(result, "direction", directions[l->state.direction]);
	json_uint(result, "value", (unsigned)value);
	return true;
}

void gpio_line_event(struct gpio_line *l)
{
	struct json *event = virtio_event_begin(l->gpio->d, "line");

	if (!event)
		return;
	json_uint(event, "line", gpio_line_number(l));
	json_string(event, "direction", directions[l->state.direction]);
	if (l->state.direction == VIRTIO_GPIO_DIRECTION_OUT)
		json_uint(event, "value", l->state.value);
	virtio_event_end(l->gpio->d, event);
}

#define PARAM_LINE                                                     \
	{                                                              \
		"line", VIRTIO_PARAM_NUMBER, .max = GPIO_MAX_LINES - 1 \
	}

const struct virtio_method gpio_methods[] = {
	{
		.name = "set",
		.summary = "Drive a simulated line from outside: line=3 value=1",
		.params = { PARAM_LINE, { "value", VIRTIO_PARAM_NUMBER, .max = 1 } },
		.call = call_set,
	},
	{
		.name = "get",
		.summary = "Report a line's name, direction and value: line=3",
		.params = { PARAM_LINE },
		.call = call_get,
	},
	{ NULL },
};
