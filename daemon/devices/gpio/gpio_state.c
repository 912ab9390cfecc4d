/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of lines, in this process and in the file of --state. */
#include <errno.h>

#include "base/kept_file.h"
#include "daemon/devices/gpio/gpio.h"

#define SIZE sizeof(struct gpio_line_state)

static bool is_sound(const struct gpio_line_state *s)
{
	return s->direction <= VIRTIO_GPIO_DIRECTION_IN && s->value <= 1 && s->level <= 1 &&
		(s->irq <= VIRTIO_GPIO_IRQ_TYPE_LEVEL_HIGH ||
			s->irq == VIRTIO_GPIO_IRQ_TYPE_LEVEL_LOW) &&
		(!s->irq || s->direction == VIRTIO_GPIO_DIRECTION_IN);
}

/* Takes over what a line was, on the host's side, too. */
static void restore(struct gpio_line *l, const struct gpio_line_state *s)
{
	const struct gpio_bank *bank = l->gpio->bank;

	l->state = *s;
	if (s->direction != VIRTIO_GPIO_DIRECTION_NONE)
		bank->set_direction(l, s->direction == VIRTIO_GPIO_DIRECTION_OUT);
	if (s->irq)
		bank->set_edges(l, true);
	/* An edge may have come meanwhile. */
	l->latched = s->irq;
}

static void read_all(struct gpio *g)
{
	g_autofree struct gpio_line_state *s = g_new0(struct gpio_line_state, g->n_lines);
	ssize_t size = (ssize_t)(g->n_lines * SIZE);

	if (pread(g->state_fd, s, size, 0) != size)
		return;
	for (unsigned i = 0; i < g->n_lines; i++) {
		if (!is_sound(&s[i]))
			return;
	}
	for (unsigned i = 0; i < g->n_lines; i++)
		restore(&g->line[i], &s[i]);
	g->has_state = true;
}

bool gpio_state_open(struct gpio *g, const char *path, GError **error)
{
	g->state_fd = kept_file_open(path, NULL, error);
	if (g->state_fd < 0)
		return false;
	read_all(g);
	for (unsigned i = 0; i < g->n_lines; i++)
		gpio_state_store(&g->line[i]);
	return true;
}

void gpio_state_store(struct gpio_line *l)
{
	struct gpio *g = l->gpio;

	if (g->state_fd < 0 ||
		pwrite(g->state_fd, &l->state, SIZE, gpio_line_number(l) * SIZE) == SIZE)
		return;
	log_limited(&g->limit, LOG_LEVEL_ERROR, NULL, "cannot write to the file of --state: %s",
		g_strerror(errno));
}

void gpio_line_release(struct gpio_line *l)
{
	gpio_irq_set_type(l, VIRTIO_GPIO_IRQ_TYPE_NONE);
	l->state.value = 0;
	gpio_state_store(l);
}
