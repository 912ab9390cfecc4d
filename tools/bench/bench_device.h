/* SPDX-License-Identifier: Apache-2.0 */
/* The measurement of a device that is no disk: one request after the other, and its answer. */
#pragma once

#include "tools/bench/bench.h"
#include "tools/bench/bench_trip.h"

/* Measures; what was until an error or a signal is in *r all the same. f stays the caller's. */
bool bench_device_run(struct vu_front *f, const struct bench_options *o,
	const struct bench_trip *trip, struct bench_result *r, GError **error);
