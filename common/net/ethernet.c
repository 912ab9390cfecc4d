/* SPDX-License-Identifier: Apache-2.0 */
/* See ethernet.h. */
#include "net/ethernet.h"

#include <glib.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <string.h>

#define AT_SOURCE NET_MAC_SIZE
#define AT_TYPE (2 * NET_MAC_SIZE)

bool net_mac_parse(const char *text, uint8_t mac[NET_MAC_SIZE])
{
	uint8_t parsed[NET_MAC_SIZE];
	char separator = strlen(text) == NET_MAC_TEXT - 1 ? text[2] : '\0';

	if (separator != ':' && separator != '-')
		return false;
	for (unsigned i = 0; i < NET_MAC_SIZE; i++, text += 3) {
		int high = g_ascii_xdigit_value(text[0]), low = g_ascii_xdigit_value(text[1]);

		if (high < 0 || low < 0 || text[2] != (i < NET_MAC_SIZE - 1 ? separator : '\0'))
			return false;
		parsed[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(mac, parsed, sizeof(parsed));
	return true;
}

void net_mac_print(const uint8_t mac[NET_MAC_SIZE], char text[NET_MAC_TEXT])
{
	snprintf(text, NET_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		mac[3], mac[4], mac[5]);
}

bool net_mac_is_broadcast(const uint8_t mac[NET_MAC_SIZE])
{
	return memcmp(mac, "\xff\xff\xff\xff\xff\xff", NET_MAC_SIZE) == 0;
}

bool net_mac_is_zero(const uint8_t mac[NET_MAC_SIZE])
{
	return memcmp(mac, "\0\0\0\0\0\0", NET_MAC_SIZE) == 0;
}

static uint16_t get16(const uint8_t *from)
{
	return (uint16_t)(from[0] << 8 | from[1]);
}

static uint8_t *put16(uint8_t *to, uint16_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
	return to + 2;
}

int net_frame_vlan(const uint8_t *frame, size_t len)
{
	if (len < NET_MIN_FRAME + 2 || get16(frame + AT_TYPE) != ETH_P_8021Q)
		return -1;
	return get16(frame + NET_MIN_FRAME) & (NET_VLANS - 1);
}

size_t net_announcement(const uint8_t mac[NET_MAC_SIZE], uint8_t frame[NET_ANNOUNCEMENT])
{
	uint8_t *at = frame + AT_TYPE;

	memset(frame, 0, NET_ANNOUNCEMENT);
	memset(frame, 0xff, NET_MAC_SIZE);
	memcpy(frame + AT_SOURCE, mac, NET_MAC_SIZE);
	at = put16(at, ETH_P_RARP);
	at = put16(at, 1); /* of Ethernet addresses ... */
	at = put16(at, ETH_P_IP); /* ... to those of IPv4 */
	*at++ = NET_MAC_SIZE;
	*at++ = 4;
	at = put16(at, 3); /* "who am I": sender and target are the same, without IP addresses */
	memcpy(at, mac, NET_MAC_SIZE);
	memcpy(at + NET_MAC_SIZE + 4, mac, NET_MAC_SIZE);
	return NET_ANNOUNCEMENT;
}
