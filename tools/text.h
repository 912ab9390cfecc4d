/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as people read them. */
#pragma once

#include <glib.h>
#include <stdint.h>

/* "512 bytes", "64 MiB", "1.5 GiB": at most one decimal, none if it is 0. The caller frees. */
char *text_size(uint64_t bytes);
/* "1.2 GiB/s"; "-" while no time has passed. The caller frees. */
char *text_rate(uint64_t bytes, uint64_t elapsed_us);
/* "0:07", "12:30", "1:02:03". The caller frees. */
char *text_duration(uint64_t seconds);
