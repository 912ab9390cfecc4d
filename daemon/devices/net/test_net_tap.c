/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-net with a tap, in a network namespace of the test's own; a packet socket is the host. */
#include "daemon/devices/net/test_net.h"

#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "net/tap.h"

#define LEN 200
#define LARGE 20000
#define ALL 0x0003 /* ETH_P_ALL */

/* Opens a socket at the interface; -1: there is none. */
static int open_host(const char *name)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET,
		.sll_protocol = htobe16(ALL),
		.sll_ifindex = (int)if_nametoindex(name) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htobe16(ALL));

	assert_true(fd >= 0);
	if (a.sll_ifindex && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Returns whether this frame has come; others, such as IPv6's own, are skipped. */
static bool host_has(struct kit *k, int fd, struct kit_request *r, const uint8_t *frame, size_t len)
{
	uint8_t buf[LARGE + 100];
	ssize_t n;

	kit_is_done(k, r);
	while ((n = recv(fd, buf, sizeof(buf), 0)) >= 0) {
		if ((size_t)n == len && memcmp(buf, frame, len) == 0)
			return true;
	}
	return false;
}

/* Makes a frame of LEN bytes with IPv4 and UDP, from an address that this number is in. */
static void make_datagram(uint8_t *frame, uint32_t from)
{
	static const uint8_t type_and_ip[] = { 8, 0, 0x45, 0, 0, LEN - 14, 0, 0, 0, 0, 64, 17 };

	make_frame(frame, LEN, 0);
	memcpy(frame + 12, type_and_ip, sizeof(type_and_ip));
	memcpy(frame + 26, &from, 4);
	memcpy(frame + 38, (uint8_t[]){ 0, LEN - 34 }, 2);
}

/* Waits for a buffer that the frame is in; others of the host's may come before. */
static void wait_frame(struct kit *k, const uint8_t *frame, size_t len, size_t room)
{
	struct kit_request *r;

	do {
		r = give_buffer(k, room);
		kit_wait(k, r);
	} while (r->used != HEADER + len || memcmp(r->in + HEADER, frame, len) != 0);
}

static void test_frames(struct kit *k)
{
	uint8_t frame[LEN];
	struct kit_request *r;
	int fd;

	kit_start(k, "--tap=tap0", "--mac=" MAC_TEXT, NULL);
	fd = open_host("tap0");
	assert_true(fd >= 0);
	for (uint8_t i = 0; i < 5; i++) {
		make_frame(frame, LEN, i);
		r = send_frame(k, NULL, frame, LEN);
		WAIT_UNTIL(host_has(k, fd, r, frame, LEN));
		assert_int_equal(kit_wait(k, r), 0);
		assert_int_equal(send(fd, frame, LEN, 0), LEN);
		wait_frame(k, frame, LEN, LEN);
	}
	close(fd);
}

/* Sets an interface's MTU, or sets it up or down (0, 1). */
static void set_interface(const char *name, int mtu)
{
	autofd s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = { 0 };

	g_strlcpy(r.ifr_name, name, sizeof(r.ifr_name));
	r.ifr_mtu = mtu;
	if (mtu > 1) {
		assert_int_equal(ioctl(s, SIOCSIFMTU, &r), 0);
		return;
	}
	assert_int_equal(ioctl(s, SIOCGIFFLAGS, &r), 0);
	r.ifr_flags = (short)(mtu ? r.ifr_flags | IFF_UP : r.ifr_flags & ~IFF_UP);
	assert_int_equal(ioctl(s, SIOCSIFFLAGS, &r), 0);
}

/* A frame in many buffers, the end of which is read before there are enough of these. */
static void test_large(struct kit *k)
{
	g_autofree uint8_t *frame = g_malloc(LARGE);
	struct kit_request *r[40];
	unsigned first = 0, n = 0;
	int fd;

	make_frame(frame, LARGE, 7);
	for (unsigned i = 14; i < LARGE; i++)
		frame[i] = (uint8_t)(i * 7 + i / 251);
	kit_start(k, "--tap=tap0", "--mac=" MAC_TEXT, NULL);
	set_interface("tap0", LARGE);
	fd = open_host("tap0");
	for (; n < 10; n++)
		r[n] = give_buffer(k, 1000);
	assert_int_equal(send(fd, frame, LARGE, 0), LARGE);
	for (; n < G_N_ELEMENTS(r); n++)
		r[n] = give_buffer(k, 1000);
	/* The host's own frames are small. */
	while (kit_wait(k, r[first]) < HEADER + 1000)
		first++;
	/* Header and frame are of 20012 bytes, a buffer of 1012. */
	check_received(k, r + first, 20, frame, LARGE);
	r[0] = send_frame(k, NULL, frame, LARGE);
	WAIT_UNTIL(host_has(k, fd, r[0], frame, LARGE));
	assert_int_equal(kit_wait(k, r[0]), 0);
	close(fd);
}

/* The kernel makes the checksum that the guest leaves to it, and refuses nonsense. */
static void test_offloads(struct kit *k)
{
	struct virtio_net_hdr_v1 h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = htole16(34),
		.csum_offset = htole16(6) };
	uint8_t frame[LEN];

	kit_start(k, "--tap=tap0", NULL);
	make_datagram(frame, 1);
	assert_int_equal(kit_wait(k, send_frame(k, &h, frame, LEN)), 0);
	h.csum_start = htole16(LEN);
	assert_int_equal(kit_wait(k, send_frame(k, &h, frame, LEN)), 0);
	h.csum_start = htole16(34);
	h.gso_type = 99;
	assert_int_equal(kit_wait(k, send_frame(k, &h, frame, LEN)), 0);
	assert_int_equal(counter(k, "tx_dropped"), 2);
	assert_int_equal(counter(k, "tx_frames"), 1);
}

/* A frame of TCP that is larger than the network's: the host gets it as it is. */
static void test_segments(struct kit *k)
{
	static const uint8_t ip_and_tcp[] = { 8, 0, 0x45, 0, 10000 >> 8, 10000 & 0xff, 0, 0, 0, 0,
		64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x50 };
	const struct virtio_net_hdr_v1 h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.gso_size = htole16(1448),
		.hdr_len = htole16(54),
		.csum_start = htole16(34),
		.csum_offset = htole16(16) };
	uint8_t frame[10014];
	struct kit_request *r;
	int fd;

	kit_start(k, "--tap=tap0", NULL);
	fd = open_host("tap0");
	make_frame(frame, sizeof(frame), 0);
	memcpy(frame + 12, ip_and_tcp, sizeof(ip_and_tcp));
	r = send_frame(k, &h, frame, sizeof(frame));
	WAIT_UNTIL(host_has(k, fd, r, frame, sizeof(frame)));
	assert_int_equal(counter(k, "tx_dropped"), 0);
	close(fd);
}

static void test_link(struct kit *k)
{
	kit_start(k, "--tap=tap0", NULL);
	assert_int_equal(config_status(k), VIRTIO_NET_S_LINK_UP);
	set_interface("tap0", 0);
	kit_wait_config(k, 1);
	assert_int_equal(config_status(k), 0);
	set_interface("tap0", 1);
	kit_wait_config(k, 2);
	assert_true(config_status(k) & VIRTIO_NET_S_LINK_UP);
}

/* The kernel spreads frames over the pairs that the driver receives in. */
static void test_pairs(struct kit *k)
{
	const uint16_t two = htole16(2);
	struct kit_request *r[2];
	uint8_t frame[LEN];
	int fd;

	kit_start(k, "--tap=tap0", "--queue-pairs=2", NULL);
	fd = open_host("tap0");
	assert_int_equal(
		command(k, 4, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &two, 2),
		VIRTIO_NET_OK);
	for (unsigned pair = 0; pair < 2; pair++)
		r[pair] = kit_send(k, 2 * pair, NULL, 0, HEADER + LEN);
	/* A flow comes in one pair; which one it is follows from addresses. */
	for (unsigned i = 0; !kit_is_done(k, r[0]) || !kit_is_done(k, r[1]); i++) {
		assert_true(i < 10000);
		make_datagram(frame, i);
		send(fd, frame, LEN, 0);
	}
	close(fd);
}

/* An open file that another program has made. */
static void test_fd(struct kit *k)
{
	GError *error = NULL;
	char option[32];
	uint8_t frame[LEN];
	int tap, fd;

	assert_true(net_tap_open("tap1", true, 1, &tap, &error));
	fcntl(tap, F_SETFD, 0);
	g_snprintf(option, sizeof(option), "--tap-fd=%d", tap);
	kit_start(k, option, NULL);
	fd = open_host("tap1");
	make_frame(frame, LEN, 1);
	assert_int_equal(send(fd, frame, LEN, 0), LEN);
	wait_frame(k, frame, LEN, LEN);
	close(fd);
	if (!kit_core(k))
		close(tap);
}

static const struct kit_test tests[] = {
	{ "frames", test_frames, .skip = KIT_NO_KILL },
	{ "large", test_large, .skip = KIT_NO_KILL },
	{ "offloads", test_offloads, .skip = KIT_NO_KILL },
	{ "segments", test_segments, .skip = KIT_NO_KILL },
	{ "link", test_link, .skip = KIT_NO_KILL },
	{ "pairs", test_pairs, .skip = KIT_NO_KILL },
	{ "fd", test_fd, .skip = KIT_NO_KILL },
};

int main(int argc, char **argv)
{
	autofd tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (tun < 0 || (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)) {
		fprintf(stderr, "SKIPPED: no /dev/net/tun, or no network namespaces, here\n");
		return 77;
	}
	fd_close(&tun);
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
