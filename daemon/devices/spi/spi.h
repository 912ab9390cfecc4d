/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiod-spi from the inside: messages (virtio 1.4 §5.21; Linux has no header of them before
 * 6.18), and the chips behind chip selects: spidev of the host (spi_dev.c) or simulated
 * (spi_sim.c).
 */
#pragma once

#include "daemon/device.h"

enum spi_result { SPI_TRANS_OK, SPI_PARAM_ERR, SPI_TRANS_ERR };

/* Bits of mode_func; a request's mode has those that are not about 0 and 1 of CPHA and CPOL. */
#define SPI_MF_CPHA_0 (1u << 0)
#define SPI_MF_CPHA_1 (1u << 1)
#define SPI_MF_CPOL_0 (1u << 2)
#define SPI_MF_CPOL_1 (1u << 3)
#define SPI_MF_CS_HIGH (1u << 4)
#define SPI_MF_LSB_FIRST (1u << 5)
#define SPI_MF_LOOPBACK (1u << 6)
#define SPI_MODE_CPHA (1u << 0)
#define SPI_MODE_CPOL (1u << 1)
#define SPI_MODE_CS_HIGH (1u << 2)
#define SPI_MODE_LSB_FIRST (1u << 3)
#define SPI_MODE_LOOPBACK (1u << 4)

/* The bit of a configuration's tx_nbits or rx_nbits for 2, 4 or 8 lines. */
#define SPI_NBITS(lines) ((lines) >> 1)

/* The configuration space, little-endian; of one chip: in host byte order. */
struct spi_config {
	uint8_t cs_max_number;
	uint8_t cs_change_supported;
	uint8_t tx_nbits, rx_nbits;
	uint32_t bits_per_word_mask; /* bit n: words of n + 1 bits */
	uint32_t mode_func;
	uint32_t max_freq_hz; /* 0: no limit */
	uint32_t max_word_delay_ns; /* 0: there are no such delays; so are the next ones */
	uint32_t max_cs_setup_ns;
	uint32_t max_cs_hold_ns;
	uint32_t max_cs_inactive_ns;
};

/* The head of a request, little-endian in guest memory; in here: in host byte order. */
struct spi_head {
	uint8_t chip_select;
	uint8_t bits_per_word;
	uint8_t cs_change;
	uint8_t tx_nbits, rx_nbits; /* lines; 0: 1 */
	uint8_t reserved[3];
	uint32_t mode;
	uint32_t freq_hz;
	uint32_t word_delay_ns;
	uint32_t cs_setup_ns;
	uint32_t cs_hold_ns; /* after the last word */
	uint32_t cs_inactive_ns;
};

/* A request is carried out in pieces of this size. */
#define SPI_MAX_PIECE 4096

struct spi_piece {
	const struct spi_head *head;
	const uint8_t *tx; /* NULL: zeroes go out */
	uint8_t *rx; /* NULL: what comes in is dropped */
	unsigned len; /* at most SPI_MAX_PIECE */
	bool hold; /* keep the chip selected */
	/* What was before it may have been the end of a message; and what it ends with may be. */
	bool first, last;
};

struct spi_chip {
	const struct spi_chip_ops *ops;
	struct spi_config can; /* cs_max_number is not used */
};

struct spi_chip_ops {
	/* Selects the chip, if it is not, and transfers a piece. Returns 0, or -errno. */
	int (*transfer)(struct spi_chip *c, const struct spi_piece *p);
	/*
	 * Releases a chip that was held; is_guess: its message may not have ended. NULL: nothing
	 * to do.
	 */
	void (*release)(struct spi_chip *c, bool is_guess);
	void (*free)(struct spi_chip *c);
};

/* spi_dev.c: opens a spidev of the host, "/dev/spidev0.1". */
struct spi_chip *spi_dev_open(const char *path, GError **error);

/* spi_sim.c: makes a simulated chip, "CHIP[,KEY=VALUE...]". */
struct spi_chip *spi_sim_open(const char *text, GError **error);
/* What simulated chips can: all modes, and words of 8, 16 and 32 bits. */
extern const struct spi_config spi_sim_can;
/* spi_flash.c: the rest of "flash[,size=BYTES][,file=FILE]". */
struct spi_chip *spi_flash_open(char *const *values, GError **error);

/* When a chip that was used is released, by the driver's idea of cs_change. */
enum spi_dialect {
	SPI_LINUX, /* 0: held over the message, whose end has to be guessed; 1: released */
	SPI_ZEPHYR, /* 0: released; 1: held */
	SPI_SINGLE, /* each request is a message */
};

#define SPI_MAX_CHIPS 16

struct spi {
	struct virtio_device *d;
	struct spi_chip *chip[SPI_MAX_CHIPS];
	unsigned n_chips;
	struct spi_config can; /* what all chips can; in host byte order */
	unsigned dialect; /* enum spi_dialect */
	unsigned idle_us; /* a chip that is held is released after this time */
	/* The chip that a message holds; NULL: none. */
	struct spi_chip *held;
	uint32_t held_mode;
	bool has_read; /* its last request did */
	struct virtio_timer idle;
	struct log_limit limit;
	uint8_t tx[SPI_MAX_PIECE], rx[SPI_MAX_PIECE];
};

/* spi_request.c: serves the next request; false: there is none, or the queue is broken. */
bool spi_request_serve(struct spi *s, struct vq *q);
/* Ends the message that holds a chip, if there is one; is_guess: which may not have ended. */
void spi_release(struct spi *s, bool is_guess);
/* Ends it later, unless it goes on. */
void spi_wait(struct spi *s, struct vq *q);
