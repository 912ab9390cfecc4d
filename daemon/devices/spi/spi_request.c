/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests (virtio 1.4 §5.21.6), each one transfer of a message.
 *
 * A chip's framing is its chip select: it has to stay active over the transfers of a message, such
 * as a register's number and its contents, and to change in between messages. No driver tells where
 * a message ends: Linux makes a request of each transfer, with cs_change 0 in the last one, too. So
 * the chip is held until another message can be told: by another chip or mode, a write after a read
 * (Linux), cs_change, or a pause.
 *
 * What a transfer does cannot be undone, nor, if a back-end died during it, be known: such a
 * request fails, and is not carried out again.
 */
#include "daemon/devices/spi/spi.h"

#define MAX_BYTES (1u << 20) /* of a request: it occupies the program */

void spi_release(struct spi *s, bool is_guess)
{
	struct spi_chip *c = g_steal_pointer(&s->held);

	if (c && c->ops->release)
		c->ops->release(c, is_guess);
}

void spi_wait(struct spi *s, struct vq *q)
{
	virtio_timer(s->d, q, &s->idle, g_get_monotonic_time() + s->idle_us);
}

static bool pull_head(struct iov_cursor *out, struct spi_head *h)
{
	if (iov_pull(out, h, sizeof(*h)) != sizeof(*h))
		return false;
	h->mode = le32toh(h->mode);
	h->freq_hz = le32toh(h->freq_hz);
	h->word_delay_ns = le32toh(h->word_delay_ns);
	h->cs_setup_ns = le32toh(h->cs_setup_ns);
	h->cs_hold_ns = le32toh(h->cs_hold_ns);
	h->cs_inactive_ns = le32toh(h->cs_inactive_ns);
	return true;
}

static bool has_lines(uint8_t mask, unsigned n)
{
	return n <= 1 || ((n == 2 || n == 4 || n == 8) && mask & SPI_NBITS(n));
}

static bool has_mode(uint32_t func, uint32_t mode)
{
	static const uint32_t needs[][2] = {
		{ SPI_MODE_CPHA, SPI_MF_CPHA_1 },
		{ SPI_MODE_CPOL, SPI_MF_CPOL_1 },
		{ SPI_MODE_CS_HIGH, SPI_MF_CS_HIGH },
		{ SPI_MODE_LSB_FIRST, SPI_MF_LSB_FIRST },
		{ SPI_MODE_LOOPBACK, SPI_MF_LOOPBACK },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(needs); i++) {
		if (mode & needs[i][0] && !(func & needs[i][1]))
			return false;
		mode &= ~needs[i][0];
	}
	return mode == 0;
}

/* Tells whether words of n bits (0: 8) are possible, and the bytes are whole ones. */
static bool has_words(uint32_t mask, unsigned n, size_t bytes)
{
	n = n ? n : 8;
	return n <= 32 && mask >> (n - 1) & 1 && bytes % (n > 16 ? 4 : n > 8 ? 2 : 1) == 0;
}

/* Tells whether all chips can do what a request asks one for, with n bytes. */
static bool is_possible(const struct spi_config *can, const struct spi_head *h, size_t n)
{
	return has_lines(can->tx_nbits, h->tx_nbits) && has_lines(can->rx_nbits, h->rx_nbits) &&
		has_mode(can->mode_func, h->mode) &&
		has_words(can->bits_per_word_mask, h->bits_per_word, n) &&
		(!can->max_freq_hz || h->freq_hz <= can->max_freq_hz) &&
		h->word_delay_ns <= can->max_word_delay_ns &&
		h->cs_setup_ns <= can->max_cs_setup_ns && h->cs_hold_ns <= can->max_cs_hold_ns &&
		h->cs_inactive_ns <= can->max_cs_inactive_ns;
}

/* Returns the chip of a request that is in order; NULL: it is not. */
static struct spi_chip *find_chip(struct spi *s, const struct spi_head *h, size_t out, size_t in)
{
	size_t n = MAX(out, in);

	if (h->chip_select >= s->n_chips || n == 0 || n > MAX_BYTES || (out && in && out != in) ||
		!is_possible(&s->can, h, n))
		return NULL;
	return s->chip[h->chip_select];
}

static bool is_held(const struct spi *s, const struct spi_head *h)
{
	if (s->dialect == SPI_SINGLE)
		return false;
	return s->dialect == SPI_ZEPHYR ? h->cs_change : !h->cs_change;
}

/* Transfers all bytes, in pieces. Returns 0, or -errno. */
static int transfer(struct spi *s, struct spi_chip *c, const struct spi_head *h, struct vq_chain *r)
{
	size_t out = iov_left(&r->out), in = iov_left(&r->in), left = MAX(out, in);
	bool is_guessed = s->dialect != SPI_ZEPHYR;
	struct spi_piece p = { .head = h, .first = is_guessed };
	int result = 0;

	while (left && result == 0) {
		p.len = (unsigned)MIN(left, SPI_MAX_PIECE);
		p.tx = out ? s->tx : NULL;
		p.rx = in ? s->rx : NULL;
		if (out)
			iov_pull(&r->out, s->tx, p.len);
		left -= p.len;
		p.hold = left || is_held(s, h);
		p.last = !left && is_guessed;
		result = c->ops->transfer(c, &p);
		if (in && result == 0)
			iov_push(&r->in, s->rx, p.len);
		p.first = false;
	}
	return result;
}

/* Tells whether a request belongs to the message that holds a chip. */
static bool goes_on(
	const struct spi *s, const struct spi_chip *c, const struct spi_head *h, bool writes)
{
	return s->held == c && s->held_mode == h->mode &&
		(s->dialect != SPI_LINUX || !s->has_read || !writes);
}

static enum spi_result run(struct spi *s, struct vq *q, struct vq_chain *r)
{
	struct spi_head h;
	struct spi_chip *c = NULL;
	bool reads;
	int result;

	if (pull_head(&r->out, &h))
		c = find_chip(s, &h, iov_left(&r->out), iov_left(&r->in));
	if (!c)
		return SPI_PARAM_ERR;
	if (vq_is_retry(r))
		return SPI_TRANS_ERR;
	reads = iov_left(&r->in);
	if (s->held && !goes_on(s, c, &h, iov_left(&r->out)))
		spi_release(s, false);
	result = transfer(s, c, &h, r);
	s->held = c;
	s->held_mode = h.mode;
	s->has_read = reads;
	if (result < 0)
		log_limited(&s->limit, LOG_LEVEL_WARNING, vq_name(q), "chip select %u: %s",
			h.chip_select, g_strerror(-result));
	if (result < 0)
		spi_release(s, false);
	else if (is_held(s, &h))
		spi_wait(s, q);
	else
		s->held = NULL;
	return result < 0 ? SPI_TRANS_ERR : SPI_TRANS_OK;
}

bool spi_request_serve(struct spi *s, struct vq *q)
{
	g_autoptr(vq_chain) c = vq_pop(q);
	enum spi_result result;
	uint8_t *last;

	if (!c)
		return false;
	last = iov_split_last(&c->in);
	if (!last) {
		vq_break(q, "request has no room for a result");
		return false;
	}
	result = run(s, q, c);
	iov_push_zeroes(&c->in, iov_left(&c->in));
	iov_put_last(&c->in, last, result);
	return true;
}
