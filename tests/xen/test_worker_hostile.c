/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker whose device has hostile back-ends, one after another, argv[2] rounds. Then the worker
 * goes on, or ends by QUIT, or is killed while the hostile one is there, and an honest one is
 * served. None of that takes much longer than with an honest back-end, just before.
 */
#include "worker_fixture.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <sys/wait.h>

#include "tests/lib/figures.h"
#include "tests/lib/hostile_backend.h"

/* Of the tricks, in an order that mixes them: no factor of their number. */
#define STRIDE 37
/* A short run begins where files that do not answer come soon. */
#define FIRST 44
#define SOON_MS 100

/* What becomes of the worker. */
enum fate { GOES_ON, QUITS, IS_KILLED, FATES };

static unsigned rounds = 16;
static bool all; /* tricks that take a deadline also with a worker that does not end */
static bool waiting; /* the guest, for an access that was posted */
static struct figures served = { "served again" }, quit = { "ended by QUIT" },
		      killed = { "ended by SIGKILL" };

/* Returns whether the access is complete; patient: waits until it is. */
static bool finish_access(struct worker_test *w, bool patient)
{
	const struct ioreq_slot *slot = &fake_host->page[0][0];
	int64_t until = test_deadline(SOON_MS);

	while (!patient &&
		(__atomic_load_n(&slot->bits, __ATOMIC_SEQ_CST) & IOREQ_STATE_BITS) !=
			IOREQ_RESP_READY)
		if (!test_wait_turn(until))
			return false;
	guest_wait(w, 0);
	waiting = false;
	return true;
}

/* Does what a driver does, whatever becomes of it; not patient: up to what takes long. */
static void drive(struct worker_test *w, bool patient)
{
	const struct {
		uint32_t off, value;
	} writes[] = {
		{ VIRTIO_MMIO_STATUS, 0 },
		{ VIRTIO_MMIO_STATUS, 3 },
		{ VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1 },
		{ VIRTIO_MMIO_DRIVER_FEATURES, 1 },
		{ VIRTIO_MMIO_STATUS, 0xb },
		{ VIRTIO_MMIO_QUEUE_SEL, 0 },
		{ VIRTIO_MMIO_QUEUE_NUM, 256 },
		{ VIRTIO_MMIO_QUEUE_DESC_LOW, RAM },
		{ VIRTIO_MMIO_QUEUE_AVAIL_LOW, RAM + 0x1000 },
		{ VIRTIO_MMIO_QUEUE_USED_LOW, RAM + 0x2000 },
		{ VIRTIO_MMIO_QUEUE_READY, 1 },
		{ VIRTIO_MMIO_STATUS, 0xf },
		{ VIRTIO_MMIO_QUEUE_NOTIFY, 0 },
	};

	if (waiting)
		finish_access(w, true);
	for (unsigned i = 0; i < G_N_ELEMENTS(writes) && !waiting; i++) {
		guest_post(w, 0, BASE + writes[i].off, 4, true, writes[i].value);
		waiting = true;
		finish_access(w, patient);
	}
}

static void begin(struct worker_test *w)
{
	if (w->pid)
		return;
	worker_start(w);
	worker_add(w, 0, false, 0, 42);
	assert_int_equal(worker_event(w).type, IPC_READY);
}

static bool needs_reset(struct worker_test *w)
{
	return guest_read(w, 0, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* Returns how long an honest back-end, from its start, and a driver take to exchange signals. */
static struct figures_time be_served(struct worker_test *w)
{
	struct fake_backend *b = w->device[0].peer;
	struct figures_time start = figures_now();
	unsigned irqs, kicks;

	begin(w);
	fake_up(b);
	do {
		drive(w, true);
		WAIT_UNTIL(fake_ring(b, 0).enabled || needs_reset(w));
	} while (needs_reset(w));
	kicks = fake_ring(b, 0).kicks;
	guest_write(w, 0, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	WAIT_UNTIL(fake_ring(b, 0).kicks > kicks);
	irqs = guest_irqs(0);
	guest_write(w, 0, VIRTIO_MMIO_INTERRUPT_ACK, 3);
	fake_call(b, 0);
	WAIT_UNTIL(guest_irqs(0) > irqs);
	assert_int_equal(guest_read(w, 0, VIRTIO_MMIO_STATUS), 0xf);
	return figures_since(start);
}

static struct figures_time end(struct worker_test *w, enum fate fate)
{
	struct figures_time start = figures_now();

	if (fate == QUITS)
		worker_quit(w);
	if (fate == IS_KILLED)
		worker_kill(w);
	return figures_since(start);
}

static void attack(struct worker_test *w, struct hostile *h, unsigned trick, enum fate fate)
{
	g_autofree char *name = hostile_name(trick);
	int64_t honest = be_served(w).us, end_us = end(w, fate).us;

	fake_down(h->b);
	if (fate != GOES_ON) {
		honest = be_served(w).us;
		fake_down(h->b);
	}
	hostile_begin(h, trick);
	hostile_meet(h, trick);
	drive(w, fate == GOES_ON);
	hostile_act(h, trick);
	deaf_file_check_threads(w->pid);
	if (fate != GOES_ON)
		figures_add(fate == QUITS ? &quit : &killed, name, end(w, fate), end_us);
	hostile_leave(h);
	/* A new worker closes the deaf file, too. */
	if (fate != GOES_ON)
		hostile_end(h);
	begin(w);
	hostile_wait(h);
	figures_add(&served, name, be_served(w), honest);
	deaf_file_check_threads(w->pid);
	fake_down(h->b);
	if (fate == GOES_ON)
		hostile_end(h);
}

static void test_every_trick(void **state)
{
	struct worker_test *w = *state;
	struct hostile h;

	fake_down(w->device[0].peer);
	hostile_init(&h, w->device[0].peer);
	waiting = false;
	for (unsigned i = FIRST; i < FIRST + rounds; i++) {
		unsigned trick = i * STRIDE % hostile_tricks();
		enum fate fate = i % FATES;

		if (!all && hostile_is_slow(trick))
			fate = QUITS;
		attack(w, &h, trick, fate);
	}
	worker_quit(w);
	hostile_clear(&h);
	figures_print(&served);
	figures_print(&quit);
	figures_print(&killed);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(worker, test_every_trick),
	};
	int status = worker_if_asked(argc, argv);

	if (status >= 0)
		return status;
	if (argc > 1)
		rounds = atoi(argv[1]);
	all = argc > 2;
	return cmocka_run_group_tests_name("worker_hostile", tests, NULL, NULL);
}
