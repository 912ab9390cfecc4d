/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Static probes (USDT) of the provider "virtiod", for bpftrace, perf and SystemTap: each is an
 * instruction that does nothing until one of these looks, and a note in the program that says where
 * it is and where its arguments are. Those of a request take 1.6 ns of the 40 that it spends in a
 * virtqueue of ours (tests/bench/ring_bench, depth 32). Without <sys/sdt.h> (meson's option usdt)
 * there are none.
 *
 *	kick	queue				a notification of the driver was noticed
 *	pop	queue, request, bytes		the device takes a request of so many bytes
 *	push	queue, request, bytes		it is complete; so many bytes were written
 *	call	queue				the driver is notified
 *	message	number, bytes, name		a vhost-user message has come
 *
 * `request` of pop and push is a number that no other one has meanwhile.
 */
#pragma once

#ifdef HAVE_SYS_SDT_H
#include <sys/sdt.h>
#define TRACE1(name, a) DTRACE_PROBE1(virtiod, name, a)
#define TRACE3(name, a, b, c) DTRACE_PROBE3(virtiod, name, a, b, c)
#else
#define TRACE1(name, a) ((void)0)
#define TRACE3(name, a, b, c) ((void)0)
#endif
