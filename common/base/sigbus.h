/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guards work on a mapped file that may lose pages at any time: a truncation, or a file system
 * without space for a page, makes an access raise SIGBUS.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * Runs f(arg). Returns false if it touched a page of [base, base + size) that is not available: f
 * was abandoned at that point, so it must hold nothing that needs release. Guards do not nest.
 */
bool sigbus_guard(const void *base, size_t size, void (*f)(void *arg), void *arg);

/*
 * For the handler of SIGBUS, of which there is one (memory/mem_fault.c): does not return if this
 * thread is guarded against a fault at this address.
 */
void sigbus_escape(const void *address);
