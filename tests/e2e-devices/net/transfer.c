/* SPDX-License-Identifier: Apache-2.0 */
/* TCP by blocks, whose content is their place's; a byte at the end says that all came. */
#include "tool.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK 65536u
#define DONE 'k'

/* What a client asks of the server: "r"eceive, "s"end, or "c"all another one. */
struct tool_request {
	char what;
	char address[17];
	uint16_t port;
	uint32_t mib;
};

static void fill(uint64_t *block, uint64_t place)
{
	for (unsigned i = 0; i < BLOCK / sizeof(*block); i++)
		block[i] = (place + i) * 0x9e3779b97f4a7c15u;
}

static void send_all(int s, const void *from, size_t len)
{
	while (len) {
		ssize_t n = send(s, from, len, MSG_NOSIGNAL);

		if (n <= 0)
			err(1, "%zu bytes cannot be sent", len);
		from = (const char *)from + n;
		len -= (size_t)n;
	}
}

static void get_all(int s, void *to, size_t len)
{
	while (len) {
		struct pollfd p = { .fd = s, .events = POLLIN };
		ssize_t n = poll(&p, 1, PATIENCE_MS) == 1 ? recv(s, to, len, 0) : 0;

		if (n <= 0)
			err(1, "%zu bytes do not come", len);
		to = (char *)to + n;
		len -= (size_t)n;
	}
}

static void send_data(int s, uint32_t mib)
{
	static uint64_t block[BLOCK / 8];
	char answer = 0;

	for (uint64_t i = 0; i < (uint64_t)mib * 16; i++) {
		fill(block, i * BLOCK);
		send_all(s, block, BLOCK);
	}
	get_all(s, &answer, 1);
	if (answer != DONE)
		errx(1, "the other end says %d", answer);
}

static void get_data(int s, uint32_t mib)
{
	static uint64_t block[BLOCK / 8], wanted[BLOCK / 8];

	for (uint64_t i = 0; i < (uint64_t)mib * 16; i++) {
		get_all(s, block, BLOCK);
		fill(wanted, i * BLOCK);
		if (memcmp(block, wanted, BLOCK) != 0)
			errx(1, "block %llu of %u MiB is not as it was sent", (unsigned long long)i,
				mib);
	}
	send_all(s, &(char){ DONE }, 1);
}

static int ask(const char *address, uint16_t port, struct tool_request request)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int s = socket(AF_INET, SOCK_STREAM, 0);

	if (inet_pton(AF_INET, address, &a.sin_addr) != 1 ||
		connect(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		err(1, "%s port %u", address, port);
	request.mib = htonl(request.mib);
	request.port = htons(request.port);
	send_all(s, &request, sizeof(request));
	return s;
}

void transfer(const char *address, uint16_t port, uint32_t mib)
{
	int s = ask(address, port, (struct tool_request){ .what = 'r', .mib = mib });

	send_data(s, mib);
	close(s);
	s = ask(address, port, (struct tool_request){ .what = 's', .mib = mib });
	get_data(s, mib);
	close(s);
}

void be_called(char **argv)
{
	struct tool_request request = { .what = 'c', .mib = (uint32_t)atoi(argv[4]) };
	char answer = 0;
	int s;

	request.port = (uint16_t)atoi(argv[3]);
	snprintf(request.address, sizeof(request.address), "%s", argv[2]);
	s = ask(argv[0], (uint16_t)atoi(argv[1]), request);
	get_all(s, &answer, 1);
	if (answer != DONE)
		errx(1, "the other end says %d", answer);
}

/* Serves one connection, in a process of its own. */
static noreturn void obey(int s)
{
	struct tool_request request;

	alarm(LIFETIME_S);
	get_all(s, &request, sizeof(request));
	request.mib = ntohl(request.mib);
	if (request.what == 'r') {
		get_data(s, request.mib);
	} else if (request.what == 's') {
		send_data(s, request.mib);
	} else {
		transfer(request.address, ntohs(request.port), request.mib);
		send_all(s, &(char){ DONE }, 1);
	}
	exit(0);
}

static void echo(int s)
{
	static uint8_t data[65536];
	struct sockaddr_in from;
	socklen_t size = sizeof(from);
	ssize_t n = recvfrom(s, data, sizeof(data), MSG_DONTWAIT, (struct sockaddr *)&from, &size);

	if (n >= 0)
		sendto(s, data, (size_t)n, 0, (struct sockaddr *)&from, size);
}

static int server(int type, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int s = socket(AF_INET, type, 0);

	if (setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) < 0 ||
		bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		(type == SOCK_STREAM && listen(s, 8) < 0))
		err(1, "port %u", port);
	return s;
}

void serve(uint16_t port, bool with_parent)
{
	/* Not a signal of the parent's death: a parent that became another user may send none. */
	struct pollfd p[] = {
		{ .fd = server(SOCK_STREAM, port), .events = POLLIN },
		{ .fd = server(SOCK_DGRAM, PORT_ECHO), .events = POLLIN },
		{ .fd = with_parent ? (int)syscall(SYS_pidfd_open, getpid(), 0) : -1,
			.events = POLLIN },
	};

	if (fork()) {
		close(p[0].fd);
		close(p[1].fd);
		close(p[2].fd);
		return;
	}
	alarm(LIFETIME_S);
	signal(SIGCHLD, SIG_IGN);
	while (poll(p, 3, -1) > 0 && !p[2].revents) {
		int s = p[0].revents ? accept(p[0].fd, NULL, NULL) : -1;

		if (p[1].revents)
			echo(p[1].fd);
		if (s >= 0 && fork() == 0)
			obey(s);
		if (s >= 0)
			close(s);
	}
	exit(0);
}
