/* SPDX-License-Identifier: Apache-2.0 */
/* Slots on the bus, between a fake machine and back-ends: a fake one, and a real program. */
#pragma once

#include "tests/lib/test.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "fake_vm.h"
#include "kvm-stub/layout.h"
#include "kvm-stub/machine/slots.h"
#include "tests/lib/fake_backend.h"

#define S_ALL                                                                                 \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | \
		VIRTIO_CONFIG_S_DRIVER_OK)

extern const char *toy; /* a back-end program */

struct slots_test {
	struct test test;
	char *sock, *json;
	struct fake_backend *backend;
	struct fake_vm vm;
	struct bus *bus;
	struct bus_wait *wait;
	struct ram *ram;
	struct slots *slots;
	unsigned n_spare;
	bool stop; /* wait for no back-end */
	unsigned deadline_ms; /* of a request */
	GError *error;
};

/* cmocka's fixture. */
int setup(void **state);
int teardown(void **state);
/* Makes the slots of these specs, in which SOCK stands for the fake's path; false: w->error. */
bool make(struct slots_test *w, const char *const *texts, unsigned wait_ms);
#define MAKE(w, ...) make(w, (const char *const[]){ __VA_ARGS__, NULL }, TEST_WAIT_MS)
void assert_made(struct slots_test *w, bool made);
/* Accesses of a vCPU. */
uint32_t rd32(struct slots_test *w, unsigned slot, uint64_t offset);
void wr32(struct slots_test *w, unsigned slot, uint64_t offset, uint32_t value);
/* Drives queue 0, and sets DRIVER_OK. */
void drive(struct slots_test *w, unsigned slot);
