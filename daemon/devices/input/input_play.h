/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of a recording or a simulated device on request. Both fail while the recording is played,
 * without a driver, and for a device of the host.
 */
#pragma once

#include "input.h"

/* Plays the recording from its beginning. */
bool input_play_again(struct input *in, GError **error);
/* Copies n events, which the guest gets as soon as it takes them. */
bool input_play_send(struct input *in, const struct input_event *e, unsigned n, GError **error);
