/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A measurement that outlives its back-end (--survive): memory, queues and in-flight area stay as
 * they are, the threads go on, and the next back-end that listens is given all of it. No request
 * is issued twice, as by a guest's driver, which does not see the loss.
 */
#pragma once

#include "tools/bench/bench_session.h"

/* The connection has ended: closes our end. False: there is no --survive, and this is the end. */
bool bench_survive_loss(struct bench_session *s);
/*
 * Tries once to connect again and go on; s->f tells whether that has succeeded. False: it never
 * will, as the back-end has come back as another device, or refuses what the last one took.
 */
bool bench_survive_dial(struct bench_session *s, GError **error);
