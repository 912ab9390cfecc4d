/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of cases, one for each subject. */
#pragma once

#include "tools/check/check.h"

extern const struct check_case check_framing[], check_messages[], check_malformed[],
	check_features[], check_device_messages[], check_vrings[], check_memory[], check_inflight[],
	check_split[], check_packed[], check_block[], check_rng[];

/*
 * After something malformed: waits until the back-end has dealt with it, in whatever way; no reply
 * is wrong.
 */
void framing_settle(struct check *k);
