/* SPDX-License-Identifier: Apache-2.0 */
/* All cases, in the order in which they run. */
#include "tools/check/cases.h"

const struct check_case *const check_subjects[] = {
	check_framing,
	check_features,
	check_messages,
	check_device_messages,
	check_vrings,
	check_memory,
	check_inflight,
	check_block,
	check_rng,
	check_malformed,
	check_split,
	check_packed,
	NULL,
};
