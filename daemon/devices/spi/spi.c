/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-spi (virtio 1.4 §5.21): a controller whose chip selects lead to chips of the host, or to
 * simulated ones. Requests are in spi_request.c.
 */
#include "daemon/devices/spi/spi.h"

#include <linux/spi/spidev.h>

#include "base/option.h"

#define ID_SPI 45 /* VIRTIO_ID_SPI of Linux 6.18 */
#define MAX_IDLE_US 1000000

/* What --device and --sim name, in the order of the chip selects. */
struct chip_option {
	bool simulated;
	char *text;
};

static struct {
	struct chip_option chip[SPI_MAX_CHIPS];
	unsigned n_chips;
	unsigned dialect, idle_us;
} options;

static bool add_chip(bool simulated, const char *text, GError **error)
{
	if (options.n_chips == SPI_MAX_CHIPS)
		return option_bad(error, "at most %d chips", SPI_MAX_CHIPS);
	options.chip[options.n_chips++] = (struct chip_option){ simulated, g_strdup(text) };
	return true;
}

static bool parse_device(const char *text, GError **error)
{
	return add_chip(false, text, error);
}

static bool parse_sim(const char *text, GError **error)
{
	return add_chip(true, text, error);
}

/* Leaves in a controller's configuration what a chip can do, too. */
static void meet(struct spi_config *all, const struct spi_config *chip)
{
	all->tx_nbits &= chip->tx_nbits;
	all->rx_nbits &= chip->rx_nbits;
	all->bits_per_word_mask &= chip->bits_per_word_mask;
	all->mode_func &= chip->mode_func;
	if (!all->max_freq_hz || (chip->max_freq_hz && chip->max_freq_hz < all->max_freq_hz))
		all->max_freq_hz = chip->max_freq_hz;
	all->max_word_delay_ns = MIN(all->max_word_delay_ns, chip->max_word_delay_ns);
	all->max_cs_setup_ns = MIN(all->max_cs_setup_ns, chip->max_cs_setup_ns);
	all->max_cs_hold_ns = MIN(all->max_cs_hold_ns, chip->max_cs_hold_ns);
	all->max_cs_inactive_ns = MIN(all->max_cs_inactive_ns, chip->max_cs_inactive_ns);
}

static void fill_config(struct spi *s, struct spi_config *to)
{
	struct spi_config *can = &s->can;

	*can = s->chip[0]->can;
	for (unsigned i = 1; i < s->n_chips; i++)
		meet(can, &s->chip[i]->can);
	*to = (struct spi_config){
		.cs_max_number = (uint8_t)s->n_chips,
		.cs_change_supported = 1,
		.tx_nbits = can->tx_nbits,
		.rx_nbits = can->rx_nbits,
		.bits_per_word_mask = htole32(can->bits_per_word_mask),
		.mode_func = htole32(can->mode_func),
		.max_freq_hz = htole32(can->max_freq_hz),
		.max_word_delay_ns = htole32(can->max_word_delay_ns),
		.max_cs_setup_ns = htole32(can->max_cs_setup_ns),
		.max_cs_hold_ns = htole32(can->max_cs_hold_ns),
		.max_cs_inactive_ns = htole32(can->max_cs_inactive_ns),
	};
}

static void idle_for_long(struct virtio_device *d, struct vq *q, struct virtio_timer *t)
{
	struct spi *s = d->data;

	spi_release(s, s->dialect == SPI_LINUX);
}

static bool open_chip(struct spi *s, const struct chip_option *o, GError **error)
{
	struct spi_chip *c;

	c = o->simulated ? spi_sim_open(o->text, error) : spi_dev_open(o->text, error);
	if (!c) {
		g_prefix_error(error, "--%s=%s: ", o->simulated ? "sim" : "device", o->text);
		return false;
	}
	s->chip[s->n_chips++] = c;
	return true;
}

static bool spi_open(struct virtio_device *d, GError **error)
{
	struct spi *s = d->data = g_new0(struct spi, 1);

	s->d = d;
	s->dialect = options.dialect;
	s->idle_us = options.idle_us;
	s->idle.expired = idle_for_long;
	d->num_queues = 1;
	if (!options.n_chips)
		return option_bad(error,
			"--device=/dev/spidevBUS.CS or --sim=CHIP is missing: no SPI chip to "
			"serve");
	for (unsigned i = 0; i < options.n_chips; i++) {
		if (!open_chip(s, &options.chip[i], error))
			return false;
	}
	fill_config(s, (struct spi_config *)d->config);
	return true;
}

static void spi_close(struct virtio_device *d)
{
	struct spi *s = g_steal_pointer(&d->data);

	spi_release(s, false);
	for (unsigned i = 0; i < s->n_chips; i++)
		s->chip[i]->ops->free(s->chip[i]);
	g_free(s);
	while (options.n_chips)
		g_free(options.chip[--options.n_chips].text);
}

static void spi_reset(struct virtio_device *d)
{
	spi_release(d->data, false);
}

/* Waits for the rest of a message, which may come after a pause: its chip was held meanwhile. */
static void spi_queue_start(struct virtio_device *d, struct vq *q)
{
	spi_wait(d->data, q);
}

static void spi_kick(struct virtio_device *d, struct vq *q)
{
	while (spi_request_serve(d->data, q))
		;
}

static const char *const dialects[] = {
	[SPI_LINUX] = "linux",
	[SPI_ZEPHYR] = "zephyr",
	[SPI_SINGLE] = "single",
	NULL,
};

static const struct option_entry spi_options[] = {
	{ "device", "PATH", .parse = parse_device,
		.help = "A chip of the host, as /dev/spidev0.1; the first one is chip select 0" },
	{ "sim", "CHIP", .parse = parse_sim,
		.help = "Simulate a chip: flash or loopback; [,KEY=VALUE...] may follow" },
	{ "dialect", .word = &options.dialect, .words = dialects, .initial = "linux",
		.help = "When the guest's driver means to release a chip" },
	{ "cs-idle-us", "N", .number = &options.idle_us, .min = 1, .max = MAX_IDLE_US,
		.initial = "1000",
		.help = "Release a chip after N microseconds without a request" },
	{ NULL },
};

static const struct syscall_rule spi_calls[] = {
	SYSCALL_IOCTL(SPI_IOC_MESSAGE(1)),
	SYSCALL_IOCTL(SPI_IOC_WR_MODE32),
	SYSCALL(pread64),
	SYSCALL(pwrite64),
	SYSCALL(fallocate),
	SYSCALL_END,
};

static const struct virtio_device_needs spi_needs = { .calls = spi_calls };

const struct virtio_device_ops virtio_device_ops = {
	.name = "spi",
	.summary = "virtio SPI controller with chips of the host, or simulated ones",
	.probe = {
		.device_id = ID_SPI,
		.config_size = sizeof(struct spi_config),
		.min_queues = 1,
		.max_queues = 1,
	},
	.threads = VIRTIO_DEVICE_ONE,
	.prefers_split = true,
	.options = spi_options,
	.needs = &spi_needs,
	.open = spi_open,
	.close = spi_close,
	.reset = spi_reset,
	.queue_start = spi_queue_start,
	.kick = spi_kick,
};
