/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames through a switch, from one port to another, with a few of them on the way, so that
 * none is lost: frames in a second, and the CPU time of virtiod-switch for each.
 *
 *	switch_bench stream virtiod-switch SIZE		two stream ports
 *	switch_bench bridge SIZE			two taps at a bridge of the kernel
 *
 * Taps take root: they are made in a network namespace of their own.
 */
#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "net/stream.h"
#include "net/tap.h"

#define BATCH 64
/*
 * On the way at most: fits into the buffers of any of these ways. Less, such as eight frames of
 * 9014 bytes, would measure wake-ups: a switch that is a process has one more than the kernel's.
 */
#define WINDOW_BYTES (192u << 10)
#define SECONDS 1
#define WARM_UP_NS UINT64_C(20000000000)
#define TYPE_AT 12

struct end {
	int fd;
	bool tap;
	struct net_stream_in in;
	struct net_stream_out out;
};

static struct end ends[2];
static uint32_t size;
static _Atomic uint64_t received;
static _Atomic bool over;

static void fail(const char *what)
{
	fprintf(stderr, "switch_bench: %s: %s\n", what, g_strerror(errno));
	exit(1);
}

static void make_frame(uint8_t *frame, uint8_t to, uint8_t source)
{
	memset(frame, 0, size);
	frame[0] = frame[6] = 2;
	frame[5] = to;
	frame[11] = source;
	frame[TYPE_AT] = 0x88;
	frame[TYPE_AT + 1] = 0xb5;
}

static bool is_ours(const uint8_t *frame, ssize_t len)
{
	return len == (ssize_t)size && frame[TYPE_AT] == 0x88 && frame[TYPE_AT + 1] == 0xb5;
}

static void wait_for(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	poll(&p, 1, 100);
}

/* Sends up to n copies; returns how many. */
static unsigned send_some(struct end *e, const uint8_t *bytes, unsigned n)
{
	struct iovec iov = { (void *)bytes, size };
	struct net_frame frames[BATCH];
	int sent = 0;

	if (e->tap)
		return write(e->fd, bytes, size) == (ssize_t)size;
	for (unsigned i = 0; i < n; i++)
		frames[i] = (struct net_frame){ &iov, 1, size };
	sent = net_stream_write(&e->out, e->fd, frames, n);
	/* The end of the last one must not stay here: nothing follows until it has arrived. */
	while (net_stream_flush(&e->out, e->fd) == -EAGAIN)
		wait_for(e->fd, POLLOUT);
	return MAX(sent, 0);
}

/* Returns how many frames came. */
static unsigned receive(struct end *e)
{
	static uint8_t buf[NET_MAX_FRAME];
	const uint8_t *frame;
	unsigned n = 0;
	ssize_t len;

	if (e->tap) {
		while ((len = read(e->fd, buf, sizeof(buf))) > 0)
			n += is_ours(buf, len);
		return n;
	}
	net_stream_read(&e->in, e->fd);
	while ((len = net_stream_next(&e->in, &frame)) > 0)
		n += is_ours(frame, len);
	return n;
}

static void *receive_all(void *opaque)
{
	while (!over) {
		unsigned n = receive(&ends[1]);

		received += n;
		if (!n)
			wait_for(ends[1].fd, POLLIN);
	}
	return NULL;
}

/* Has both addresses learned: sends until something has come through. */
static void warm_up(const uint8_t *frame)
{
	uint64_t end = clock_now_ns() + WARM_UP_NS;
	uint8_t back[NET_MAX_FRAME];

	make_frame(back, 1, 2);
	while (!received && clock_now_ns() < end) {
		send_some(&ends[1], back, 1);
		send_some(&ends[0], frame, 1);
		wait_for(ends[0].fd, POLLIN);
		receive(&ends[0]);
	}
	if (!received)
		fail("nothing came through");
}

/* Returns the CPU time of a process, in nanoseconds. */
static double cpu_of(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t) < 0)
		fail("CPU time");
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Returns frames in a second; *cpu: of the program, for each; pid 0: there is none. */
static double run(pid_t pid, double *cpu)
{
	unsigned batch = MIN(BATCH, WINDOW_BYTES / 4 / size);
	uint8_t frame[NET_MAX_FRAME];
	uint64_t sent, start, before;
	pthread_t thread;

	make_frame(frame, 2, 1);
	received = 0;
	over = false;
	pthread_create(&thread, NULL, receive_all, NULL);
	warm_up(frame);
	poll(NULL, 0, 300);
	sent = before = received;
	*cpu = pid ? -cpu_of(pid) : 0;
	start = clock_now_ns();
	while (clock_now_ns() - start < SECONDS * UINT64_C(1000000000)) {
		if (sent - received + batch > 4 * batch)
			sched_yield();
		else
			sent += send_some(&ends[0], frame, batch);
	}
	over = true;
	pthread_join(thread, NULL);
	*cpu = pid ? (*cpu + cpu_of(pid)) / (double)(received - before) : 0;
	return (double)(received - before) * 1e9 / (double)(clock_now_ns() - start);
}

static void sh(const char *command)
{
	if (system(command) != 0)
		fail(command);
}

static void open_taps(void)
{
	g_autoptr(GError) error = NULL;

	if (unshare(CLONE_NEWNET) < 0)
		fail("network namespace");
	for (unsigned i = 0; i < 2; i++) {
		ends[i].tap = true;
		if (!net_tap_open(i ? "b1" : "b0", false, 1, &ends[i].fd, &error)) {
			fprintf(stderr, "switch_bench: %s\n", error->message);
			exit(1);
		}
	}
}

static void open_streams(int theirs[2])
{
	for (unsigned i = 0; i < 2; i++) {
		int fds[2];

		if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
			fail("socketpair");
		ends[i].fd = fds[0];
		theirs[i] = fds[1];
		net_stream_in_init(&ends[i].in, 1 << 18, NET_MAX_FRAME);
		net_stream_out_init(&ends[i].out, NET_MAX_FRAME);
	}
}

/* Starts the program; the ports are two streams. */
static pid_t start(const char *program, const int theirs[2])
{
	g_autofree char *a = g_strdup_printf("--port=stream=fd:%d,name=a", theirs[0]);
	g_autofree char *b = g_strdup_printf("--port=stream=fd:%d,name=b", theirs[1]);
	pid_t pid = fork();

	if (pid == 0) {
		execl(program, program, a, b, "--log-level=warning", NULL);
		fail(program);
	}
	close(theirs[0]);
	close(theirs[1]);
	return pid;
}

/* Makes the bridge, and its two ports. */
static void make_bridge(void)
{
	open_taps();
	sh("for t in b0 b1; do ip link set $t mtu 9000; done; ip link add name sw0 type bridge;"
	   "for t in b0 b1; do ip link set $t master sw0; ip link set $t up; done;"
	   "ip link set sw0 up");
}

int main(int argc, char **argv)
{
	bool bridge = argc == 3 && g_str_equal(argv[1], "bridge");
	int theirs[2];
	pid_t pid = 0;
	double rate, cpu;

	size = argc > 2 ? (uint32_t)atoi(argv[argc - 1]) : 0;
	if (size < NET_MIN_FRAME || size > WINDOW_BYTES / 4 ||
		(!bridge && !(argc == 4 && g_str_equal(argv[1], "stream")))) {
		fprintf(stderr, "usage: switch_bench stream PROGRAM SIZE | bridge SIZE\n");
		return 2;
	}
	if (bridge) {
		make_bridge();
	} else {
		open_streams(theirs);
		pid = start(argv[2], theirs);
	}
	rate = run(pid, &cpu);
	printf("%s %5u B: %9.0f frames/s %7.0f MB/s", argv[1], size, rate, rate * size / 1e6);
	if (pid) {
		printf(", %.0f ns CPU of the switch a frame", cpu);
		kill(pid, SIGTERM);
		waitpid(pid, NULL, 0);
	}
	printf("\n");
	return 0;
}
