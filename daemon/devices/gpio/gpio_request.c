/* SPDX-License-Identifier: Apache-2.0 */
/* The requests (virtio 1.2 §5.18.6), each a row of a table. To repeat one changes nothing. */
#include <errno.h>

#include "daemon/devices/gpio/gpio.h"

/* All return 0, or -errno; get_direction and get_value the value. */

static int get_direction(struct gpio_line *l, uint32_t value)
{
	return l->state.direction;
}

/* Keeps and reports what a request has made of a line. */
static void changed(struct gpio_line *l, const struct gpio_line_state *before)
{
	if (memcmp(&l->state, before, sizeof(*before)) == 0)
		return;
	gpio_state_store(l);
	gpio_line_event(l);
}

static int set_direction(struct gpio_line *l, uint32_t value)
{
	struct gpio_line_state before = l->state;
	int result;

	if (value == VIRTIO_GPIO_DIRECTION_NONE) {
		gpio_line_release(l);
		l->state.direction = VIRTIO_GPIO_DIRECTION_NONE;
		changed(l, &before);
		return 0;
	}
	if (value != VIRTIO_GPIO_DIRECTION_IN && value != VIRTIO_GPIO_DIRECTION_OUT)
		return -EINVAL;
	if (l->state.irq)
		return value == l->state.direction ? 0 : -EBUSY;
	result = l->gpio->bank->set_direction(l, value == VIRTIO_GPIO_DIRECTION_OUT);
	if (result < 0)
		return result;
	l->state.direction = (uint8_t)value;
	changed(l, &before);
	return 0;
}

static int get_value(struct gpio_line *l, uint32_t value)
{
	return l->gpio->bank->get_value(l);
}

static int set_value(struct gpio_line *l, uint32_t value)
{
	struct gpio_line_state before = l->state;
	int result = 0;

	if (value > 1)
		return -EINVAL;
	l->state.value = (uint8_t)value;
	if (l->state.direction == VIRTIO_GPIO_DIRECTION_OUT)
		result = l->gpio->bank->set_value(l);
	changed(l, &before);
	return result;
}

static int set_irq_type(struct gpio_line *l, uint32_t value)
{
	if (!(l->gpio->d->driver_features & 1ull << VIRTIO_GPIO_F_IRQ))
		return -EOPNOTSUPP;
	return gpio_irq_set_type(l, value);
}

static int (*const requests[])(struct gpio_line *l, uint32_t value) = {
	[VIRTIO_GPIO_MSG_GET_DIRECTION] = get_direction,
	[VIRTIO_GPIO_MSG_SET_DIRECTION] = set_direction,
	[VIRTIO_GPIO_MSG_GET_VALUE] = get_value,
	[VIRTIO_GPIO_MSG_SET_VALUE] = set_value,
	[VIRTIO_GPIO_MSG_IRQ_TYPE] = set_irq_type,
};

/* Answers GET_NAMES, the only request whose response is longer. */
static void answer_names(struct gpio *g, struct vq_chain *c)
{
	uint8_t status = VIRTIO_GPIO_STATUS_OK;

	if (!g->names || iov_left(&c->in) < 1 + g->names_size)
		status = VIRTIO_GPIO_STATUS_ERR;
	iov_push(&c->in, &status, sizeof(status));
	if (status == VIRTIO_GPIO_STATUS_OK)
		iov_push(&c->in, g->names, g->names_size);
}

static int run(struct gpio *g, const struct virtio_gpio_request *r)
{
	unsigned type = le16toh(r->type), line = le16toh(r->gpio);
	int result;

	if (type >= G_N_ELEMENTS(requests) || !requests[type] || line >= g->n_lines)
		return -EINVAL;
	result = requests[type](&g->line[line], le32toh(r->value));
	if (result < 0)
		log_limited(&g->limit, LOG_LEVEL_DEBUG, NULL, "line %u: request %u: %s", line, type,
			g_strerror(-result));
	return result;
}

bool gpio_request_serve(struct gpio *g, struct vq *q)
{
	g_autoptr(vq_chain) c = vq_pop(q);
	struct virtio_gpio_response response = { VIRTIO_GPIO_STATUS_ERR, 0 };
	struct virtio_gpio_request r;
	bool whole;

	if (!c)
		return false;
	if (!iov_left(&c->in)) {
		vq_break(q, "request has no room for a status");
		return false;
	}
	whole = iov_pull(&c->out, &r, sizeof(r)) == sizeof(r);
	if (whole && le16toh(r.type) == VIRTIO_GPIO_MSG_GET_NAMES) {
		answer_names(g, c);
		return true;
	}
	if (whole && iov_left(&c->in) >= sizeof(response)) {
		int result = run(g, &r);

		if (result >= 0)
			response = (struct virtio_gpio_response){ VIRTIO_GPIO_STATUS_OK,
				(uint8_t)result };
	}
	iov_push(&c->in, &response, sizeof(response));
	return true;
}
