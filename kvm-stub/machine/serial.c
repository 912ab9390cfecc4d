/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550A whose transmitter takes no time, so that THR is always empty. Drivers rely on two
 * details. "THR empty" is an event, not a state: each write to THR and its enabling in IER make it
 * pending, a read of IIR that reports it clears it. Loopback must have a FIFO of exactly 16 bytes:
 * Linux measures it to distinguish the chips of the family.
 */
#include "kvm-stub/machine/serial.h"

#include <pthread.h>
#include <linux/serial_reg.h>

#define FIFO_SIZE 16
#define MSR_LINES (UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS) /* a peer is always connected */
#define IER_BITS (UART_IER_RDI | UART_IER_THRI | UART_IER_RLSI | UART_IER_MSI)
#define MCR_BITS (UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT1 | UART_MCR_OUT2 | UART_MCR_LOOP)
#define IIR_FIFOS 0xc0 /* FIFOs are enabled */

struct serial {
	const struct serial_ops *ops;
	void *opaque;
	pthread_mutex_t lock;
	uint8_t ier, lcr, mcr, msr, scr, dll, dlm;
	bool fifos, overrun;
	bool thr_pending; /* "THR empty" is not yet reported by IIR */
	uint8_t fifo[FIFO_SIZE];
	unsigned head, n; /* of the receive FIFO */
	bool level;
};

/* Callbacks to make once the lock is released. */
struct serial_events {
	bool sent, room;
	uint8_t byte;
};

/* Returns IIR: the pending interrupt of the highest priority. */
static uint8_t pending(const struct serial *s)
{
	if (s->ier & UART_IER_RLSI && s->overrun)
		return UART_IIR_RLSI;
	if (s->ier & UART_IER_RDI && s->n)
		return UART_IIR_RDI;
	if (s->ier & UART_IER_THRI && s->thr_pending)
		return UART_IIR_THRI;
	if (s->ier & UART_IER_MSI && s->msr & UART_MSR_ANY_DELTA)
		return UART_IIR_MSI;
	return UART_IIR_NO_INT;
}

static void update_line(struct serial *s)
{
	bool level = pending(s) != UART_IIR_NO_INT;

	if (level == s->level)
		return;
	s->level = level;
	s->ops->interrupt(s->opaque, level);
}

static unsigned capacity(const struct serial *s)
{
	return s->fifos ? FIFO_SIZE : 1;
}

static void put(struct serial *s, uint8_t byte)
{
	s->fifo[(s->head + s->n++) % FIFO_SIZE] = byte;
}

static void clear_receiver(struct serial *s, struct serial_events *events)
{
	events->room |= s->n > 0;
	s->n = 0;
}

static uint8_t take(struct serial *s, struct serial_events *events)
{
	uint8_t byte;

	if (!s->n)
		return 0;
	byte = s->fifo[s->head];
	s->head = (s->head + 1) % FIFO_SIZE;
	/* One call for a whole FIFO, not one for each byte. */
	events->room = --s->n == 0;
	return byte;
}

static void transmit(struct serial *s, uint8_t byte, struct serial_events *events)
{
	s->thr_pending = true;
	if (!(s->mcr & UART_MCR_LOOP)) {
		events->sent = true;
		events->byte = byte;
	} else if (s->n < capacity(s)) {
		put(s, byte);
	} else {
		s->overrun = true;
	}
}

static void set_fifos(struct serial *s, uint8_t fcr, struct serial_events *events)
{
	bool on = fcr & UART_FCR_ENABLE_FIFO;

	if (on != s->fifos || (on && fcr & UART_FCR_CLEAR_RCVR))
		clear_receiver(s, events);
	s->fifos = on;
}

/* Returns MSR's lines: in loopback those of MCR, cross-connected. */
static void set_mcr(struct serial *s, uint8_t mcr, struct serial_events *events)
{
	uint8_t lines = MSR_LINES, changed;

	mcr &= MCR_BITS;
	if (mcr & UART_MCR_LOOP)
		lines = (mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
			(mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
			(mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
			(mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0);
	/* The delta bits lie four below their lines; RI's is for the trailing edge alone. */
	changed = (s->msr ^ lines) & (MSR_LINES | (s->msr & UART_MSR_RI));
	s->msr = lines | (s->msr & UART_MSR_ANY_DELTA) | changed >> 4;
	/* Nothing is received from outside in loopback. */
	events->room |= s->mcr & ~mcr & UART_MCR_LOOP;
	s->mcr = mcr;
}

static uint8_t read_register(struct serial *s, uint64_t offset, struct serial_events *events)
{
	uint8_t value = 0;

	switch (offset) {
	case UART_RX:
		value = s->lcr & UART_LCR_DLAB ? s->dll : take(s, events);
		break;
	case UART_IER:
		value = s->lcr & UART_LCR_DLAB ? s->dlm : s->ier;
		break;
	case UART_IIR:
		value = pending(s);
		if (value == UART_IIR_THRI)
			s->thr_pending = false;
		value |= s->fifos ? IIR_FIFOS : 0;
		break;
	case UART_LCR:
		value = s->lcr;
		break;
	case UART_MCR:
		value = s->mcr;
		break;
	case UART_LSR:
		value = UART_LSR_TEMT | UART_LSR_THRE | (s->n ? UART_LSR_DR : 0) |
			(s->overrun ? UART_LSR_OE : 0);
		s->overrun = false;
		break;
	case UART_MSR:
		value = s->msr;
		s->msr &= ~UART_MSR_ANY_DELTA;
		break;
	case UART_SCR:
		value = s->scr;
		break;
	}
	return value;
}

static void write_register(
	struct serial *s, uint64_t offset, uint8_t value, struct serial_events *events)
{
	switch (offset) {
	case UART_TX:
		if (s->lcr & UART_LCR_DLAB)
			s->dll = value;
		else
			transmit(s, value, events);
		break;
	case UART_IER:
		if (s->lcr & UART_LCR_DLAB) {
			s->dlm = value;
			break;
		}
		s->thr_pending |= value & ~s->ier & UART_IER_THRI;
		s->ier = value & IER_BITS;
		break;
	case UART_FCR:
		set_fifos(s, value, events);
		break;
	case UART_LCR:
		s->lcr = value;
		break;
	case UART_MCR:
		set_mcr(s, value, events);
		break;
	case UART_SCR:
		s->scr = value;
		break;
	}
}

bool serial_access(
	void *opaque, uint64_t offset, unsigned size, bool write, uint64_t *value, void *token)
{
	struct serial *s = opaque;
	struct serial_events events = { 0 };

	pthread_mutex_lock(&s->lock);
	if (write)
		write_register(s, offset, *value, &events);
	else
		*value = read_register(s, offset, &events);
	update_line(s);
	pthread_mutex_unlock(&s->lock);
	/* Without the lock: a terminal may be slow. */
	if (events.sent)
		s->ops->output(s->opaque, &events.byte, 1);
	if (events.room)
		s->ops->receive_ready(s->opaque);
	return true;
}

size_t serial_receive(struct serial *s, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	size_t taken = 0;

	pthread_mutex_lock(&s->lock);
	while (taken < len && s->n < capacity(s) && !(s->mcr & UART_MCR_LOOP))
		put(s, p[taken++]);
	update_line(s);
	pthread_mutex_unlock(&s->lock);
	return taken;
}

void serial_reset(struct serial *s)
{
	pthread_mutex_lock(&s->lock);
	s->ier = s->lcr = s->mcr = s->scr = s->dll = s->dlm = 0;
	s->msr = MSR_LINES;
	s->fifos = s->overrun = s->thr_pending = false;
	s->head = s->n = 0;
	update_line(s);
	pthread_mutex_unlock(&s->lock);
	s->ops->receive_ready(s->opaque);
}

struct serial *serial_new(const struct serial_ops *ops, void *opaque)
{
	struct serial *s = g_new0(struct serial, 1);

	s->ops = ops;
	s->opaque = opaque;
	s->msr = MSR_LINES;
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void serial_free(struct serial *s)
{
	if (!s)
		return;
	pthread_mutex_destroy(&s->lock);
	g_free(s);
}
