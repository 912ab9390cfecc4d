/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers as users and configuration files write them, in all programs alike: without signs and
 * blanks; leading zeros do not count ("010" is ten); "0x" begins a hexadecimal one; suffixes of
 * bytes are powers of 1024.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Parses "4096" or "0x1000". Returns false, leaving *value alone, if text is no such number from
 * min to max.
 */
bool number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *value);
/*
 * Parses a number of bytes: "4096", "0x1000", "4K", "10MiB", but not "1.5M": a whole number with an
 * optional K, M, G or T (of either case, times 1024 each), optionally followed by "B" or "iB". A
 * number without a suffix counts units of 2^shift bytes.
 */
bool number_parse_bytes(const char *text, unsigned shift, uint64_t *bytes);
/* Parses a finite number that may have a fraction: "5", "0.5", ".5", "1e3". */
bool number_parse_real(const char *text, double *value);
