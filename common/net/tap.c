/* SPDX-License-Identifier: Apache-2.0 */
/* See tap.h. */
#include "net/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/util.h"

#define PATH "/dev/net/tun"

static int attach(int fd, const char *name, short flags)
{
	struct ifreq r = { .ifr_flags = flags };

	g_strlcpy(r.ifr_name, name, sizeof(r.ifr_name));
	return ioctl(fd, TUNSETIFF, &r) < 0 ? -errno : 0;
}

/*
 * Opens one queue. An interface that is there was made for one queue or for many, and takes no file
 * of the other kind.
 */
static int open_queue(const char *name, short flags, bool may_be_either, GError **error)
{
	autofd fd = open(PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int err;

	if (fd < 0) {
		error_errno(error, errno, "cannot open '" PATH "'");
		return -1;
	}
	err = attach(fd, name, flags);
	if (err == -EINVAL && may_be_either)
		err = attach(fd, name, flags | IFF_MULTI_QUEUE);
	if (!err)
		return fd_steal(&fd);
	if (err == -EPERM)
		error_set(error, G_FILE_ERROR, G_FILE_ERROR_PERM,
			"cannot open tap '%s': it is another user's, or to be made, which takes "
			"CAP_NET_ADMIN (make it by: ip tuntap add %s mode tap user USER)",
			name, name);
	else if (err == -EINVAL)
		error_set(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"cannot open tap '%s': it is no tap, or was made without multi_queue",
			name);
	else
		error_errno(error, -err, "cannot open tap '%s'", name);
	return -1;
}

static bool set_header(int fd, const char *name, GError **error)
{
	int size = NET_TAP_HEADER, on = 1;

	return (ioctl(fd, TUNSETVNETHDRSZ, &size) == 0 && ioctl(fd, TUNSETVNETLE, &on) == 0) ||
		error_errno(error, errno, "cannot set the size of the headers of tap '%s'", name);
}

/* Sets an interface up that nobody else knows. */
static bool set_up(const char *name, GError **error)
{
	autofd s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = { 0 };

	g_strlcpy(r.ifr_name, name, sizeof(r.ifr_name));
	if (s < 0 || ioctl(s, SIOCGIFFLAGS, &r) < 0)
		return error_errno(error, errno, "cannot set tap '%s' up", name);
	r.ifr_flags |= IFF_UP;
	return ioctl(s, SIOCSIFFLAGS, &r) == 0 ||
		error_errno(error, errno, "cannot set tap '%s' up", name);
}

static bool is_name(const char *name, GError **error)
{
	size_t len = strlen(name);

	if (len && len < IF_NAMESIZE && !strpbrk(name, "%/: "))
		return true;
	return error_set(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
		"'%s' cannot be the name of an interface (at most %d bytes)", name,
		IF_NAMESIZE - 1);
}

bool net_tap_open(const char *name, bool header, unsigned n, int *fds, GError **error)
{
	short flags =
		IFF_TAP | IFF_NO_PI | (header ? IFF_VNET_HDR : 0) | (n > 1 ? IFF_MULTI_QUEUE : 0);
	bool is_new = !if_nametoindex(name), ok = is_name(name, error);

	for (unsigned i = 0; i < n; i++) {
		fds[i] = ok ? open_queue(name, flags, n == 1, error) : -1;
		ok = fds[i] >= 0 && (!header || set_header(fds[i], name, error));
	}
	if (ok && (!is_new || set_up(name, error)))
		return true;
	fds_close(fds, n);
	return false;
}

bool net_tap_take(int fd, struct net_tap *tap, GError **error)
{
	struct ifreq r = { 0 };
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || ioctl(fd, TUNGETIFF, &r) < 0)
		return error_errno(error, errno, "file descriptor %d is no tap", fd);
	if (!(r.ifr_flags & IFF_TAP) || !(r.ifr_flags & IFF_NO_PI))
		return error_set(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"file descriptor %d is no tap of plain frames (IFF_TAP, IFF_NO_PI)", fd);
	g_strlcpy(tap->name, r.ifr_name, sizeof(tap->name));
	tap->header = r.ifr_flags & IFF_VNET_HDR;
	tap->multi_queue = r.ifr_flags & IFF_MULTI_QUEUE;
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return error_errno(error, errno, "file descriptor %d", fd);
	return !tap->header || set_header(fd, tap->name, error);
}

int net_tap_set_offloads(int fd, unsigned offloads)
{
	return ioctl(fd, TUNSETOFFLOAD, (unsigned long)offloads) < 0 ? -errno : 0;
}

unsigned net_tap_probe_offloads(int fd, unsigned wanted)
{
	static const unsigned steps[] = { NET_TAP_USO4 | NET_TAP_USO6, NET_TAP_ECN,
		NET_TAP_TSO4 | NET_TAP_TSO6, NET_TAP_CSUM };
	unsigned known = wanted;

	for (unsigned i = 0; i < G_N_ELEMENTS(steps) && net_tap_set_offloads(fd, known) < 0; i++)
		known &= ~steps[i];
	net_tap_set_offloads(fd, 0);
	return known;
}

int net_tap_set_queue(int fd, bool used)
{
	struct ifreq r = { .ifr_flags = used ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

	return ioctl(fd, TUNSETQUEUE, &r) < 0 ? -errno : 0;
}

int net_tap_set_carrier(int fd, bool carrier)
{
	int on = carrier;

	return ioctl(fd, TUNSETCARRIER, &on) < 0 ? -errno : 0;
}
