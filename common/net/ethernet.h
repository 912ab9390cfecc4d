/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of Ethernet frames, and addresses as text. Pure functions. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_MAC_SIZE 6
/* Of a frame: the least that can be one (destination, source, type), and the most of any port. */
#define NET_MIN_FRAME 14
#define NET_MAX_FRAME 69632
#define NET_VLAN_TAG 4 /* bytes, after the addresses */
#define NET_VLANS 4096

/* "52:54:00:12:34:56" and the zero byte. */
#define NET_MAC_TEXT 18

/* Parses six pairs of hexadecimal digits with colons, or dashes, between them. */
bool net_mac_parse(const char *text, uint8_t mac[NET_MAC_SIZE]);
void net_mac_print(const uint8_t mac[NET_MAC_SIZE], char text[NET_MAC_TEXT]);

/* Returns whether an address is of a group: multicast, or broadcast. */
static inline bool net_mac_is_group(const uint8_t mac[NET_MAC_SIZE])
{
	return mac[0] & 1;
}

bool net_mac_is_broadcast(const uint8_t mac[NET_MAC_SIZE]);
bool net_mac_is_zero(const uint8_t mac[NET_MAC_SIZE]);

/*
 * Returns the VLAN of the frame that begins with these bytes (NET_MIN_FRAME + 2 are enough), by its
 * outer tag (802.1Q); -1: it has no tag.
 */
int net_frame_vlan(const uint8_t *frame, size_t len);
/*
 * Fills in the frame by which a host that has moved makes switches learn where it is now: a
 * broadcast RARP request with this address. Returns its length.
 */
#define NET_ANNOUNCEMENT 60
size_t net_announcement(const uint8_t mac[NET_MAC_SIZE], uint8_t frame[NET_ANNOUNCEMENT]);
