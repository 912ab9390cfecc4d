/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as people write and read them. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * "4096", "0x1000", "4K", "10MiB", but not "1.5M": a whole number with an optional K, M, G or T (times
 * 1024 each), optionally followed by "B" or "iB". what names the option in the error.
 */
bool text_parse_size(const char *text, const char *what, uint64_t *size, GError **error);

/* "512 bytes", "64 MiB", "1.5 GiB": at most one decimal, none if it is 0. The caller frees. */
char *text_size(uint64_t bytes);
/* "1.2 GiB/s"; "-" while no time has passed. The caller frees. */
char *text_rate(uint64_t bytes, uint64_t elapsed_us);
/* "0:07", "12:30", "1:02:03". The caller frees. */
char *text_duration(uint64_t seconds);
