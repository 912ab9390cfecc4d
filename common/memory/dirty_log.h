/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dirty log of a guest that is being migrated (vhost-user.rst, "Migration"): a bit for each
 * 4 KiB of guest addresses, in a file that the front-end shares. A page is marked after it was
 * written: the front-end clears the mark before it copies the page.
 *
 * Any number of threads may mark; the rest is for the owner, while nobody does.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define DIRTY_LOG_PAGE UINT64_C(4096)

typedef struct dirty_log dirty_log; /* for g_autoptr */

/*
 * Maps size bytes of a memfd, or a file of tmpfs or hugetlbfs, from offset on. The fd stays the
 * caller's. NULL, with an error: it is another kind of file, or too short, or size is 0. If the
 * front-end truncates the file later, marks are lost; guest_mem_catch_sigbus() must be in force.
 */
struct dirty_log *dirty_log_new(int fd, uint64_t size, uint64_t offset, GError **error);
/* NULL is allowed. */
void dirty_log_free(struct dirty_log *l);
/* Returns the first guest address that has no bit; UINT64_MAX: all have. */
uint64_t dirty_log_end(const struct dirty_log *l);
/* This eventfd is signalled after marks; it stays the caller's. -1: none. */
void dirty_log_set_call(struct dirty_log *l, int fd);

/*
 * Marks the pages of len bytes at a guest address. What has no bit is skipped, with one warning for
 * each log.
 */
void dirty_log_mark(struct dirty_log *l, uint64_t addr, uint64_t len);
/* Signals the eventfd, if there is one, for all marks so far. */
void dirty_log_signal(const struct dirty_log *l);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(dirty_log, dirty_log_free)
