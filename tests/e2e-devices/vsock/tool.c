/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections between a guest and its host, by virtio sockets and Unix sockets.
 *
 *	tool serve PATH		the host: answers the three below, in the background
 *	tool many N		sends a text on each of N connections, and then checks the answers
 *	tool bulk N		sends N MiB, ends that direction, and checks as many that come back
 *	tool messages N		checks the sizes and contents of N messages and their answers
 *	tool refused		checks that a connection is refused where there is no server
 *	tool listen PORT	the guest: sends back what comes, in the background
 *	tool call PATH PORT N	the host: the same as many, one after the other, with listen
 */
#include <err.h>
#include <errno.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ECHO_PORT 1024
#define BULK_PORT 1025
#define MESSAGE_PORT 1026
#define BLOCK 65536
#define PERIOD 65521
#define MAX_MESSAGE 12000
#define PATIENCE_MS 300000

static uint8_t pattern[PERIOD + BLOCK];

static void make_pattern(void)
{
	for (uint32_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i % PERIOD * 2654435761u >> 13);
}

static void send_all(int s, const void *bytes, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = send(s, (const char *)bytes + done, len - done, MSG_NOSIGNAL);

		if (n < 0)
			err(1, "send");
		done += (size_t)n;
	}
}

static ssize_t receive(int s, void *to, size_t len)
{
	struct pollfd p = { .fd = s, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, PATIENCE_MS) != 1)
		errx(1, "nothing comes");
	n = recv(s, to, len, 0);
	if (n < 0)
		err(1, "recv");
	return n;
}

/* Sends len bytes of the stream. */
static void send_stream(int s, uint64_t len)
{
	for (uint64_t at = 0; at < len;) {
		size_t n = len - at < BLOCK ? (size_t)(len - at) : BLOCK;

		send_all(s, pattern + at % PERIOD, n);
		at += n;
	}
}

/* Receives all of the stream up to its end; returns its length. */
static uint64_t receive_stream(int s)
{
	static uint8_t bytes[BLOCK];
	uint64_t at = 0;
	ssize_t n;

	while ((n = receive(s, bytes, sizeof(bytes))) > 0) {
		if (memcmp(bytes, pattern + at % PERIOD, (size_t)n) != 0)
			errx(1, "other bytes come from %llu on", (unsigned long long)at);
		at += (uint64_t)n;
	}
	return at;
}

/* Sends back what comes. */
static void echo(int s)
{
	static char bytes[BLOCK];
	ssize_t n;

	while ((n = recv(s, bytes, sizeof(bytes), 0)) > 0)
		send_all(s, bytes, (size_t)n);
}

static void bulk_back(int s)
{
	send_stream(s, receive_stream(s));
}

/* Serves all connections, each in a process. */
static void serve(int listener, void (*how)(int s))
{
	for (;;) {
		int s = accept(listener, NULL, NULL);

		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (s >= 0 && fork() == 0) {
			close(listener);
			how(s);
			exit(0);
		}
		close(s);
	}
}

static void start(int listener, void (*how)(int s))
{
	if (listen(listener, 1024) < 0)
		err(1, "listen");
	switch (fork()) {
	case 0:
		if (daemon(1, 0) < 0)
			err(1, "daemon");
		serve(listener, how);
		break;
	case -1:
		err(1, "fork");
	}
	close(listener);
}

/* Sends back what comes on any connection, all of which are open at a time. */
static void echo_many(int listener)
{
	static struct pollfd p[4096];
	nfds_t n = 1;

	p[0] = (struct pollfd){ .fd = listener, .events = POLLIN };
	while (poll(p, n, -1) > 0) {
		char bytes[BLOCK];

		for (nfds_t i = n; i-- > 1;) {
			ssize_t got = p[i].revents ? recv(p[i].fd, bytes, sizeof(bytes), 0) : -1;

			if (got > 0)
				send_all(p[i].fd, bytes, (size_t)got);
			if (got > 0 || !p[i].revents)
				continue;
			close(p[i].fd);
			p[i] = p[--n];
		}
		if (p[0].revents && n < sizeof(p) / sizeof(p[0]))
			p[n++] = (struct pollfd){ accept(listener, NULL, NULL), POLLIN, 0 };
	}
}

static void start_echo(int listener)
{
	if (listen(listener, 4096) < 0)
		err(1, "listen");
	if (fork() == 0) {
		if (daemon(1, 0) < 0)
			err(1, "daemon");
		echo_many(listener);
		exit(1);
	}
	close(listener);
}

static int unix_socket(const char *path, unsigned port, int type, struct sockaddr_un *a)
{
	int s = socket(AF_UNIX, type, 0);

	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (port)
		snprintf(a->sun_path, sizeof(a->sun_path), "%s_%u", path, port);
	else
		snprintf(a->sun_path, sizeof(a->sun_path), "%s", path);
	if (s < 0)
		err(1, "%s", a->sun_path);
	return s;
}

static int bind_unix(const char *path, unsigned port, int type)
{
	struct sockaddr_un a;
	int s = unix_socket(path, port, type, &a);

	if (bind(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		err(1, "%s", a.sun_path);
	return s;
}

static int connect_host(unsigned port, int type)
{
	struct sockaddr_vm a = { .svm_family = AF_VSOCK, .svm_cid = 2, .svm_port = port };
	struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
	int s = socket(AF_VSOCK, type, 0);

	if (s < 0 ||
		setsockopt(s, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &patience,
			sizeof(patience)) < 0 ||
		connect(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -1;
	return s;
}

static int must_connect(unsigned port, int type)
{
	int s = connect_host(port, type);

	if (s < 0)
		err(1, "connection to port %u", port);
	return s;
}

static size_t make_text(char *to, size_t size, unsigned i)
{
	return (size_t)snprintf(to, size, "connection %u says %08x", i, i * 2654435761u);
}

/* Reads as many bytes as were sent, which must be the same. */
static void expect_text(int s, unsigned i)
{
	char text[64], got[64];
	size_t len = make_text(text, sizeof(text), i);

	for (size_t done = 0; done < len;) {
		ssize_t n = receive(s, got + done, len - done);

		if (n == 0)
			errx(1, "connection %u ends", i);
		done += (size_t)n;
	}
	if (memcmp(text, got, len) != 0)
		errx(1, "connection %u has another answer", i);
}

static void many(unsigned count)
{
	int *s = calloc(count, sizeof(*s));
	char text[64];

	for (unsigned i = 0; i < count; i++)
		s[i] = must_connect(ECHO_PORT, SOCK_STREAM);
	for (unsigned i = 0; i < count; i++)
		send_all(s[i], text, make_text(text, sizeof(text), i));
	for (unsigned i = 0; i < count; i++)
		expect_text(s[i], i);
}

static void bulk(uint64_t len)
{
	int s = must_connect(BULK_PORT, SOCK_STREAM);
	uint64_t got;

	send_stream(s, len);
	if (shutdown(s, SHUT_WR) < 0)
		err(1, "shutdown");
	got = receive_stream(s);
	if (got != len)
		errx(1, "%llu bytes come back", (unsigned long long)got);
}

static size_t message_size(unsigned i)
{
	return 1 + i * 7919u % MAX_MESSAGE;
}

static void messages(unsigned count)
{
	static uint8_t got[BLOCK];
	int s = must_connect(MESSAGE_PORT, SOCK_SEQPACKET);

	for (unsigned i = 0; i < count; i++) {
		size_t size = message_size(i);

		if (send(s, pattern + i, size, MSG_EOR) != (ssize_t)size)
			err(1, "message %u", i);
		/* Two are on their way at a time. */
		for (unsigned j = i ? i - 1 : 0; j < (i + 1 < count ? i : count); j++) {
			ssize_t n = receive(s, got, sizeof(got));

			if (n != (ssize_t)message_size(j) || memcmp(got, pattern + j, (size_t)n))
				errx(1, "the answer to message %u of %zu bytes has %zd", j,
					message_size(j), n);
		}
	}
}

static void refused(void)
{
	if (connect_host(9, SOCK_STREAM) >= 0 || errno != ECONNRESET)
		err(1, "the connection is not refused");
}

static void listen_guest(unsigned port)
{
	struct sockaddr_vm a = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port
	};
	int s = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		err(1, "port %u", port);
	start_echo(s);
}

/* Says which port is wanted, and reads the answer. */
static int call_guest(const char *path, unsigned port)
{
	char line[32], byte = '\0';
	struct sockaddr_un a;
	int s = unix_socket(path, 0, SOCK_STREAM, &a);
	size_t n = 0;

	if (connect(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		err(1, "%s", path);
	snprintf(line, sizeof(line), "CONNECT %u\n", port);
	send_all(s, line, strlen(line));
	while (byte != '\n' && n < sizeof(line) && receive(s, &byte, 1) == 1)
		line[n++] = byte;
	if (n < 5 || memcmp(line, "OK ", 3) != 0)
		errx(1, "the guest does not accept");
	return s;
}

static void call(const char *path, unsigned port, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		int s = call_guest(path, port);
		char text[64];

		send_all(s, text, make_text(text, sizeof(text), i));
		expect_text(s, i);
		shutdown(s, SHUT_WR);
		if (receive(s, text, sizeof(text)) != 0)
			errx(1, "the guest does not close");
		close(s);
	}
}

static void serve_all(const char *path)
{
	start_echo(bind_unix(path, ECHO_PORT, SOCK_STREAM));
	start(bind_unix(path, BULK_PORT, SOCK_STREAM), bulk_back);
	start(bind_unix(path, MESSAGE_PORT, SOCK_SEQPACKET), echo);
}

int main(int argc, char **argv)
{
	const struct rlimit files = { 4096, 4096 };
	const char *what = argc > 1 ? argv[1] : "";
	unsigned n = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;

	make_pattern();
	setrlimit(RLIMIT_NOFILE, &files);
	if (strcmp(what, "serve") == 0 && argc == 3)
		serve_all(argv[2]);
	else if (strcmp(what, "many") == 0)
		many(n);
	else if (strcmp(what, "bulk") == 0)
		bulk((uint64_t)n << 20);
	else if (strcmp(what, "messages") == 0)
		messages(n);
	else if (strcmp(what, "refused") == 0)
		refused();
	else if (strcmp(what, "listen") == 0)
		listen_guest(n);
	else if (strcmp(what, "call") == 0 && argc == 5)
		call(argv[2], (unsigned)strtoul(argv[3], NULL, 10),
			(unsigned)strtoul(argv[4], NULL, 10));
	else
		errx(2, "usage: tool serve|many|bulk|messages|refused|listen|call ...");
	return 0;
}
