/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of a network.
 *
 *	tool peer SOCKET	answers, at that stream socket, for 10.0.0.2: ARP, pings, and UDP
 *				datagrams to port 7; until the other end leaves.
 *				Each echo of a ping comes after a copy for another address.
 *	tool talk ADDRESS N	sends N datagrams of all sizes to port 7, and checks the answers
 *	tool serve PORT		TCP, in the background
 *	tool transfer ADDRESS PORT MIB	with such a server, each way
 *	tool be-called ADDRESS PORT OWN-ADDRESS OWN-PORT MIB	the same, the server connects
 *	tool alone|tap PROGRAM ARGUMENT...	runs the program in a network namespace with such a
 *				server; tap: with a tap of two queues, 10.1.0.1, that it serves
 *	tool show INTERFACE	its offloads and counters
 *	tool channels INTERFACE N	sets how many pairs of queues it uses
 */
#include "tool.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LONGEST 65536
#define LARGEST 8972 /* data of a datagram in a frame of 9000 bytes */
#define WINDOW 8
#define OTHER "\x52\x54\0\x99\x99\x99"

static const uint8_t own_mac[ETH_ALEN] = { 0x52, 0x54, 0, 0, 0, 2 };
static const uint8_t own_ip[4] = { 10, 0, 0, 2 };

static void swap(void *a, void *b, size_t n)
{
	uint8_t copy[16];

	memcpy(copy, a, n);
	memcpy(a, b, n);
	memcpy(b, copy, n);
}

static void put(int s, const uint8_t *frame, size_t len)
{
	uint32_t head = htonl((uint32_t)len);

	if (send(s, &head, sizeof(head), MSG_NOSIGNAL | MSG_MORE) != sizeof(head) ||
		send(s, frame, len, MSG_NOSIGNAL) != (ssize_t)len)
		exit(0);
}

/* Makes the answer of an ARP request. */
static bool answer_arp(struct ether_arp *a)
{
	if (a->arp_op != htons(ARPOP_REQUEST) || memcmp(a->arp_tpa, own_ip, 4) != 0)
		return false;
	a->arp_op = htons(ARPOP_REPLY);
	swap(a->arp_spa, a->arp_tpa, 4);
	memcpy(a->arp_tha, a->arp_sha, ETH_ALEN);
	memcpy(a->arp_sha, own_mac, ETH_ALEN);
	return true;
}

/* Makes the answer of a ping, or of a datagram: addresses change places, sums stay as they are. */
static bool answer_ip(struct ip *ip, bool *ping)
{
	struct icmphdr *icmp = (void *)(ip + 1);
	struct udphdr *udp = (void *)(ip + 1);

	if (ip->ip_hl != 5 || memcmp(&ip->ip_dst, own_ip, 4) != 0)
		return false;
	swap(&ip->ip_src, &ip->ip_dst, 4);
	*ping = ip->ip_p == IPPROTO_ICMP && icmp->type == ICMP_ECHO;
	if (*ping) {
		uint32_t sum = ntohs(icmp->checksum) + (ICMP_ECHO << 8);

		icmp->type = ICMP_ECHOREPLY;
		icmp->checksum = htons((uint16_t)(sum + (sum >> 16)));
		return true;
	}
	if (ip->ip_p != IPPROTO_UDP || udp->dest != htons(PORT_ECHO))
		return false;
	swap(&udp->source, &udp->dest, 2);
	return true;
}

static void answer(int s, uint8_t *frame, size_t len)
{
	struct ether_header *eth = (void *)frame;
	bool ping = false, ok = false;
	uint8_t guest[ETH_ALEN];

	if (len >= sizeof(*eth) + sizeof(struct ether_arp) &&
		eth->ether_type == htons(ETHERTYPE_ARP))
		ok = answer_arp((void *)(eth + 1));
	else if (len >= sizeof(*eth) + sizeof(struct ip) + sizeof(struct udphdr) &&
		eth->ether_type == htons(ETHERTYPE_IP))
		ok = answer_ip((void *)(eth + 1), &ping);
	if (!ok)
		return;
	memcpy(guest, eth->ether_shost, ETH_ALEN);
	memcpy(eth->ether_shost, own_mac, ETH_ALEN);
	memcpy(eth->ether_dhost, OTHER, ETH_ALEN);
	if (ping)
		put(s, frame, len);
	memcpy(eth->ether_dhost, guest, ETH_ALEN);
	put(s, frame, len);
}

static void peer(const char *path)
{
	static uint8_t frame[LONGEST] __attribute__((aligned(4)));
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), s;
	uint32_t len;

	strncpy(a.sun_path, path, sizeof(a.sun_path) - 1);
	if (listener < 0 || bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		listen(listener, 1) < 0)
		err(1, "%s", path);
	alarm(LIFETIME_S);
	s = accept(listener, NULL, NULL);
	while (recv(s, &len, sizeof(len), MSG_WAITALL) == sizeof(len)) {
		len = ntohl(len);
		if (len > sizeof(frame) || recv(s, frame, len, MSG_WAITALL) != (ssize_t)len)
			break;
		answer(s, frame, len);
	}
}

/* Fills in datagram number i; returns its size. */
static size_t make(uint32_t i, uint8_t *data)
{
	size_t size = 4 + i * 7919 % (LARGEST - 3);

	for (size_t k = 4; k < size; k++)
		data[k] = (uint8_t)(i + k * 3);
	memcpy(data, &i, sizeof(i));
	return size;
}

static void talk(const char *address, uint32_t count)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT_ECHO) };
	static uint8_t data[LARGEST], got[LARGEST + 1];
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	struct pollfd p = { .fd = s, .events = POLLIN };
	uint32_t sent = 0;

	if (inet_pton(AF_INET, address, &a.sin_addr) != 1 ||
		connect(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		err(1, "%s", address);
	for (uint32_t i = 0; i < count; i++) {
		size_t size;
		ssize_t n;

		for (; sent < count && sent - i < WINDOW; sent++) {
			size = make(sent, data);
			if (send(s, data, size, 0) != (ssize_t)size)
				err(1, "datagram %u", sent);
		}
		if (poll(&p, 1, PATIENCE_MS) != 1)
			errx(1, "no answer to datagram %u of %u", i, count);
		n = recv(s, got, sizeof(got), 0);
		size = make(i, data);
		if (n != (ssize_t)size || memcmp(got, data, size) != 0)
			errx(1, "instead of answer %u come %zd bytes", i, n);
	}
}

static uint32_t number(const char *text)
{
	return (uint32_t)strtoul(text, NULL, 10);
}

static bool is(const char *command, const char *name, int argc, int least)
{
	return strcmp(command, name) == 0 && argc >= least;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (is(what, "peer", argc, 3))
		peer(argv[2]);
	else if (is(what, "talk", argc, 4))
		talk(argv[2], number(argv[3]));
	else if (is(what, "serve", argc, 3))
		serve((uint16_t)number(argv[2]), false);
	else if (is(what, "transfer", argc, 5))
		transfer(argv[2], (uint16_t)number(argv[3]), number(argv[4]));
	else if (is(what, "be-called", argc, 7))
		be_called(argv + 2);
	else if (is(what, "alone", argc, 3))
		run_alone(argv + 2);
	else if (is(what, "tap", argc, 3))
		run_at_tap(argv + 2);
	else if (is(what, "show", argc, 3))
		show_interface(argv[2]);
	else if (is(what, "channels", argc, 4))
		set_channels(argv[2], number(argv[3]));
	else
		errx(2, "see tool.c");
	return 0;
}
