/* SPDX-License-Identifier: Apache-2.0 */
/* See can_host.h. */
#include "daemon/devices/can/can_host.h"

#include <errno.h>
#include <linux/can.h>
#include <linux/can/error.h>
#include <linux/can/raw.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/util.h"

static bool set(int fd, int option, unsigned value)
{
	return setsockopt(fd, SOL_CAN_RAW, option, &value, sizeof(value)) == 0;
}

static bool set_up(int fd, const char *interface, int *mtu)
{
	struct sockaddr_can addr = { .can_family = AF_CAN };
	struct ifreq r = { 0 };

	if (strlen(interface) >= sizeof(r.ifr_name)) {
		errno = ENODEV;
		return false;
	}
	strcpy(r.ifr_name, interface);
	if (ioctl(fd, SIOCGIFINDEX, &r) < 0)
		return false;
	addr.can_ifindex = r.ifr_ifindex;
	if (ioctl(fd, SIOCGIFMTU, &r) < 0)
		return false;
	*mtu = r.ifr_mtu;
	return set(fd, CAN_RAW_FD_FRAMES, *mtu >= (int)CANFD_MTU) &&
		set(fd, CAN_RAW_RECV_OWN_MSGS, 1) &&
		set(fd, CAN_RAW_ERR_FILTER, CAN_ERR_BUSOFF | CAN_ERR_RESTARTED) &&
		bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
}

int can_host_open(const char *interface, int *mtu)
{
	autofd fd = socket(PF_CAN, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, CAN_RAW);

	if (fd < 0 || !set_up(fd, interface, mtu))
		return -1;
	return fd_steal(&fd);
}

ssize_t can_host_recv(int fd, void *buf, size_t len, bool *own)
{
	struct iovec iov = { buf, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n = recvmsg(fd, &m, 0);

	*own = n >= 0 && m.msg_flags & MSG_CONFIRM;
	return n;
}

ssize_t can_host_send(int fd, const void *buf, size_t len)
{
	return send(fd, buf, len, 0);
}
