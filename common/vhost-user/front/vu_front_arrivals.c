/* SPDX-License-Identifier: Apache-2.0 */
/* The epoll set in which a front-end waits for its back-end. */
#include <sys/epoll.h>

#include "base/util.h"
#include "vhost-user/front/vu_front_impl.h"

bool vu_front_open_arrivals(struct vu_front *f)
{
	struct epoll_event in = { .events = EPOLLIN };

	if (f->arrivals >= 0)
		return true;
	f->arrivals = epoll_create1(EPOLL_CLOEXEC);
	if (f->arrivals < 0 || !f->options.cancel)
		return f->arrivals >= 0;
	in.data.fd = *f->options.cancel;
	if (epoll_ctl(f->arrivals, EPOLL_CTL_ADD, *f->options.cancel, &in) == 0)
		return true;
	fd_close(&f->arrivals);
	return false;
}

bool vu_front_watch(struct vu_front *f, int fd)
{
	struct epoll_event in = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd };

	return epoll_ctl(f->arrivals, EPOLL_CTL_ADD, fd, &in) == 0 ||
		(errno == EEXIST && epoll_ctl(f->arrivals, EPOLL_CTL_MOD, fd, &in) == 0);
}

void vu_front_unwatch(struct vu_front *f, int fd)
{
	if (fd >= 0)
		epoll_ctl(f->arrivals, EPOLL_CTL_DEL, fd, NULL);
}
