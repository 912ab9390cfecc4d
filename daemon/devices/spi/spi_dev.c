/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chip of the host, by spidev. With cs_change in its last transfer a message leaves the chip
 * selected; a message of no bytes releases it. The polarity of the chip select is the host's.
 */
#include "daemon/devices/spi/spi.h"

#include <errno.h>
#include <linux/spi/spidev.h>

#include "base/util.h"
#include "daemon/devices/spi/spi_host.h"

struct spi_dev {
	struct spi_chip chip;
	int fd;
	uint32_t mode; /* as set: SPI_* of Linux */
	uint32_t own; /* that the host has set, and the guest does not know of */
};

/* Modes, all of which can be tried without a change of the chip select. */
static const struct {
	uint32_t host;
	uint32_t func, guest; /* bits of a configuration, and of a request's mode */
	uint8_t tx_nbits, rx_nbits; /* or lines */
} modes[] = {
	{ SPI_CPHA, SPI_MF_CPHA_1, SPI_MODE_CPHA },
	{ SPI_CPOL, SPI_MF_CPOL_1, SPI_MODE_CPOL },
	{ SPI_LSB_FIRST, SPI_MF_LSB_FIRST, SPI_MODE_LSB_FIRST },
	{ SPI_LOOP, SPI_MF_LOOPBACK, SPI_MODE_LOOPBACK },
	{ SPI_TX_DUAL, .tx_nbits = 2 },
	{ SPI_TX_QUAD, .tx_nbits = 4 },
	{ SPI_TX_OCTAL, .tx_nbits = 8 },
	{ SPI_RX_DUAL, .rx_nbits = 2 },
	{ SPI_RX_QUAD, .rx_nbits = 4 },
	{ SPI_RX_OCTAL, .rx_nbits = 8 },
};

/* Sets the mode for a piece, whose chip is not selected if it differs from the last one. */
static int set_mode(struct spi_dev *s, const struct spi_head *h)
{
	uint32_t mode = s->own;

	for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
		if (modes[i].guest & h->mode ||
			(modes[i].tx_nbits && modes[i].tx_nbits == h->tx_nbits) ||
			(modes[i].rx_nbits && modes[i].rx_nbits == h->rx_nbits))
			mode |= modes[i].host;
	}
	if (mode == s->mode)
		return 0;
	if (spi_host_ioctl(s->fd, SPI_IOC_WR_MODE32, &mode) < 0)
		return -errno;
	s->mode = mode;
	return 0;
}

static int dev_transfer(struct spi_chip *c, const struct spi_piece *p)
{
	struct spi_dev *s = container_of(c, struct spi_dev, chip);
	const struct spi_head *h = p->head;
	struct spi_ioc_transfer t = {
		.tx_buf = (uintptr_t)p->tx,
		.rx_buf = (uintptr_t)p->rx,
		.len = p->len,
		.speed_hz = h->freq_hz,
		.delay_usecs = (uint16_t)((h->cs_hold_ns + 999) / 1000),
		.word_delay_usecs = (uint8_t)((h->word_delay_ns + 999) / 1000),
		.bits_per_word = h->bits_per_word,
		.cs_change = p->hold,
		.tx_nbits = h->tx_nbits,
		.rx_nbits = h->rx_nbits,
	};
	int result = set_mode(s, h);

	if (result < 0)
		return result;
	return spi_host_ioctl(s->fd, SPI_IOC_MESSAGE(1), &t) < 0 ? -errno : 0;
}

static void dev_release(struct spi_chip *c, bool is_guess)
{
	struct spi_dev *s = container_of(c, struct spi_dev, chip);
	struct spi_ioc_transfer nothing = { 0 };

	spi_host_ioctl(s->fd, SPI_IOC_MESSAGE(1), &nothing);
}

static void dev_free(struct spi_chip *c)
{
	struct spi_dev *s = container_of(c, struct spi_dev, chip);

	fd_close(&s->fd);
	g_free(s);
}

static const struct spi_chip_ops dev_ops = {
	.transfer = dev_transfer,
	.release = dev_release,
	.free = dev_free,
};

/* Finds out what the controller and its driver can do, by trying. */
static bool try_all(struct spi_dev *s)
{
	static const uint8_t words[] = { 8, 16, 32 };
	struct spi_config *can = &s->chip.can;
	uint8_t word;

	if (spi_host_ioctl(s->fd, SPI_IOC_RD_MODE32, &s->mode) < 0 ||
		spi_host_ioctl(s->fd, SPI_IOC_RD_BITS_PER_WORD, &word) < 0 ||
		spi_host_ioctl(s->fd, SPI_IOC_RD_MAX_SPEED_HZ, &can->max_freq_hz) < 0)
		return false;
	s->own = s->mode;
	can->mode_func = SPI_MF_CPHA_0 | SPI_MF_CPOL_0;
	for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
		uint32_t mode;

		s->own &= ~modes[i].host;
		mode = s->own | modes[i].host;
		if (spi_host_ioctl(s->fd, SPI_IOC_WR_MODE32, &mode) < 0)
			continue;
		can->mode_func |= modes[i].func;
		can->tx_nbits |= SPI_NBITS(modes[i].tx_nbits);
		can->rx_nbits |= SPI_NBITS(modes[i].rx_nbits);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
		if (spi_host_ioctl(s->fd, SPI_IOC_WR_BITS_PER_WORD, (void *)&words[i]) == 0)
			can->bits_per_word_mask |= 1u << (words[i] - 1);
	}
	/* What spidev's structure has room for; other delays it does not know. */
	can->max_word_delay_ns = UINT8_MAX * 1000;
	can->max_cs_hold_ns = UINT16_MAX * 1000;
	return spi_host_ioctl(s->fd, SPI_IOC_WR_BITS_PER_WORD, &word) == 0 &&
		spi_host_ioctl(s->fd, SPI_IOC_WR_MODE32, &s->mode) == 0;
}

struct spi_chip *spi_dev_open(const char *path, GError **error)
{
	struct spi_dev *s = g_new0(struct spi_dev, 1);

	s->chip.ops = &dev_ops;
	s->fd = spi_host_open(path);
	if (s->fd >= 0 && try_all(s))
		return &s->chip;
	g_set_error(
		error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "cannot use it: %s", g_strerror(errno));
	dev_free(&s->chip);
	return NULL;
}
