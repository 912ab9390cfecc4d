/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which guest addresses are served, among all processes of virtiod-xen: Xen itself takes the same
 * range for several ioreq servers, and only one of them gets the accesses.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

/*
 * Locks a range in the file run/xen.ranges until the fd that it returns is closed, or the process
 * ends. Returns -1 with an error if another process, or another fd of this one, has part of it.
 */
int range_lock(const char *run, unsigned domid, uint64_t base, uint64_t size, GError **error);
