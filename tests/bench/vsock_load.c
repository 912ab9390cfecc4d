/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of a virtio socket device: a driver, and the host's Unix sockets.
 *
 *	vsock_load SOCKET PATH tx|rx|connect SECONDS
 *
 * tx, rx: a stream from the guest, or to it; connect: connections of the guest that end at once,
 * DEPTH at a time. PATH: what the back-end was given for the host's sockets. Prints bytes, or
 * connections, the seconds, and the CPU seconds that the back-end took for them. With "unix:CPU"
 * for SOCKET there is none: a child on that CPU has the other end of the host's sockets, which is
 * what they cost at least.
 */
#include <inttypes.h>
#include <linux/virtio_vsock.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sock.h"
#include "base/util.h"
#include "tests/bench/load_front.h"

#define RING 256
#define HEAD sizeof(struct virtio_vsock_hdr)
/* As Linux has them. */
#define RX_BUFFER 4096
#define PACKET (64u << 10)
#define CREDIT (256u << 10)
#define N_SLOTS 64 /* for packets of the guest */
#define SLOT (PACKET + 4096u)
#define DEPTH 16
#define CID 3
#define PORT 1024
#define WARM_UP_NS (LOAD_SECOND / 5)

enum { RX, TX };

enum mode { TO_HOST, TO_GUEST, CONNECT, N_MODES };
static const char *const modes[] = { "tx", "rx", "connect" };

struct ends {
	struct load_front front;
	enum mode mode;
	int listener, fd; /* of the host */
	int ended[N_SLOTS]; /* sockets of connections that are at their end */
	unsigned n_ended;
	uint64_t rx_buffers, slots; /* guest addresses */
	uint32_t slot[N_SLOTS], n_slots; /* that the back-end has not */
	uint32_t port; /* the guest's next one */
	/* Of the stream. */
	uint32_t sent, allowed, forwarded; /* from the guest, as the back-end counts */
	uint32_t got, told; /* to the guest, as the back-end is told */
	uint64_t done;
};

static uint8_t block[PACKET];

/* Sends a packet; false: the back-end has all slots. */
static bool send_packet(struct ends *l, unsigned op, uint32_t port, uint32_t len)
{
	const struct virtio_vsock_hdr h = {
		.src_cid = htole64(CID),
		.dst_cid = htole64(2),
		.src_port = htole32(port),
		.dst_port = htole32(PORT),
		.len = htole32(len),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16((uint16_t)op),
		.flags = htole32(op == VIRTIO_VSOCK_OP_SHUTDOWN ? 3 : 0),
		.buf_alloc = htole32(CREDIT),
		.fwd_cnt = htole32(l->got),
	};
	struct driver_buf buf = { .len = (uint32_t)HEAD + len };
	uint32_t i;

	if (!l->n_slots)
		return false;
	i = l->slot[--l->n_slots];
	buf.addr = l->slots + (uint64_t)i * SLOT;
	memcpy(driver_mem_host(l->front.mem, buf.addr, HEAD), &h, HEAD);
	load_must(
		driver_ring_add(l->front.ring[TX], &buf, 1, 0, GUINT_TO_POINTER(i + 1)) == 0, NULL);
	return true;
}

/* Sends what there is always a slot left for. */
static void say(struct ends *l, unsigned op, uint32_t port)
{
	load_must(send_packet(l, op, port, 0), NULL);
}

static void begin_connection(struct ends *l)
{
	say(l, VIRTIO_VSOCK_OP_REQUEST, l->port++);
}

/* Accepts on the host, where the back-end has connected. */
static void take_response(struct ends *l, uint32_t port)
{
	int fd = sock_accept(l->listener);

	load_must(fd >= 0, NULL);
	if (l->mode != CONNECT) {
		l->fd = fd;
		return;
	}
	/* The guest is to end it first. */
	fd_close(&l->ended[l->n_ended % N_SLOTS]);
	l->ended[l->n_ended++ % N_SLOTS] = fd;
	say(l, VIRTIO_VSOCK_OP_SHUTDOWN, port);
}

static void take_packet(struct ends *l, const struct virtio_vsock_hdr *h, uint32_t len)
{
	l->allowed = le32toh(h->buf_alloc);
	l->forwarded = le32toh(h->fwd_cnt);
	switch (le16toh(h->op)) {
	case VIRTIO_VSOCK_OP_RESPONSE:
		take_response(l, le32toh(h->dst_port));
		break;
	case VIRTIO_VSOCK_OP_RW:
		l->got += len;
		l->done += len;
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		l->told = l->got - CREDIT;
		break;
	case VIRTIO_VSOCK_OP_RST:
		load_must(l->mode == CONNECT, NULL);
		l->done++;
		begin_connection(l);
		break;
	}
}

static void give_buffer(struct ends *l, uint32_t i)
{
	const struct driver_buf buf = { l->rx_buffers + (uint64_t)i * RX_BUFFER, RX_BUFFER };

	load_must(
		driver_ring_add(l->front.ring[RX], &buf, 0, 1, GUINT_TO_POINTER(i + 1)) == 0, NULL);
}

/* Takes all that the back-end has done. */
static void reap(struct ends *l)
{
	uint32_t len;
	void *token;
	int n;

	while ((n = driver_ring_reap(l->front.ring[TX], &token, &len)) == 1)
		l->slot[l->n_slots++] = GPOINTER_TO_UINT(token) - 1;
	load_must(n == 0, NULL);
	while ((n = driver_ring_reap(l->front.ring[RX], &token, &len)) == 1) {
		uint32_t i = GPOINTER_TO_UINT(token) - 1;
		struct virtio_vsock_hdr h;

		load_must(len >= HEAD, NULL);
		memcpy(&h,
			driver_mem_host(
				l->front.mem, l->rx_buffers + (uint64_t)i * RX_BUFFER, HEAD),
			HEAD);
		take_packet(l, &h, len - (uint32_t)HEAD);
		give_buffer(l, i);
	}
	load_must(n == 0, NULL);
}

/* Does the guest's part, as far as it can be done now. */
static void guest_turn(struct ends *l)
{
	reap(l);
	while (l->mode == TO_HOST && l->fd >= 0 && l->sent - l->forwarded + PACKET <= l->allowed &&
		send_packet(l, VIRTIO_VSOCK_OP_RW, l->port, PACKET))
		l->sent += PACKET;
	if (l->got - l->told >= CREDIT / 2 &&
		send_packet(l, VIRTIO_VSOCK_OP_CREDIT_UPDATE, l->port, 0))
		l->told = l->got;
	load_front_publish(&l->front, TX);
	load_front_publish(&l->front, RX);
}

/* Does the host's part; connections are accepted where there is no guest. */
static void host_turn(struct ends *l)
{
	ssize_t n = 0;

	if (l->mode == CONNECT && !l->front.f) {
		int fd = sock_accept(l->listener);

		l->done += fd >= 0;
		fd_close(&fd);
		return;
	}
	if (l->fd < 0)
		return;
	if (l->mode == TO_HOST)
		n = recv(l->fd, block, sizeof(block), MSG_DONTWAIT);
	else
		n = send(l->fd, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0 && (l->mode == TO_HOST || !l->front.f))
		l->done += (uint64_t)n;
}

/* Has the other end of the host's sockets, where there is no back-end; does not return. */
static void play_peer(const char *path, enum mode mode, unsigned cpu)
{
	int fd = -1;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	do {
		fd_close(&fd);
		fd = sock_connect(path, NULL);
	} while (fd >= 0 && mode == CONNECT);
	while ((mode == TO_HOST ? send(fd, block, sizeof(block), MSG_NOSIGNAL)
				: recv(fd, block, sizeof(block), 0)) > 0)
		;
	_exit(0);
}

static void start(struct ends *l, const char *socket, const char *path)
{
	if (g_str_has_prefix(socket, "unix:")) {
		l->front.pid = fork();
		load_must(l->front.pid >= 0, NULL);
		if (l->front.pid == 0)
			play_peer(path, l->mode, (unsigned)atoi(socket + strlen("unix:")));
		while (l->mode != CONNECT && (l->fd = sock_accept(l->listener)) < 0)
			;
		return;
	}
	load_front_connect(&l->front, socket, 0, RING, RING * RX_BUFFER + N_SLOTS * SLOT);
	l->rx_buffers = driver_mem_alloc(l->front.mem, RING * RX_BUFFER, RX_BUFFER);
	l->slots = driver_mem_alloc(l->front.mem, N_SLOTS * SLOT, RX_BUFFER);
	load_must(l->rx_buffers && l->slots, NULL);
	for (uint32_t i = 0; i < RING; i++)
		give_buffer(l, i);
	for (uint32_t i = 0; i < N_SLOTS; i++)
		l->slot[l->n_slots++] = i;
	for (unsigned i = 0; i < (l->mode == CONNECT ? DEPTH : 1); i++)
		begin_connection(l);
	l->port -= l->mode != CONNECT;
}

static void run(struct ends *l, uint64_t end)
{
	while (clock_now_ns() < end) {
		if (l->front.f)
			guest_turn(l);
		host_turn(l);
	}
}

int main(int argc, char **argv)
{
	struct ends l = { .fd = -1, .port = 5000 };
	g_autofree char *path = NULL;
	g_autoptr(GError) error = NULL;
	uint64_t begin;
	double cpu;

	while (argc == 5 && l.mode < N_MODES && !g_str_equal(argv[3], modes[l.mode]))
		l.mode++;
	if (argc != 5 || l.mode == N_MODES) {
		fprintf(stderr, "usage: vsock_load SOCKET PATH tx|rx|connect SECONDS\n");
		return 2;
	}
	g_set_prgname("vsock_load");
	memset(l.ended, 0xff, sizeof(l.ended)); /* -1 */
	path = g_strdup_printf("%s_%u", argv[2], PORT);
	l.listener = sock_listen(path, 0600, (gid_t)-1, &error);
	load_must(l.listener >= 0, error);
	start(&l, argv[1], path);
	do
		run(&l, clock_now_ns() + WARM_UP_NS);
	while (!l.done);
	l.done = 0;
	cpu = -load_cpu_of(l.front.pid);
	begin = clock_now_ns();
	run(&l, begin + (uint64_t)(atof(argv[4]) * (double)LOAD_SECOND));
	cpu += load_cpu_of(l.front.pid);
	printf("%" PRIu64 " %.6f %.6f\n", l.done,
		(double)(clock_now_ns() - begin) / (double)LOAD_SECOND, cpu);
	if (!l.front.f)
		kill(l.front.pid, SIGKILL);
	unlink(path);
	return 0;
}
