/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames at both ends of a CAN bus; a guest's must be up.
 *
 *	tool peer BUS		answers each frame of the bus at that socket, in the background
 *	tool talk INTERFACE N	sends N frames, and checks the answers and their order
 *	tool off INTERFACE	prints a line, and waits until the controller is bus-off
 *	tool restart INTERFACE	starts it again, as "ip link set INTERFACE type can restart"
 */
#include <err.h>
#include <errno.h>
#include <linux/can/error.h>
#include <linux/can/netlink.h>
#include <linux/can/raw.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WINDOW 20 /* frames without an answer; what does not fit its vring, Linux' driver drops */
#define PATIENCE_MS 120000
#define ANSWER 0x400 /* in the identifier */

/* Makes frame i: odd ones are of CAN FD, of the others some are remote. */
static struct canfd_frame frame(unsigned i)
{
	static const uint8_t sizes[] = { 4, 8, 12, 16, 20, 24, 32, 48, 64 };
	struct canfd_frame f = { .can_id = i % ANSWER, .len = (uint8_t)(4 + i % 5) };

	if (i % 64 == 2) {
		f.can_id = CAN_EFF_FLAG | CAN_RTR_FLAG | i << 11;
		return f;
	}
	if (i % 2) {
		f.can_id = CAN_EFF_FLAG | i << 11;
		f.flags = CANFD_FDF;
		f.len = sizes[i / 2 % sizeof(sizes)];
	}
	memset(f.data, (int)i, f.len);
	memcpy(f.data, &i, sizeof(i));
	return f;
}

/* Makes the answer of a frame, and the reverse. */
static void turn(struct canfd_frame *f)
{
	f->can_id ^= ANSWER;
	for (unsigned i = 0; i < f->len && !(f->can_id & CAN_RTR_FLAG); i++)
		f->data[i] ^= 0xff;
}

static void peer(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	struct canfd_frame f;

	strncpy(a.sun_path, path, sizeof(a.sun_path) - 1);
	if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		err(1, "%s", path);
	if (daemon(1, 0) < 0)
		err(1, "daemon");
	while (recv(s, &f, sizeof(f), MSG_WAITALL) == sizeof(f)) {
		turn(&f);
		if (send(s, &f, sizeof(f), MSG_NOSIGNAL) != sizeof(f))
			break;
	}
}

static int open_interface(const char *name)
{
	struct sockaddr_can a = { .can_family = AF_CAN, .can_ifindex = (int)if_nametoindex(name) };
	int s = socket(PF_CAN, SOCK_RAW, CAN_RAW);
	can_err_mask_t errors = CAN_ERR_MASK;
	int on = 1;

	if (s < 0 || setsockopt(s, SOL_CAN_RAW, CAN_RAW_FD_FRAMES, &on, sizeof(on)) < 0 ||
		setsockopt(s, SOL_CAN_RAW, CAN_RAW_ERR_FILTER, &errors, sizeof(errors)) < 0 ||
		bind(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		err(1, "%s", name);
	return s;
}

static void put(int s, unsigned i)
{
	struct canfd_frame f = frame(i);
	size_t size = f.flags & CANFD_FDF ? CANFD_MTU : CAN_MTU;

	if (write(s, &f, size) != (ssize_t)size)
		err(1, "frame %u is not sent", i);
}

static struct canfd_frame get(int s)
{
	struct pollfd p = { .fd = s, .events = POLLIN };
	struct canfd_frame f = { 0 };
	ssize_t size;

	if (poll(&p, 1, PATIENCE_MS) != 1)
		errx(1, "no frame");
	size = read(s, &f, sizeof(f));
	if (size < 0)
		err(1, "read");
	f.flags = size == CANFD_MTU ? CANFD_FDF : 0;
	return f;
}

static void talk(const char *name, unsigned count)
{
	int s = open_interface(name);
	unsigned sent = 0;

	for (unsigned i = 0; i < count; i++) {
		struct canfd_frame expected = frame(i), f;

		for (; sent < count && sent - i < WINDOW; sent++)
			put(s, sent);
		turn(&expected);
		f = get(s);
		if (f.can_id != expected.can_id || f.len != expected.len ||
			f.flags != expected.flags || memcmp(f.data, expected.data, f.len) != 0)
			errx(1, "instead of answer %u comes a frame %#x of %u bytes", i, f.can_id,
				f.len);
	}
}

static void wait_off(const char *name)
{
	int s = open_interface(name);
	struct canfd_frame f;

	puts("waiting");
	fflush(stdout);
	do
		f = get(s);
	while (!(f.can_id & CAN_ERR_FLAG) || !(f.can_id & CAN_ERR_BUSOFF));
}

static void restart(const char *name)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg interface;
		struct rtattr info, kind;
		char can[4];
		struct rtattr data, restart;
		uint32_t one;
	} m = {
		.head = { sizeof(m), RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 0, 0 },
		.interface = { .ifi_index = (int)if_nametoindex(name) },
		.info = { sizeof(m) - sizeof(m.head) - sizeof(m.interface), IFLA_LINKINFO },
		.kind = { sizeof(m.kind) + sizeof(m.can), IFLA_INFO_KIND },
		.can = "can",
		.data = { 2 * sizeof(m.data) + sizeof(m.one), IFLA_INFO_DATA },
		.restart = { sizeof(m.restart) + sizeof(m.one), IFLA_CAN_RESTART },
		.one = 1,
	};
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char request[sizeof(m)];
	} answer = { 0 };
	int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	if (s < 0 || send(s, &m, sizeof(m), 0) < 0 || recv(s, &answer, sizeof(answer), 0) < 0)
		err(1, "netlink");
	errno = -answer.error.error;
	if (errno)
		err(1, "%s does not restart", name);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	if (strcmp(what, "peer") == 0)
		peer(argv[2]);
	else if (strcmp(what, "talk") == 0 && argc == 4)
		talk(argv[2], (unsigned)strtoul(argv[3], NULL, 10));
	else if (strcmp(what, "off") == 0)
		wait_off(argv[2]);
	else if (strcmp(what, "restart") == 0)
		restart(argv[2]);
	else
		errx(2, "usage: tool peer|talk|off|restart NAME [N]");
	return 0;
}
