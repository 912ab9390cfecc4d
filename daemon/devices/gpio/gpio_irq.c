/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts (virtio 1.2 §5.18.7). The driver enables one by its type and unmasks it by a buffer in
 * the event queue, which is held until the interrupt comes and masks it again by its return. An
 * edge that comes while it is masked is latched; a level counts only while it is there.
 */
#include <errno.h>

#include "daemon/devices/gpio/gpio.h"

static bool is_level(unsigned type)
{
	return type == VIRTIO_GPIO_IRQ_TYPE_LEVEL_HIGH || type == VIRTIO_GPIO_IRQ_TYPE_LEVEL_LOW;
}

static bool is_valid(unsigned type)
{
	return type <= VIRTIO_GPIO_IRQ_TYPE_EDGE_BOTH || is_level(type);
}

/* Returns a buffer to the driver: the interrupt has come, or (valid is false) is disabled. */
static void answer(struct vq_chain *c, bool valid)
{
	uint8_t status = valid ? VIRTIO_GPIO_IRQ_STATUS_VALID : VIRTIO_GPIO_IRQ_STATUS_INVALID;

	iov_push(&c->in, &status, sizeof(status));
	vq_push(c);
}

static bool is_pending(struct gpio_line *l)
{
	unsigned type = l->state.irq;

	if (is_level(type))
		return l->gpio->bank->get_value(l) == (type == VIRTIO_GPIO_IRQ_TYPE_LEVEL_HIGH);
	return l->latched;
}

static void deliver(struct gpio_line *l)
{
	if (!l->unmasked || !is_pending(l))
		return;
	l->latched = false;
	answer(g_steal_pointer(&l->unmasked), true);
}

void gpio_irq_edge(struct gpio_line *l, bool rising)
{
	unsigned wanted =
		rising ? VIRTIO_GPIO_IRQ_TYPE_EDGE_RISING : VIRTIO_GPIO_IRQ_TYPE_EDGE_FALLING;

	if (!is_level(l->state.irq) && l->state.irq & wanted)
		l->latched = true;
	deliver(l);
}

int gpio_irq_set_type(struct gpio_line *l, unsigned type)
{
	int result = 0;

	if (!is_valid(type))
		return -EINVAL;
	if (type == l->state.irq)
		return 0;
	if (type && (l->state.direction != VIRTIO_GPIO_DIRECTION_IN || l->state.irq))
		return -EBUSY;
	result = l->gpio->bank->set_edges(l, type);
	if (result < 0 && type)
		return result;
	l->state.irq = (uint8_t)type;
	l->latched = false;
	gpio_state_store(l);
	if (!type && l->unmasked)
		answer(g_steal_pointer(&l->unmasked), false);
	return result;
}

/*
 * Enables an interrupt whose type a process that was killed knew: it is reported for any edge until
 * the driver sets the type again. One may have come meanwhile.
 */
static void recall(struct gpio_line *l)
{
	if (!l->gpio->forgotten || l->state.irq)
		return;
	if (l->state.direction == VIRTIO_GPIO_DIRECTION_NONE)
		l->state.direction = VIRTIO_GPIO_DIRECTION_IN;
	if (gpio_irq_set_type(l, VIRTIO_GPIO_IRQ_TYPE_EDGE_BOTH) == 0)
		l->latched = true;
}

bool gpio_irq_unmask(struct gpio *g, struct vq *q)
{
	g_autoptr(vq_chain) c = vq_pop(q);
	struct virtio_gpio_irq_request r;
	struct gpio_line *l = NULL;

	if (!c)
		return false;
	if (!iov_left(&c->in)) {
		vq_break(q, "the buffer of an interrupt has no room for a status");
		return false;
	}
	if (iov_pull(&c->out, &r, sizeof(r)) == sizeof(r) && le16toh(r.gpio) < g->n_lines)
		l = &g->line[le16toh(r.gpio)];
	if (l)
		recall(l);
	if (!l || l->unmasked || !l->state.irq) {
		answer(g_steal_pointer(&c), false);
		return true;
	}
	l->unmasked = g_steal_pointer(&c);
	deliver(l);
	return true;
}

void gpio_irq_keep(struct gpio *g)
{
	for (unsigned i = 0; i < g->n_lines; i++) {
		if (g->line[i].unmasked)
			vq_keep(g_steal_pointer(&g->line[i].unmasked));
	}
}
