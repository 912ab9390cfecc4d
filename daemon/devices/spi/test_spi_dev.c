/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-spi on chips of the host, in whose place are fakes that note what they get. */
#include "tests/lib/kit.h"

#include <errno.h>
#include <linux/spi/spidev.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/devices/spi/spi.h"
#include "daemon/devices/spi/spi_host.h"
#include "tests/lib/kit_core.h"
#include "virtio/inflight.h"

#define CHIPS 2
#define KNOWN (SPI_CPHA | SPI_CPOL | SPI_TX_DUAL | SPI_CS_HIGH)

static struct {
	int fd[CHIPS];
	uint32_t mode[CHIPS];
	bool fails; /* the next message */
	GString *calls;
} fake;

int spi_host_open(const char *path)
{
	unsigned cs;

	if (!g_str_has_prefix(path, "/dev/spidev0.") || path[13] > '1') {
		errno = ENOENT;
		return -1;
	}
	cs = (unsigned)atoi(path + 13);
	fake.mode[cs] = cs ? SPI_CS_HIGH | SPI_CPOL : 0;
	g_string_truncate(fake.calls, 0);
	return fake.fd[cs] = dup(STDERR_FILENO);
}

static int message(unsigned cs, const struct spi_ioc_transfer *t)
{
	const uint8_t *tx = (const uint8_t *)(uintptr_t)t->tx_buf;

	g_string_append_printf(fake.calls, "%u:", cs);
	if (!t->len)
		g_string_append(fake.calls, " release");
	if (tx)
		g_string_append_printf(fake.calls, " w%u.%02x", t->len, tx[0]);
	if (t->rx_buf) {
		g_string_append_printf(fake.calls, " r%u", t->len);
		memset((void *)(uintptr_t)t->rx_buf, 0xa5, t->len);
	}
	g_string_append_printf(fake.calls, "%s\n", t->cs_change ? " held" : "");
	if (fake.fails) {
		errno = ETIMEDOUT;
		return -1;
	}
	return (int)t->len;
}

static int set_mode(unsigned cs, uint32_t mode)
{
	if (mode & ~KNOWN) {
		errno = EINVAL;
		return -1;
	}
	fake.mode[cs] = mode;
	g_string_append_printf(fake.calls, "%u: mode %#x\n", cs, mode);
	return 0;
}

int spi_host_ioctl(int fd, unsigned long request, void *arg)
{
	unsigned cs = 0;

	while (fake.fd[cs] != fd)
		cs++;
	switch (request) {
	case SPI_IOC_RD_MODE32:
		*(uint32_t *)arg = fake.mode[cs];
		return 0;
	case SPI_IOC_WR_MODE32:
		return set_mode(cs, *(uint32_t *)arg);
	case SPI_IOC_RD_BITS_PER_WORD:
		*(uint8_t *)arg = 8;
		return 0;
	case SPI_IOC_WR_BITS_PER_WORD:
		errno = EINVAL;
		return *(uint8_t *)arg == 32 ? -1 : 0;
	case SPI_IOC_RD_MAX_SPEED_HZ:
		*(uint32_t *)arg = cs ? 1000000 : 20000000;
		return 0;
	case SPI_IOC_MESSAGE(1):
		return message(cs, arg);
	default:
		fail_msg("unexpected ioctl: %#lx", request);
		return -1;
	}
}

/* Sends a transfer and returns its result. */
static uint8_t transfer(struct kit *k, const struct spi_head *h, size_t n_tx, size_t n_rx)
{
	g_autofree uint8_t *out = g_malloc(sizeof(*h) + n_tx);
	struct kit_request *r;

	memcpy(out, h, sizeof(*h));
	memset(out + sizeof(*h), 0x5a, n_tx);
	r = kit_send(k, 0, out, sizeof(*h) + n_tx, n_rx + 1);
	assert_int_equal(kit_wait(k, r), n_rx + 1);
	for (size_t i = 0; i < n_rx && r->in[n_rx] == SPI_TRANS_OK; i++)
		assert_int_equal(r->in[i], 0xa5);
	return r->in[n_rx];
}

/* Sends a transfer that must succeed. */
static void do_transfer(
	struct kit *k, unsigned cs, bool change, uint32_t mode, size_t n_tx, size_t n_rx)
{
	const struct spi_head h = {
		.chip_select = (uint8_t)cs,
		.bits_per_word = 8,
		.cs_change = change,
		.mode = htole32(mode),
	};

	assert_int_equal(transfer(k, &h, n_tx, n_rx), SPI_TRANS_OK);
}

/* Checks what the host got since the last time. */
static void check_calls(const char *expected)
{
	assert_string_equal(fake.calls->str, expected);
	g_string_truncate(fake.calls, 0);
}

static void start(struct kit *k, const char *dialect)
{
	kit_start(k, "--device=/dev/spidev0.0", "--device=/dev/spidev0.1", "--cs-idle-us=1000000",
		dialect, NULL);
	g_string_truncate(fake.calls, 0);
}

static void test_config(struct kit *k)
{
	struct spi_config c;

	start(k, NULL);
	/* As they were. */
	assert_int_equal(fake.mode[0], 0);
	assert_int_equal(fake.mode[1], SPI_CS_HIGH | SPI_CPOL);
	kit_config_read(k, 0, &c, sizeof(c));
	assert_int_equal(c.cs_max_number, 2);
	assert_int_equal(c.tx_nbits, SPI_NBITS(2));
	assert_int_equal(c.rx_nbits, 0);
	assert_int_equal(le32toh(c.mode_func),
		SPI_MF_CPHA_0 | SPI_MF_CPHA_1 | SPI_MF_CPOL_0 | SPI_MF_CPOL_1);
	assert_int_equal(le32toh(c.bits_per_word_mask), 1u << 7 | 1u << 15);
	assert_int_equal(le32toh(c.max_freq_hz), 1000000);
	assert_int_equal(le32toh(c.max_word_delay_ns), 255000);
	assert_int_equal(c.max_cs_setup_ns, 0);
}

/* Writes and a read are a message, the next write is of another one. */
static void test_linux(struct kit *k)
{
	start(k, NULL);
	do_transfer(k, 0, false, 0, 1, 0);
	do_transfer(k, 0, false, 0, 0, 2);
	do_transfer(k, 0, false, 0, 0, 1);
	do_transfer(k, 0, false, 0, 3, 0);
	do_transfer(k, 0, true, 0, 1, 1);
	check_calls("0: w1.5a held\n0: r2 held\n0: r1 held\n0: release\n0: w3.5a held\n"
		    "0: w1.5a r1\n");
	/* Another mode, another chip, whose polarity stays. */
	do_transfer(k, 0, false, 0, 1, 0);
	do_transfer(k, 0, false, SPI_MODE_CPHA, 1, 0);
	do_transfer(k, 1, false, SPI_MODE_CPHA, 1, 0);
	check_calls("0: w1.5a held\n0: release\n0: mode 0x1\n0: w1.5a held\n0: release\n"
		    "1: mode 0x5\n1: w1.5a held\n");
	/* A pause of the guest is none of the message, a reset is its end. */
	kit_pause(k);
	do_transfer(k, 1, false, SPI_MODE_CPHA, 0, 5000);
	check_calls("1: r4096 held\n1: r904 held\n");
	kit_reset(k);
	check_calls("1: release\n");
}

static void test_zephyr(struct kit *k)
{
	start(k, "--dialect=zephyr");
	do_transfer(k, 0, true, 0, 1, 0);
	do_transfer(k, 0, true, 0, 0, 2);
	do_transfer(k, 0, false, 0, 1, 0);
	check_calls("0: w1.5a held\n0: r2 held\n0: w1.5a\n");
}

static void test_single(struct kit *k)
{
	start(k, "--dialect=single");
	do_transfer(k, 0, false, 0, 1, 0);
	do_transfer(k, 0, true, 0, 5000, 0);
	check_calls("0: w1.5a\n0: w4096.5a held\n0: w904.5a\n");
}

static void test_idle(struct kit *k)
{
	kit_start(k, "--device=/dev/spidev0.0", "--cs-idle-us=20", NULL);
	g_string_truncate(fake.calls, 0);
	do_transfer(k, 0, false, 0, 1, 0);
	while (!strstr(fake.calls->str, "release"))
		kit_core_step(kit_core(k), 20);
	do_transfer(k, 0, false, 0, 1, 0);
}

static void test_failure(struct kit *k)
{
	static const struct spi_head h = { .bits_per_word = 8 };
	const struct spi_head fast = { .bits_per_word = 8, .freq_hz = htole32(1000001) };

	start(k, NULL);
	assert_int_equal(transfer(k, &fast, 1, 1), SPI_PARAM_ERR);
	fake.fails = true;
	assert_int_equal(transfer(k, &h, 5000, 0), SPI_TRANS_ERR);
	fake.fails = false;
	check_calls("0: w4096.5a held\n0: release\n");
	kit_wait_log(k, "chip select 0: Connection timed out");
	assert_int_equal(transfer(k, &h, 5, 0), SPI_TRANS_OK);
}

/* What was in flight when a process died is not carried out again. */
static void test_retry(struct kit *k)
{
	static const struct spi_head h = { .bits_per_word = 8 };
	struct kit_core *c = kit_core(k);
	struct virtio_inflight_split *area;
	struct kit_request *r;

	start(k, NULL);
	if (kit_is_packed(k))
		return;
	kit_core_stop(c);
	r = kit_add(k, 0, &h, sizeof(h), 2);
	driver_ring_publish(c->queue[0].ring);
	area = c->queue[0].inflight;
	area->entry[0].inflight = 1;
	c->queue[0].base++;
	kit_core_resume(c);
	assert_int_equal(kit_wait(k, r), 2);
	assert_int_equal(r->in[1], SPI_TRANS_ERR);
	check_calls("");
}

static const struct kit_test tests[] = {
	{ "configuration", test_config, .skip = KIT_NO_PROCESS },
	{ "linux", test_linux, .skip = KIT_NO_PROCESS | KIT_NO_HOSTILE },
	{ "zephyr", test_zephyr, .skip = KIT_NO_PROCESS | KIT_NO_HOSTILE },
	{ "single", test_single, .skip = KIT_NO_PROCESS | KIT_NO_HOSTILE },
	{ "idle", test_idle, .skip = KIT_NO_PROCESS },
	{ "retry", test_retry, .skip = KIT_NO_PROCESS | KIT_NO_PAUSE },
	{ "failure", test_failure, .skip = KIT_NO_PROCESS | KIT_NO_HOSTILE },
};

int main(int argc, char **argv)
{
	int result;

	fake.calls = g_string_new(NULL);
	result = kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
	g_string_free(fake.calls, TRUE);
	return result;
}
