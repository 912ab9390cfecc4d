/* SPDX-License-Identifier: Apache-2.0 */
/* Slots and their devices, from power-on to the end. */
#include "slots_test.h"

static void test_each_in_its_slot(void **state)
{
	struct slots_test *w = *state;

	assert_made(w, MAKE(w, "type=input", "socket=SOCK,queue-size=64", "type=input,color=red"));
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(rd32(w, i, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
		assert_int_equal(rd32(w, i, VIRTIO_MMIO_DEVICE_ID), i == 1 ? 42 : 18);
		assert_int_equal(rd32(w, i, VIRTIO_MMIO_QUEUE_NUM_MAX), i == 1 ? 64 : 256);
	}
	assert_int_equal(rd32(w, 1, VIRTIO_MMIO_CONFIG), 0x13121110);
	/* The window ends where the next begins. */
	assert_int_equal(rd32(w, 1, VIRTIO_STRIDE), 0x74726976);
	assert_int_equal(rd32(w, 3, VIRTIO_MMIO_MAGIC_VALUE), UINT32_MAX);
}

static unsigned pulses(struct slots_test *w, unsigned slot)
{
	unsigned n;

	pthread_mutex_lock(&w->vm.lock);
	n = w->vm.pulses[virtio_irq(slot)];
	pthread_mutex_unlock(&w->vm.lock);
	return n;
}

static void test_ram_and_notifications(void **state)
{
	struct slots_test *w = *state;
	struct fake_ring ring;

	assert_made(w, MAKE(w, "type=input", "socket=SOCK"));
	drive(w, 1);
	ring = fake_ring(w->backend, 0);
	assert_true(ring.enabled);
	assert_int_equal(ring.addr.desc, w->ram->region[0].user_addr + 0x1000);
	assert_int_equal(w->backend->n_regions, w->ram->n_regions);
	assert_memory_equal(&w->backend->region[0], &w->ram->region[0], sizeof(w->ram->region[0]));
	/* The first kick is there without the guest. */
	WAIT_UNTIL_LOCKED(&w->backend->lock, w->backend->ring[0].kicks);
	pthread_mutex_lock(&w->backend->lock);
	w->backend->ring[0].kicks = 0;
	pthread_mutex_unlock(&w->backend->lock);
	wr32(w, 1, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	WAIT_UNTIL_LOCKED(&w->backend->lock, w->backend->ring[0].kicks == 1);

	assert_int_equal(pulses(w, 1), 0);
	fake_call(w->backend, 0);
	WAIT_UNTIL_LOCKED(&w->vm.lock, w->vm.pulses[virtio_irq(1)] == 1);
	assert_int_equal(rd32(w, 1, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	wr32(w, 1, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	/* An edge: the acknowledgement pulses nothing. */
	assert_int_equal(pulses(w, 1), 1);
	assert_int_equal(pulses(w, 0), 0);
}

static void test_kernel_does_it(void **state)
{
	struct slots_test *w = *state;
	uint64_t notify = virtio_addr(1) + VIRTIO_MMIO_QUEUE_NOTIFY;

	w->vm.kernel = true;
	assert_made(w, MAKE(w, "type=input", "socket=SOCK"));
	drive(w, 1);
	assert_int_equal(w->vm.irqfds[virtio_irq(1)], 1);
	assert_int_equal(w->vm.irqfds[virtio_irq(0)], 0);
	assert_int_equal(w->vm.ioeventfd[0].addr, notify);
	assert_int_equal(w->vm.ioeventfd[0].value, 0);
	fake_config_changed(w->backend);
	WAIT_UNTIL_LOCKED(&w->vm.lock, w->vm.pulses[virtio_irq(1)]);
}

static void test_reset(void **state)
{
	struct slots_test *w = *state;

	assert_made(w, MAKE(w, "socket=SOCK", "type=input"));
	drive(w, 0);
	drive(w, 1);
	g_free(fake_trace(w->backend));
	slots_reset(w->slots);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(rd32(w, i, VIRTIO_MMIO_STATUS), 0);
		assert_int_equal(rd32(w, i, VIRTIO_MMIO_QUEUE_READY), 0);
	}
	assert_false(fake_ring(w->backend, 0).enabled);
	pthread_mutex_lock(&w->backend->lock);
	assert_int_equal(w->backend->status, 0);
	pthread_mutex_unlock(&w->backend->lock);
	/* A second boot. */
	drive(w, 0);
	drive(w, 1);
	/* The back-end need not be there. */
	fake_down(w->backend);
	slots_reset(w->slots);
	assert_int_equal(rd32(w, 0, VIRTIO_MMIO_STATUS), 0);
}

static void test_loss_names_the_device(void **state)
{
	struct slots_test *w = *state;
	g_autofree char *name = g_strdup_printf("device 1 (socket=%s)", w->sock);
	g_autofree char *lost = g_strdup_printf("%s: lost the back-end", name);
	g_autofree char *back = g_strdup_printf("%s: the back-end is back", name);

	assert_made(w, MAKE(w, "type=input", "socket=SOCK"));
	drive(w, 1);
	fake_down(w->backend);
	WAIT_UNTIL(test_logged(lost));
	assert_int_equal(rd32(w, 1, VIRTIO_MMIO_DEVICE_ID), 42);
	fake_up(w->backend);
	WAIT_UNTIL(test_logged(back));
}

/* Requires that no slots are made, with an error that contains all of these words. */
static void assert_fails(
	struct slots_test *w, unsigned wait_ms, const char *spec, const char *const *what)
{
	if (make(w, (const char *const[]){ spec, NULL }, wait_ms))
		fail_msg("%s", spec);
	for (; *what; what++)
		if (!strstr(w->error->message, *what))
			fail_msg("%s: %s", spec, w->error->message);
	/* A window stays on the bus: the program would end here. */
	bus_free(w->bus);
	w->bus = bus_new();
}

#define ASSERT_FAILS_WITHIN(w, ms, spec, ...) \
	assert_fails(w, ms, spec, (const char *const[]){ __VA_ARGS__, NULL })
#define ASSERT_FAILS(w, spec, ...) ASSERT_FAILS_WITHIN(w, TEST_WAIT_MS, spec, __VA_ARGS__)

static void test_back_ends_that_fail(void **state)
{
	struct slots_test *w = *state;

	ASSERT_FAILS(w, "type=other", "device 0 (type=other)", w->test.dir);
	ASSERT_FAILS(w, "type=input,color=blue", "device 0 (type=input)", toy, "status 1",
		"'blue' is not red");
	ASSERT_FAILS(w, "type=input,weight=5", "device 0 (type=input)", toy, "--weight=5");
	/* A socket may still appear: it is waited for. */
	ASSERT_FAILS_WITHIN(
		w, 100, "socket=/none/sock", "device 0 (socket=/none/sock)", "No such file");
	ASSERT_FAILS(w, "socket=SOCK,fallback-type=7", "device 0 (socket=", "42");
	ASSERT_FAILS(w, "socket=SOCK,probe=off", "device 0 (socket=", "device-id=TYPE");
	/* Reported once, by the error. */
	assert_false(test_logged("warning: device 0 (type="));
}

/* A program that fills its standard output, and never listens. */
static void test_silent_back_end(void **state)
{
	struct slots_test *w = *state;
	char *program = test_path(&w->test, "quiet");
	g_autofree char *json =
		g_strdup_printf("{\"type\": \"quiet\", \"binary\": \"%s\"}", program);

	assert_true(g_file_set_contents(program, "#!/bin/sh\nexec yes\n", -1, NULL));
	g_chmod(program, 0700);
	assert_true(g_file_set_contents(w->json, json, -1, NULL));
	w->deadline_ms = 300;
	ASSERT_FAILS(w, "type=quiet", "device 0 (type=quiet): no answer");
	assert_null(strstr(w->error->message + 1, "device 0"));
}

/* The wait for a back-end ends when the user asks for it. */
static void test_stop_while_waiting(void **state)
{
	struct slots_test *w = *state;
	int64_t start = g_get_monotonic_time();

	w->stop = true;
	assert_false(
		make(w, (const char *const[]){ "type=input", "socket=/none/sock", NULL }, 1000000));
	assert_true(g_get_monotonic_time() - start < TEST_WAIT_MS * G_TIME_SPAN_MILLISECOND);
}

static void test_too_many(void **state)
{
	struct slots_test *w = *state;
	const char *texts[MAX_SLOTS + 2] = { NULL };

	for (unsigned i = 0; i <= MAX_SLOTS; i++)
		texts[i] = "type=input";
	assert_false(make(w, texts, TEST_WAIT_MS));
	assert_true(
		g_str_has_prefix(w->error->message, MAX_SLOTS == 19 ? "20 devices" : "33 devices"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_in_its_slot),
		TEST(test_ram_and_notifications),
		TEST(test_kernel_does_it),
		TEST(test_reset),
		TEST(test_loss_names_the_device),
		TEST(test_back_ends_that_fail),
		TEST(test_silent_back_end),
		TEST(test_stop_while_waiting),
		TEST(test_too_many),
	};

	if (argc != 2)
		return 2;
	toy = g_canonicalize_filename(argv[1], NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
