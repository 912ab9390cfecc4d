/* SPDX-License-Identifier: Apache-2.0 */
/* A filter of system calls, by libseccomp. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The system calls that stay allowed; all others fail with EPERM. Besides those listed: mmap() and
 * mprotect() without PROT_EXEC, clone() of threads; clone3() fails with ENOSYS, so that the C
 * library uses clone().
 */
struct syscall_filter {
	const char *const
		*calls; /* names; NULL-terminated. Those that this machine lacks are skipped */
	const uint32_t *ioctls; /* requests that ioctl() may have */
	size_t n_ioctls;
};

/*
 * Filters the calling thread and those that it makes, for good; no new privileges must be set.
 * Built without libseccomp, it only logs a warning.
 */
bool syscall_filter_load(const struct syscall_filter *filter, GError **error);
