/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by fake_backend.c (its life) and fake_backend_serve.c (what it answers). */
#pragma once

#include "tests/lib/fake_backend.h"

#define FAKE_TIMEOUT_MS 60000

/* Serves b->msg, a whole request. False: the connection is to be closed. */
bool fake_serve(struct fake_backend *b);
