/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-gpio (virtio 1.2 §5.18) on lines of a chip of the host, or on simulated ones: options,
 * names, queues. Requests are in gpio_request.c, interrupts in gpio_irq.c.
 */
#include "daemon/devices/gpio/gpio.h"

#include <linux/virtio_ids.h>

#include "base/option.h"

enum { REQUESTS, EVENTS, N_QUEUES };

static struct {
	char *device, *state;
	unsigned sim;
} options;

void gpio_make_lines(struct gpio *g, unsigned n)
{
	g->n_lines = n;
	g->line = g_new0(struct gpio_line, n);
	for (unsigned i = 0; i < n; i++) {
		g->line[i].gpio = g;
		g->line[i].events.fd = -1;
	}
}

static bool is_ascii(const char *text)
{
	while (*text && g_ascii_isprint(*text))
		text++;
	return !*text;
}

/* Joins the names of all lines; one that is not unique, or not ASCII, is left out. */
static void gpio_join_names(struct gpio *g)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
	GString *all = g_string_new(NULL);

	for (unsigned i = 0; i < g->n_lines; i++) {
		char *name = g->line[i].name;

		if (!is_ascii(name) || !g_hash_table_add(seen, name))
			name = "";
		g_string_append_len(all, name, strlen(name) + 1);
	}
	g->names_size = all->len;
	/* Nothing but the ends of empty names. */
	if (all->len == g->n_lines)
		g->names_size = 0;
	g->names = g_string_free(all, !g->names_size);
}

static bool gpio_open(struct virtio_device *d, GError **error)
{
	struct gpio *g = d->data = g_new0(struct gpio, 1);
	struct virtio_gpio_config *config = (struct virtio_gpio_config *)d->config;

	g->d = d;
	g->fd = g->state_fd = -1;
	d->num_queues = N_QUEUES;
	if (!options.device && !options.sim)
		return option_bad(error, "--device=CHIP or --sim=N is missing: no lines to serve");
	if (options.sim) {
		gpio_sim_open(g, options.sim);
	} else if (!gpio_chip_open(g, options.device, error)) {
		g_prefix_error(error, "--device=%s: ", options.device);
		return false;
	}
	if (options.state && !gpio_state_open(g, options.state, error))
		return false;
	gpio_join_names(g);
	config->ngpio = htole16((uint16_t)g->n_lines);
	config->gpio_names_size = htole32((uint32_t)g->names_size);
	return true;
}

static void gpio_close(struct virtio_device *d)
{
	struct gpio *g = g_steal_pointer(&d->data);

	if (g->bank)
		g->bank->close(g);
	fd_close(&g->fd);
	fd_close(&g->state_fd);
	g_free(g->line);
	g_free(g->names);
	g_free(g);
	g_clear_pointer(&options.device, g_free);
	g_clear_pointer(&options.state, g_free);
}

static void gpio_reset(struct virtio_device *d)
{
	struct gpio *g = d->data;

	for (unsigned i = 0; i < g->n_lines; i++)
		gpio_line_release(&g->line[i]);
	g->forgotten = false;
}

/* Finds out whether the driver has set up the lines, by a process before this one. */
static void gpio_begin(struct gpio *g, struct vq *q)
{
	g->begun = true;
	if (!vq_is_resumed(q))
		gpio_reset(g->d);
	else
		g->forgotten = !g->has_state;
}

static void gpio_queue_start(struct virtio_device *d, struct vq *q)
{
	struct gpio *g = d->data;

	if (!g->begun)
		gpio_begin(g, q);
	for (unsigned i = 0; vq_index(q) == EVENTS && g->bank->start && i < g->n_lines; i++)
		g->bank->start(&g->line[i], q);
}

static void gpio_queue_stop(struct virtio_device *d, struct vq *q)
{
	if (vq_index(q) == EVENTS)
		gpio_irq_keep(d->data);
}

static void gpio_kick(struct virtio_device *d, struct vq *q)
{
	bool (*serve)(struct gpio * g, struct vq * q) =
		vq_index(q) == EVENTS ? gpio_irq_unmask : gpio_request_serve;

	while (serve(d->data, q))
		;
}

static const struct option_entry gpio_options[] = {
	{ "device", "CHIP[:LINES]", .string = &options.device, .excludes = { "sim" },
		.help = "A chip of the host, as gpiochip0, and those of its lines, as 0-3,7" },
	{ "sim", "N", .number = &options.sim, .min = 1, .max = GPIO_MAX_LINES,
		.help = "Simulate N lines" },
	{ "state", "FILE", .path = &options.state,
		.help = "Keep what the guest has set, for a program that is started anew" },
	{ NULL },
};

static const struct syscall_rule gpio_calls[] = {
	SYSCALL_IOCTL(GPIO_V2_LINE_SET_CONFIG_IOCTL),
	SYSCALL_IOCTL(GPIO_V2_LINE_SET_VALUES_IOCTL),
	SYSCALL_IOCTL(GPIO_V2_LINE_GET_VALUES_IOCTL),
	SYSCALL(pwrite64),
	SYSCALL_END,
};

static const struct virtio_device_needs gpio_needs = { .calls = gpio_calls };

const struct virtio_device_ops virtio_device_ops = {
	.name = "gpio",
	.summary = "virtio GPIO device with lines of a chip of the host, or simulated ones",
	.probe = {
		.device_id = VIRTIO_ID_GPIO,
		.features = 1ull << VIRTIO_GPIO_F_IRQ,
		.config_size = sizeof(struct virtio_gpio_config),
		.min_queues = 1,
		.max_queues = N_QUEUES,
	},
	.threads = VIRTIO_DEVICE_ONE,
	.prefers_split = true,
	.any_order = true,
	.options = gpio_options,
	.methods = gpio_methods,
	.needs = &gpio_needs,
	.open = gpio_open,
	.close = gpio_close,
	.reset = gpio_reset,
	.queue_start = gpio_queue_start,
	.queue_stop = gpio_queue_stop,
	.kick = gpio_kick,
};
