/* SPDX-License-Identifier: Apache-2.0 */
/* arm64: the real-time clock by which a guest knows the date (x86 guests ask KVM's clock). */
#pragma once

#include "kvm-stub/bus.h"

/* A bus_access_fn, without state: reads give the host's time, and writes change nothing. */
bool rtc_access(
	void *opaque, uint64_t offset, unsigned size, bool write, uint64_t *value, void *token);
