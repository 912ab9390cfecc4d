/* SPDX-License-Identifier: Apache-2.0 */
/* The serial port as drivers probe and use it. */
#include "tests/lib/test.h"

#include <linux/serial_reg.h>

#include "kvm-stub/machine/serial.h"

struct serial_test {
	struct test test;
	struct serial *s;
	GString *out;
	bool level;
	unsigned rises, ready;
	pthread_mutex_t lock; /* out and ready, in the test with threads */
};

static void on_output(void *opaque, const void *bytes, size_t len)
{
	struct serial_test *w = opaque;

	pthread_mutex_lock(&w->lock);
	g_string_append_len(w->out, bytes, len);
	pthread_mutex_unlock(&w->lock);
}

static void on_interrupt(void *opaque, bool level)
{
	struct serial_test *w = opaque;

	assert_true(level != w->level);
	w->level = level;
	w->rises += level;
}

static void on_receive_ready(void *opaque)
{
	struct serial_test *w = opaque;

	pthread_mutex_lock(&w->lock);
	w->ready++;
	pthread_mutex_unlock(&w->lock);
}

static const struct serial_ops ops = { on_output, on_interrupt, on_receive_ready };

static int setup(void **state)
{
	struct serial_test *w = g_new0(struct serial_test, 1);

	test_begin(&w->test);
	pthread_mutex_init(&w->lock, NULL);
	w->out = g_string_new(NULL);
	w->s = serial_new(&ops, w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct serial_test *w = *state;

	serial_free(w->s);
	g_string_free(w->out, TRUE);
	pthread_mutex_destroy(&w->lock);
	test_end(&w->test);
	g_free(w);
	return 0;
}

static uint8_t rd(struct serial_test *w, uint64_t offset)
{
	uint64_t value = UINT64_MAX;

	assert_true(serial_access(w->s, offset, 1, false, &value, NULL));
	assert_true(value <= UINT8_MAX);
	return value;
}

static void wr(struct serial_test *w, uint64_t offset, uint64_t value)
{
	assert_true(serial_access(w->s, offset, 1, true, &value, NULL));
}

static void test_output(void **state)
{
	struct serial_test *w = *state;

	wr(w, UART_TX, 'a');
	wr(w, UART_TX, 0);
	wr(w, UART_TX, 'b');
	assert_memory_equal(w->out->str, "a\0b", 4);
	assert_int_equal(rd(w, UART_LSR), UART_LSR_TEMT | UART_LSR_THRE);
	assert_int_equal(w->rises, 0);
}

static void test_registers(void **state)
{
	struct serial_test *w = *state;

	wr(w, UART_SCR, 0x5a);
	assert_int_equal(rd(w, UART_SCR), 0x5a);
	/* Where the divisor is, nothing is sent. */
	wr(w, UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
	wr(w, UART_DLL, 0x34);
	wr(w, UART_DLM, 0x12);
	assert_int_equal(rd(w, UART_DLL), 0x34);
	assert_int_equal(rd(w, UART_DLM), 0x12);
	wr(w, UART_LCR, UART_LCR_WLEN8);
	assert_int_equal(rd(w, UART_LCR), UART_LCR_WLEN8);
	assert_int_equal(rd(w, UART_IER), 0);
	assert_int_equal(rd(w, UART_RX), 0);
	assert_int_equal(w->out->len, 0);
	/* Beyond the eight there is nothing; wider accesses are of one register. */
	wr(w, 8, 0xff);
	wr(w, UINT64_MAX, 0xff);
	assert_int_equal(rd(w, 8), 0);
	assert_int_equal(rd(w, UINT64_MAX), 0);
	wr(w, UART_SCR, 0x1234567890);
	assert_int_equal(rd(w, UART_SCR), 0x90);
}

/* How Linux tells a 16550A from its relatives (8250_port.c, autoconfig()). */
static void test_linux_probes_a_16550a(void **state)
{
	struct serial_test *w = *state;
	uint8_t with, without, loop;
	unsigned n;

	/* IER has four bits. */
	wr(w, UART_IER, 0);
	assert_int_equal(rd(w, UART_IER), 0);
	wr(w, UART_IER, 0x0f);
	assert_int_equal(rd(w, UART_IER), 0x0f);
	wr(w, UART_IER, 0xff);
	assert_int_equal(rd(w, UART_IER), 0x0f);
	wr(w, UART_IER, 0);
	/* RTS comes back as CTS, OUT2 as DCD. */
	wr(w, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	assert_int_equal(rd(w, UART_MSR) & 0xf0, UART_MSR_DCD | UART_MSR_CTS);
	wr(w, UART_MCR, 0);
	assert_int_equal(rd(w, UART_MSR) & 0xf0, UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
	/* A FIFO that works; no EFR in its place, with either access to it. */
	assert_int_equal(rd(w, UART_IIR) >> 6, 0);
	wr(w, UART_FCR, UART_FCR_ENABLE_FIFO);
	assert_int_equal(rd(w, UART_IIR) >> 6, 3);
	wr(w, UART_LCR, UART_LCR_CONF_MODE_A);
	assert_true(rd(w, UART_EFR) != 0);
	wr(w, UART_LCR, UART_LCR_CONF_MODE_B);
	assert_true(rd(w, UART_EFR) != 0);
	/* NatSemi: bit 4 of bank 2's EXCR1 follows MCR's loop bit. */
	wr(w, UART_LCR, 0);
	wr(w, UART_MCR, UART_MCR_LOOP);
	wr(w, UART_LCR, 0xe0);
	with = rd(w, 2);
	wr(w, UART_LCR, 0);
	loop = rd(w, UART_MCR);
	wr(w, UART_MCR, 0);
	assert_int_equal(with & UART_MCR_LOOP, 0);
	assert_int_equal(loop, UART_MCR_LOOP);
	/* TI 16750: a FIFO of 64 bytes, where DLAB is set. */
	wr(w, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR7_64BYTE);
	without = rd(w, UART_IIR) >> 5;
	wr(w, UART_FCR, UART_FCR_ENABLE_FIFO);
	wr(w, UART_LCR, UART_LCR_CONF_MODE_A);
	wr(w, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR7_64BYTE);
	with = rd(w, UART_IIR) >> 5;
	assert_int_equal(without, 6);
	assert_int_equal(with, 6);
	wr(w, UART_LCR, 0);
	/* The size of the FIFO. */
	wr(w, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
	wr(w, UART_MCR, UART_MCR_LOOP);
	for (unsigned i = 0; i < 256; i++)
		wr(w, UART_TX, i);
	for (n = 0; rd(w, UART_LSR) & UART_LSR_DR; n++)
		assert_int_equal(rd(w, UART_RX), n);
	assert_int_equal(n, 16);
	assert_int_equal(w->out->len, 0);
	assert_int_equal(w->rises, 1); /* IER 0x0f */
}

/* What serial8250_do_startup() tries, to know if it can rely on the interrupt. */
static void test_thr_interrupt_comes_again(void **state)
{
	struct serial_test *w = *state;

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(rd(w, UART_IIR), UART_IIR_NO_INT);
		wr(w, UART_IER, UART_IER_THRI);
		assert_true(w->level);
		assert_int_equal(rd(w, UART_IIR), UART_IIR_THRI);
		/* Told once. */
		assert_false(w->level);
		assert_int_equal(rd(w, UART_IIR), UART_IIR_NO_INT);
		/* Each write to THR makes it empty again, at once. */
		wr(w, UART_TX, 'x');
		assert_true(w->level);
		/* It is not disabled by looking elsewhere. */
		rd(w, UART_LSR);
		assert_true(w->level);
		wr(w, UART_IER, 0);
		assert_false(w->level);
	}
	assert_int_equal(w->rises, 4);
}

static void test_thr_enabled_again_without_change(void **state)
{
	struct serial_test *w = *state;

	wr(w, UART_IER, UART_IER_THRI);
	assert_int_equal(rd(w, UART_IIR), UART_IIR_THRI);
	wr(w, UART_IER, UART_IER_THRI | UART_IER_RDI);
	assert_int_equal(rd(w, UART_IIR), UART_IIR_NO_INT);
}

static void test_receive(void **state)
{
	struct serial_test *w = *state;
	char bytes[40] = "0123456789abcdefghijklmnopqrstuvwxyz";
	char got[17] = { 0 };

	/* Without FIFO: one byte. */
	assert_int_equal(serial_receive(w->s, bytes, 36), 1);
	assert_int_equal(serial_receive(w->s, bytes, 36), 0);
	assert_true(rd(w, UART_LSR) & UART_LSR_DR);
	assert_int_equal(rd(w, UART_RX), '0');
	assert_int_equal(w->ready, 1);
	assert_false(rd(w, UART_LSR) & UART_LSR_DR);

	wr(w, UART_FCR, UART_FCR_ENABLE_FIFO);
	wr(w, UART_IER, UART_IER_RDI);
	assert_false(w->level);
	assert_int_equal(serial_receive(w->s, bytes, 3), 3);
	assert_true(w->level);
	assert_int_equal(serial_receive(w->s, bytes + 3, 33), 13);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(rd(w, UART_IIR), 0xc0 | UART_IIR_RDI);
		assert_true(w->level);
		assert_int_equal(w->ready, 1);
		got[i] = (char)rd(w, UART_RX);
	}
	assert_string_equal(got, "0123456789abcdef");
	assert_false(w->level);
	assert_int_equal(w->ready, 2);
	assert_int_equal(rd(w, UART_IIR), 0xc0 | UART_IIR_NO_INT);
	/* An empty one gives nothing, and asks for nothing. */
	assert_int_equal(rd(w, UART_RX), 0);
	assert_int_equal(w->ready, 2);
	/* Cleared: as read. */
	assert_int_equal(serial_receive(w->s, bytes, 5), 5);
	wr(w, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	assert_int_equal(w->ready, 3);
	assert_false(w->level);
	assert_int_equal(serial_receive(w->s, bytes, 36), 16);
}

static void test_loopback_is_alone(void **state)
{
	struct serial_test *w = *state;

	wr(w, UART_MCR, UART_MCR_LOOP);
	assert_int_equal(serial_receive(w->s, "x", 1), 0);
	wr(w, UART_TX, 'y');
	assert_int_equal(w->out->len, 0);
	assert_int_equal(rd(w, UART_RX), 'y');
	w->ready = 0;
	wr(w, UART_MCR, 0);
	assert_int_equal(w->ready, 1);
	assert_int_equal(serial_receive(w->s, "x", 1), 1);
}

static void test_line_and_modem_status(void **state)
{
	struct serial_test *w = *state;

	assert_int_equal(rd(w, UART_MSR), UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
	wr(w, UART_IER, UART_IER_RLSI | UART_IER_MSI);
	wr(w, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT1);
	assert_true(w->level);
	assert_int_equal(rd(w, UART_IIR), UART_IIR_MSI);
	assert_int_equal(
		rd(w, UART_MSR), UART_MSR_RI | UART_MSR_DDCD | UART_MSR_DDSR | UART_MSR_DCTS);
	assert_false(w->level);
	wr(w, UART_MCR, UART_MCR_LOOP);
	assert_int_equal(rd(w, UART_MSR), UART_MSR_TERI);
	assert_false(w->level);
	/* One too many. */
	wr(w, UART_TX, 'x');
	assert_false(w->level);
	wr(w, UART_TX, 'y');
	assert_true(w->level);
	assert_int_equal(rd(w, UART_IIR), UART_IIR_RLSI);
	assert_true(rd(w, UART_LSR) & UART_LSR_OE);
	assert_false(w->level);
	assert_false(rd(w, UART_LSR) & UART_LSR_OE);
	assert_int_equal(rd(w, UART_RX), 'x');
}

static void test_reset(void **state)
{
	struct serial_test *w = *state;

	wr(w, UART_FCR, UART_FCR_ENABLE_FIFO);
	wr(w, UART_IER, UART_IER_RDI | UART_IER_THRI);
	wr(w, UART_SCR, 1);
	wr(w, UART_LCR, UART_LCR_DLAB);
	assert_int_equal(serial_receive(w->s, "abc", 3), 3);
	assert_true(w->level);
	serial_reset(w->s);
	assert_false(w->level);
	assert_int_equal(w->ready, 1);
	assert_int_equal(rd(w, UART_IIR), UART_IIR_NO_INT);
	assert_int_equal(rd(w, UART_IER) | rd(w, UART_SCR) | rd(w, UART_LCR) | rd(w, UART_MCR), 0);
	assert_int_equal(rd(w, UART_LSR), UART_LSR_TEMT | UART_LSR_THRE);
}

#define ROUNDS 2000

static void *write_and_read(void *opaque)
{
	struct serial_test *w = opaque;

	for (unsigned i = 0; i < ROUNDS; i++) {
		wr(w, UART_TX, 'x');
		rd(w, UART_IIR);
		rd(w, UART_RX);
		serial_receive(w->s, "yz", 2);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct serial_test *w = *state;
	pthread_t thread[2];

	wr(w, UART_FCR, UART_FCR_ENABLE_FIFO);
	wr(w, UART_IER, UART_IER_RDI | UART_IER_THRI);
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, write_and_read, w);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(w->out->len, 2 * ROUNDS);
	wr(w, UART_IER, 0);
	assert_false(w->level);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_output),
		TEST(test_registers),
		TEST(test_linux_probes_a_16550a),
		TEST(test_thr_interrupt_comes_again),
		TEST(test_thr_enabled_again_without_change),
		TEST(test_receive),
		TEST(test_loopback_is_alone),
		TEST(test_line_and_modem_status),
		TEST(test_reset),
		TEST(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
