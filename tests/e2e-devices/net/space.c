/* SPDX-License-Identifier: Apache-2.0 */
/* A network namespace, so that this machine's network is left alone. */
#include "tool.h"

#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TAP "tap0"
#define TAP_ADDRESS "10.1.0.1"
#define TAP_MTU 9000
#define QUEUES 2

static void set_up(const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_UP | IFF_RUNNING };
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	strncpy(r.ifr_name, name, sizeof(r.ifr_name) - 1);
	if (s < 0 || ioctl(s, SIOCSIFFLAGS, &r) < 0)
		err(1, "%s cannot be set up", name);
	close(s);
}

/* Enters the namespace; serves what is there. */
static void enter(void)
{
	int range;

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		err(1, "no network namespace");
	set_up("lo");
	/* Who pings for others needs leave. */
	range = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);
	if (range < 0 || write(range, "0 2147483647", 12) < 0)
		warn("pings");
	close(range);
}

/* Makes the tap; returns the files of its queues. */
static void make_tap(int *fds)
{
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE };
	struct sockaddr_in *address = (struct sockaddr_in *)&r.ifr_addr;
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	strcpy(r.ifr_name, TAP);
	for (int i = 0; i < QUEUES; i++) {
		fds[i] = open("/dev/net/tun", O_RDWR);
		if (fds[i] < 0 || ioctl(fds[i], TUNSETIFF, &r) < 0)
			err(1, "no tap");
	}
	r.ifr_mtu = TAP_MTU;
	if (ioctl(s, SIOCSIFMTU, &r) < 0)
		err(1, "MTU");
	memset(&r.ifr_addr, 0, sizeof(r.ifr_addr));
	address->sin_family = AF_INET;
	inet_pton(AF_INET, TAP_ADDRESS, &address->sin_addr);
	if (ioctl(s, SIOCSIFADDR, &r) < 0)
		err(1, TAP_ADDRESS);
	inet_pton(AF_INET, "255.255.255.0", &address->sin_addr);
	if (ioctl(s, SIOCSIFNETMASK, &r) < 0)
		err(1, "netmask");
	close(s);
	set_up(TAP);
}

noreturn void run_alone(char **argv)
{
	enter();
	alarm(LIFETIME_S);
	serve(PORT_SERVE, true);
	execvp(argv[0], argv);
	err(1, "%s", argv[0]);
}

noreturn void run_at_tap(char **argv)
{
	char option[64], **more;
	int fds[QUEUES], n = 0;

	enter();
	make_tap(fds);
	serve(PORT_SERVE, true);
	while (argv[n])
		n++;
	more = calloc((size_t)n + 2, sizeof(*more));
	if (!more)
		err(1, "arguments");
	memcpy(more, argv, (size_t)n * sizeof(*more));
	snprintf(option, sizeof(option), "--tap-fd=%d,%d", fds[0], fds[1]);
	more[n] = option;
	execvp(more[0], more);
	err(1, "%s", more[0]);
}
