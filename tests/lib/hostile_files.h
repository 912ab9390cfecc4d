/* SPDX-License-Identifier: Apache-2.0 */
/* The files that a hostile back-end passes. */
#pragma once

#include "tests/lib/hostile_backend.h"

#define HOSTILE_FILES 10
#define HOSTILE_DEAF_FILE 2
#define HOSTILE_AREA_SIZE (1 << 20)

const char *hostile_file_name(unsigned file);
/* Returns it, or -1; it stays the back-end's. */
int hostile_file(struct hostile *h, unsigned file);
/* Closes fd when the back-end leaves; returns fd. */
int hostile_own(struct hostile *h, int fd);
