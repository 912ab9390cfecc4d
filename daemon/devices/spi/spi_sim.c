/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated chips: a loopback, and a flash (spi_flash.c). */
#include <string.h>

#include "base/option.h"
#include "base/util.h"
#include "daemon/devices/spi/spi.h"

const struct spi_config spi_sim_can = {
	.bits_per_word_mask = 1u << 7 | 1u << 15 | 1u << 31,
	.mode_func = SPI_MF_CPHA_0 | SPI_MF_CPHA_1 | SPI_MF_CPOL_0 | SPI_MF_CPOL_1 |
		SPI_MF_CS_HIGH | SPI_MF_LSB_FIRST | SPI_MF_LOOPBACK,
	.max_word_delay_ns = UINT32_MAX,
	.max_cs_setup_ns = UINT32_MAX,
	.max_cs_hold_ns = UINT32_MAX,
	.max_cs_inactive_ns = UINT32_MAX,
};

/* Reads what it writes. */
static int loopback_transfer(struct spi_chip *c, const struct spi_piece *p)
{
	if (p->rx && p->tx)
		memcpy(p->rx, p->tx, p->len);
	else if (p->rx)
		memset(p->rx, 0, p->len);
	return 0;
}

static void loopback_free(struct spi_chip *c)
{
	g_free(c);
}

static const struct spi_chip_ops loopback_ops = {
	.transfer = loopback_transfer,
	.free = loopback_free,
};

struct spi_chip *spi_sim_open(const char *text, GError **error)
{
	g_auto(GStrv) part = g_strsplit(text, ",", -1);
	struct spi_chip *c;

	if (part[0] && strcmp(part[0], "flash") == 0)
		return spi_flash_open(part + 1, error);
	if (!part[0] || strcmp(part[0], "loopback") != 0 || part[1]) {
		option_bad(error, "loopback, or flash[,size=BYTES][,file=FILE]");
		return NULL;
	}
	c = g_new0(struct spi_chip, 1);
	c->ops = &loopback_ops;
	c->can = spi_sim_can;
	return c;
}
