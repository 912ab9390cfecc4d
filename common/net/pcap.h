/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A capture file of Ethernet frames (pcap, with nanoseconds), for tcpdump and Wireshark. A thread
 * of its own writes it: who has a frame copies it to memory and goes on. What there is no room for,
 * as the file's disk or a pipe's reader is slow, is counted and not written.
 */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/uio.h>

struct net_pcap;

/* Makes, or empties, the file, or opens a pipe that is there; NULL with an error. */
struct net_pcap *net_pcap_open(const char *path, GError **error);
/* Writes what is there still, but does not wait for a pipe's reader. NULL is allowed. */
void net_pcap_free(struct net_pcap *p);
/*
 * Adds a frame of len bytes in n pieces. Any thread, at any time; the first call starts the thread,
 * so that it is in the sandbox of the program. NULL is allowed.
 */
void net_pcap_put(struct net_pcap *p, const struct iovec *iov, unsigned n, uint32_t len);
/* Returns how many frames were not written. */
uint64_t net_pcap_dropped(struct net_pcap *p);
