/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What evemu-describe and evemu-record write: an input device and its events.
 *
 *	N: name
 *	I: bus vendor product version		hexadecimal, as all but times and values
 *	P: bytes of the bitmap of properties	goes on in the next P: line
 *	B: type and bytes of the bitmap of codes	likewise
 *	A: axis minimum maximum fuzz flat [resolution]
 *	E: seconds.microseconds type code value
 *	# a comment
 *
 * L: and S:, the state of LEDs and switches at the start, are not of interest.
 */
#pragma once

#include "input.h"

struct input_recorded {
	int64_t at; /* µs since the first one */
	uint16_t type, code;
	int32_t value;
};

/* Fills in p, and appends the events (struct input_recorded). The error names the line. */
bool input_recording_parse(
	const char *text, struct input_properties *p, GArray *events, GError **error);
