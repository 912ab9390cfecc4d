/* SPDX-License-Identifier: Apache-2.0 */
/* See slots_test.h. */
#include "slots_test.h"

#include <sys/wait.h>

const char *toy;

int setup(void **state)
{
	struct slots_test *w = g_new0(struct slots_test, 1);
	g_autofree char *text = g_strdup_printf("{\"type\": \"input\", \"binary\": \"%s\"}", toy);

	test_begin(&w->test);
	w->sock = test_path(&w->test, "sock");
	w->json = test_path(&w->test, "50-toy.json");
	assert_true(g_file_set_contents(w->json, text, -1, NULL));
	w->backend = fake_new(w->sock);
	fake_up(w->backend);
	w->bus = bus_new();
	w->wait = bus_wait_new();
	w->deadline_ms = TEST_WAIT_MS;
	w->ram = ram_new(1 << 20, NULL);
	assert_non_null(w->ram);
	pthread_mutex_init(&w->vm.lock, NULL);
	*state = w;
	return 0;
}

int teardown(void **state)
{
	struct slots_test *w = *state;

	slots_free(w->slots);
	for (unsigned i = 0; i < FAKE_IRQS; i++)
		assert_int_equal(w->vm.irqfds[i], 0);
	for (unsigned i = 0; i < FAKE_EVENTFDS; i++)
		assert_int_equal(w->vm.ioeventfd[i].fd, 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	fake_free(w->backend);
	bus_wait_free(w->wait);
	bus_free(w->bus);
	ram_free(w->ram);
	pthread_mutex_destroy(&w->vm.lock);
	g_clear_error(&w->error);
	test_end(&w->test);
	g_free(w);
	return 0;
}

static bool until_asked_to_stop(void *opaque)
{
	struct slots_test *w = opaque;

	return !w->stop;
}

bool make(struct slots_test *w, const char *const *texts, unsigned wait_ms)
{
	struct device_spec *specs[MAX_SLOTS + 1];
	struct slots_config config = {
		.specs = specs,
		.folders = (const char *const[]){ w->test.dir, NULL },
		.wait_ms = wait_ms,
		.go_on = until_asked_to_stop,
		.opaque = w,
		.vm = fake_vm(&w->vm),
		.bus = w->bus,
		.ram = w->ram,
		.n_spare = w->n_spare,
		.plug_dir = w->test.dir,
	};

	for (; texts[config.n_specs]; config.n_specs++) {
		g_auto(GStrv) parts = g_strsplit(texts[config.n_specs], "SOCK", -1);
		g_autofree char *text = g_strjoinv(w->sock, parts);

		specs[config.n_specs] = device_spec_parse(text, NULL);
		assert_non_null(specs[config.n_specs]);
		specs[config.n_specs]->front.deadline_ms = w->deadline_ms;
	}
	g_clear_error(&w->error);
	w->slots = slots_new(&config, &w->error);
	for (unsigned i = 0; i < config.n_specs; i++)
		device_spec_free(specs[i]);
	return w->slots;
}

void assert_made(struct slots_test *w, bool made)
{
	if (!made)
		fail_msg("%s", w->error->message);
}

uint32_t rd32(struct slots_test *w, unsigned slot, uint64_t offset)
{
	uint64_t value = 0;

	assert_true(bus_access(
		w->bus, w->wait, BUS_MMIO, virtio_addr(slot) + offset, 4, false, &value));
	return (uint32_t)value;
}

void wr32(struct slots_test *w, unsigned slot, uint64_t offset, uint32_t value)
{
	uint64_t wide = value;

	assert_true(
		bus_access(w->bus, w->wait, BUS_MMIO, virtio_addr(slot) + offset, 4, true, &wide));
}

void drive(struct slots_test *w, unsigned slot)
{
	wr32(w, slot, VIRTIO_MMIO_STATUS, 0);
	wr32(w, slot, VIRTIO_MMIO_STATUS, S_ALL & 3);
	wr32(w, slot, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	wr32(w, slot, VIRTIO_MMIO_DRIVER_FEATURES, 1u << (VIRTIO_F_VERSION_1 - 32));
	wr32(w, slot, VIRTIO_MMIO_STATUS, S_ALL & ~VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(rd32(w, slot, VIRTIO_MMIO_STATUS), S_ALL & ~VIRTIO_CONFIG_S_DRIVER_OK);
	wr32(w, slot, VIRTIO_MMIO_QUEUE_SEL, 0);
	wr32(w, slot, VIRTIO_MMIO_QUEUE_NUM, 8);
	wr32(w, slot, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)RAM_BASE + 0x1000);
	wr32(w, slot, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)RAM_BASE + 0x2000);
	wr32(w, slot, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)RAM_BASE + 0x3000);
	wr32(w, slot, VIRTIO_MMIO_QUEUE_READY, 1);
	wr32(w, slot, VIRTIO_MMIO_STATUS, S_ALL);
	assert_int_equal(rd32(w, slot, VIRTIO_MMIO_STATUS), S_ALL);
}
