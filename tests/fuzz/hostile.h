/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A back-end in a thread that answers as the bytes of an input say: rightly (0), or wrongly in one
 * of many ways. It never leaves a request without an answer other than by closing the connection,
 * so that no deadline passes.
 */
#pragma once

#include "tests/fuzz/fuzz.h"

struct hostile_backend;
/* Starts it; *fd receives the front-end's end of its connection. */
struct hostile_backend *hostile_start(struct fuzz_input in, int *fd);
/* Waits until the front-end has closed its end. */
void hostile_join(struct hostile_backend *h);
