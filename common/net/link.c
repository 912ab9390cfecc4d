/* SPDX-License-Identifier: Apache-2.0 */
/* See link.h. Route netlink tells all changes of all interfaces. */
#include "net/link.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/util.h"

/* Of linux/if.h, which net/if.h excludes. */
#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP 0x10000
#endif
/* Linux sends messages of one page, or of less than 8 KiB. */
#define MAX_MESSAGE 32768

/* Looks at one message. Returns false if it says nothing of the interface. */
static bool take(struct net_link *l, const struct nlmsghdr *h)
{
	const struct ifinfomsg *i = NLMSG_DATA(h);

	if ((h->nlmsg_type != RTM_NEWLINK && h->nlmsg_type != RTM_DELLINK) ||
		h->nlmsg_len < NLMSG_LENGTH(sizeof(*i)) || (unsigned)i->ifi_index != l->index)
		return false;
	l->up = h->nlmsg_type == RTM_NEWLINK && i->ifi_flags & IFF_UP &&
		i->ifi_flags & IFF_LOWER_UP;
	return true;
}

/* Asks for the state as it is now: the answer comes like a change. */
static int ask(struct net_link *l)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
	} m = {
		.head = { sizeof(m), RTM_GETLINK, NLM_F_REQUEST, 0, 0 },
		.info = { .ifi_index = (int)l->index },
	};

	return send(l->fd, &m, sizeof(m), MSG_DONTWAIT) < 0 ? -errno : 0;
}

bool net_link_read(struct net_link *l)
{
	char buf[MAX_MESSAGE] __attribute__((aligned(NLMSG_ALIGNTO)));
	bool was = l->up;
	ssize_t n;

	while ((n = recv(l->fd, buf, sizeof(buf), MSG_DONTWAIT)) != 0) {
		size_t left = (size_t)MAX(n, 0);

		if (n < 0 && errno == ENOBUFS)
			ask(l);
		else if (n < 0 && errno != EINTR)
			break;
		for (const struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, left);
			h = NLMSG_NEXT(h, left))
			take(l, h);
	}
	return l->up != was;
}

bool net_link_open(struct net_link *l, const char *name, GError **error)
{
	const struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int err;

	*l = (struct net_link){ .fd = -1, .index = if_nametoindex(name) };
	if (!l->index)
		return error_errno(error, errno, "no interface '%s'", name);
	l->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	err = l->fd < 0 || bind(l->fd, (const void *)&address, sizeof(address)) < 0 ? -errno
										    : ask(l);
	if (!err) {
		/* The kernel answers before the call returns. */
		net_link_read(l);
		return true;
	}
	net_link_close(l);
	return error_errno(error, -err, "cannot watch interface '%s'", name);
}

void net_link_close(struct net_link *l)
{
	fd_close(&l->fd);
}
