/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of a chip of the host, by the GPIO character device (version 2 of its interface, Linux
 * 5.10). Each line is taken for itself, as it is, when the program starts, so that no other program
 * has it; an output keeps its value until the guest changes it.
 */
#include "daemon/devices/gpio/gpio.h"

#include <errno.h>
#include <fcntl.h>

#include "base/number.h"
#include "base/option.h"
#include "daemon/devices/gpio/gpio_host.h"

#define EDGES (GPIO_V2_LINE_FLAG_EDGE_RISING | GPIO_V2_LINE_FLAG_EDGE_FALLING)
#define MAX_EVENTS 16 /* the kernel's own limit for a line */

static int configure(struct gpio_line *l, struct gpio_v2_line_config *config)
{
	return gpio_host_ioctl(l->events.fd, GPIO_V2_LINE_SET_CONFIG_IOCTL, config) < 0 ? -errno
											: 0;
}

static int chip_set_direction(struct gpio_line *l, bool output)
{
	struct gpio_v2_line_config config = { .flags = GPIO_V2_LINE_FLAG_INPUT };

	if (output) {
		config.flags = GPIO_V2_LINE_FLAG_OUTPUT;
		config.num_attrs = 1;
		config.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES;
		config.attrs[0].attr.values = l->state.value;
		config.attrs[0].mask = 1;
	}
	return configure(l, &config);
}

static int chip_set_value(struct gpio_line *l)
{
	struct gpio_v2_line_values v = { .bits = l->state.value, .mask = 1 };

	return gpio_host_ioctl(l->events.fd, GPIO_V2_LINE_SET_VALUES_IOCTL, &v) < 0 ? -errno : 0;
}

static int chip_get_value(struct gpio_line *l)
{
	struct gpio_v2_line_values v = { .mask = 1 };

	return gpio_host_ioctl(l->events.fd, GPIO_V2_LINE_GET_VALUES_IOCTL, &v) < 0
		? -errno
		: (int)(v.bits & 1);
}

static void chip_start(struct gpio_line *l, struct vq *q)
{
	virtio_watch(l->gpio->d, q, &l->events, l->state.irq ? EPOLLIN : 0);
}

static int chip_set_edges(struct gpio_line *l, bool on)
{
	struct gpio_v2_line_config config = { .flags = GPIO_V2_LINE_FLAG_INPUT | (on ? EDGES : 0) };
	struct vq *q = l->gpio->begun ? virtio_device_queue(l->gpio->d, 1) : NULL;
	int result = configure(l, &config);

	if (q && (result == 0 || !on))
		virtio_watch(l->gpio->d, q, &l->events, on ? EPOLLIN : 0);
	return result;
}

static void chip_ready(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct gpio_line *l = container_of(w, struct gpio_line, events);
	struct gpio_v2_line_event event[MAX_EVENTS];
	ssize_t n = read(w->fd, event, sizeof(event));

	for (ssize_t i = 0; i < n / (ssize_t)sizeof(event[0]); i++)
		gpio_irq_edge(l, event[i].id == GPIO_V2_LINE_EVENT_RISING_EDGE);
	if (n > 0 || (n < 0 && errno == EAGAIN))
		return;
	log_limited(&l->gpio->limit, LOG_LEVEL_ERROR, NULL, "no more interrupts of line %u: %s",
		gpio_line_number(l), n ? g_strerror(errno) : "the chip is not there any more");
	virtio_watch(d, q, w, 0);
}

static void chip_close(struct gpio *g)
{
	for (unsigned i = 0; i < g->n_lines; i++)
		fd_close(&g->line[i].events.fd);
}

static const struct gpio_bank chip_bank = {
	.set_direction = chip_set_direction,
	.set_value = chip_set_value,
	.get_value = chip_get_value,
	.set_edges = chip_set_edges,
	.start = chip_start,
	.close = chip_close,
};

/* Appends the numbers of "0-3,7" to a list. */
static bool parse_lines(const char *text, unsigned n_lines, GArray *to, GError **error)
{
	g_auto(GStrv) part = g_strsplit(text, ",", -1);

	for (unsigned i = 0; part[i]; i++) {
		g_auto(GStrv) range = g_strsplit(part[i], "-", 2);
		uint64_t first, last;

		if (!range[0] || !number_parse(range[0], 0, n_lines - 1, &first) ||
			!number_parse(range[1] ? range[1] : range[0], first, n_lines - 1, &last))
			return option_bad(error,
				"invalid lines: %s (numbers and ranges from 0 to %u)", part[i],
				n_lines - 1);
		for (uint32_t n = (uint32_t)first; n <= last; n++)
			g_array_append_val(to, n);
	}
	return to->len || option_bad(error, "invalid lines: none are given");
}

static bool host_error(GError **error, const char *chip, const char *why)
{
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "cannot use /dev/%s: %s", chip, why);
	return false;
}

/* Takes a line, which is this one of the chip. */
static bool take(struct gpio_line *l, const char *chip, uint32_t offset, GError **error)
{
	struct gpio_v2_line_request request = { .offsets[0] = offset, .num_lines = 1 };
	struct gpio_v2_line_info info = { .offset = offset };
	g_autofree char *why = NULL;

	if (gpio_host_ioctl(l->gpio->fd, GPIO_V2_GET_LINEINFO_IOCTL, &info) < 0)
		return host_error(error, chip, g_strerror(errno));
	g_strlcpy(l->name, info.name, sizeof(l->name));
	l->state.direction = info.flags & GPIO_V2_LINE_FLAG_OUTPUT ? VIRTIO_GPIO_DIRECTION_OUT
								   : VIRTIO_GPIO_DIRECTION_IN;
	g_strlcpy(request.consumer, "virtiod-gpio", sizeof(request.consumer));
	if (gpio_host_ioctl(l->gpio->fd, GPIO_V2_GET_LINE_IOCTL, &request) < 0) {
		info.consumer[sizeof(info.consumer) - 1] = '\0';
		why = g_strdup_printf("line %u: %s%s%s", offset, g_strerror(errno),
			*info.consumer ? ", used by " : "", info.consumer);
		return host_error(error, chip, why);
	}
	l->events = (struct virtio_watch){ .fd = request.fd, .ready = chip_ready };
	if (fcntl(l->events.fd, F_SETFL, O_NONBLOCK) < 0)
		return host_error(error, chip, g_strerror(errno));
	return true;
}

bool gpio_chip_open(struct gpio *g, const char *text, GError **error)
{
	g_autoptr(GArray) offsets = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	g_auto(GStrv) part = g_strsplit(text, ":", 2);
	struct gpiochip_info info = { 0 };
	const char *chip = part[0] ? part[0] : "";
	g_autofree char *all = NULL;

	g->bank = &chip_bank;
	g->fd = gpio_host_open(chip);
	if (g->fd < 0 || gpio_host_ioctl(g->fd, GPIO_GET_CHIPINFO_IOCTL, &info) < 0)
		return host_error(error, chip, g_strerror(errno));
	if (!info.lines)
		return host_error(error, chip, "it has no lines");
	all = g_strdup_printf("0-%u", info.lines - 1);
	if (!parse_lines(*chip && part[1] ? part[1] : all, info.lines, offsets, error))
		return false;
	if (offsets->len > GPIO_MAX_LINES)
		return option_bad(error, "%u lines (at most %d)", offsets->len, GPIO_MAX_LINES);
	gpio_make_lines(g, offsets->len);
	for (unsigned i = 0; i < offsets->len; i++) {
		if (!take(&g->line[i], chip, g_array_index(offsets, uint32_t, i), error))
			return false;
	}
	return true;
}
