/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiod-gpio from the inside: lines, what is remembered of them, and where they are: on a chip of
 * the host (gpio_chip.c) or simulated (gpio_sim.c).
 */
#pragma once

#include "daemon/device.h"

#include <linux/gpio.h>
#include <linux/virtio_gpio.h>

#define GPIO_MAX_LINES 1024

/* What the driver relies on; what --state keeps in a file, in this form. */
struct gpio_line_state {
	uint8_t direction; /* VIRTIO_GPIO_DIRECTION_* */
	uint8_t value; /* that the driver has set: of an output, or of one to be */
	uint8_t irq; /* VIRTIO_GPIO_IRQ_TYPE_* */
	uint8_t level; /* of a simulated line, as an input */
};

struct gpio;

struct gpio_line {
	struct gpio *gpio;
	char name[GPIO_MAX_NAME_SIZE]; /* unique, or "" */
	struct gpio_line_state state;
	bool latched; /* an edge has come while the interrupt was masked */
	struct vq_chain *unmasked; /* a buffer for the next interrupt; NULL: masked */
	struct virtio_watch events; /* of a chip of the host; fd -1: none */
};

/* Where the lines are. All return 0, or -errno. */
struct gpio_bank {
	/* Makes a line an input, or an output with the value of its state. */
	int (*set_direction)(struct gpio_line *l, bool output);
	int (*set_value)(struct gpio_line *l); /* of an output, from its state */
	int (*get_value)(struct gpio_line *l); /* or 0 or 1 */
	/* Reports edges of an input by gpio_irq_edge() from now on, or none (on is false). */
	int (*set_edges)(struct gpio_line *l, bool on);
	/* The queues run: edges that have come meanwhile are reported now. NULL: nothing to do. */
	void (*start)(struct gpio_line *l, struct vq *q);
	void (*close)(struct gpio *g);
};

struct gpio {
	struct virtio_device *d;
	const struct gpio_bank *bank;
	struct gpio_line *line;
	unsigned n_lines;
	char *names; /* all, as GET_NAMES has them; NULL: no line has one */
	size_t names_size;
	int fd; /* of a chip of the host; -1: none */
	int state_fd; /* of --state; -1: none */
	bool has_state; /* it has told what the lines were */
	bool begun; /* a driver has used this device */
	bool forgotten; /* and, in another process, the lines: how is not known */
	struct log_limit limit;
};

static inline unsigned gpio_line_number(const struct gpio_line *l)
{
	return (unsigned)(l - l->gpio->line);
}

/* Opens a chip, "gpiochipN[:LINES]", and takes its lines (LINES: "0-3,7"), which it names. */
bool gpio_chip_open(struct gpio *g, const char *text, GError **error);
/* Makes n lines, which are inputs at low level. */
void gpio_sim_open(struct gpio *g, unsigned n);
/* Drives a simulated line from outside; false, with an error: it is none. */
bool gpio_sim_set(struct gpio_line *l, unsigned level, GError **error);

/* Makes n lines; the bank's open functions do that. */
void gpio_make_lines(struct gpio *g, unsigned n);

/* gpio_state.c: opens the file of --state, and reads what it has. */
bool gpio_state_open(struct gpio *g, const char *path, GError **error);
/* Keeps a line's state, which has changed. */
void gpio_state_store(struct gpio_line *l);
/* Returns a line to what it is for a driver that has just begun. */
void gpio_line_release(struct gpio_line *l);

/* gpio_control.c: methods of the control socket. */
extern const struct virtio_method gpio_methods[];
/* Tells the clients of the control socket that the guest has changed a line. */
void gpio_line_event(struct gpio_line *l);

/* gpio_request.c: serves the next request; false: there is none, or the queue is broken. */
bool gpio_request_serve(struct gpio *g, struct vq *q);

/* gpio_irq.c: sets the type of a line's interrupt. Returns 0, or -errno. */
int gpio_irq_set_type(struct gpio_line *l, unsigned type);
/* Takes the next buffer of the event queue; false: there is none, or the queue is broken. */
bool gpio_irq_unmask(struct gpio *g, struct vq *q);
/* An edge has come. */
void gpio_irq_edge(struct gpio_line *l, bool rising);
/* Hands back the buffers for interrupts that have not come: the event queue stops. */
void gpio_irq_keep(struct gpio *g);
