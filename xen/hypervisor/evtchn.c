/* SPDX-License-Identifier: Apache-2.0 */
/* Event channels, by libxenevtchn. */
#include "xen/hypervisor/evtchn.h"

#include <errno.h>
#include <fcntl.h>
#include <xenevtchn.h>

#include "base/error.h"
#include "base/util.h"

struct evtchn {
	xenevtchn_handle *handle;
};

static bool fail(GError **error, const char *what)
{
	error_errno(error, errno, "event channels: %s", what);
	return false;
}

/* Makes the file non-blocking: otherwise evtchn_pending() would wait. */
static struct evtchn *wrap(xenevtchn_handle *handle, GError **error)
{
	int fd = xenevtchn_fd(handle);
	int flags = fcntl(fd, F_GETFL);
	struct evtchn *e;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		fail(error, "cannot be made non-blocking");
		xenevtchn_close(handle);
		return NULL;
	}
	e = g_new(struct evtchn, 1);
	e->handle = handle;
	return e;
}

struct evtchn *evtchn_open(GError **error)
{
	xenevtchn_handle *handle = xenevtchn_open(NULL, 0);

	if (!handle) {
		fail(error, "cannot open the device");
		return NULL;
	}
	return wrap(handle, error);
}

struct evtchn *evtchn_from_fd(int fd, GError **error)
{
	xenevtchn_handle *handle = xenevtchn_fdopen(NULL, fd, 0);

	if (!handle) {
		fail(error, "cannot use the file received");
		close(fd);
		return NULL;
	}
	return wrap(handle, error);
}

void evtchn_free(struct evtchn *e)
{
	if (!e)
		return;
	xenevtchn_close(e->handle);
	g_free(e);
}

int evtchn_fd(const struct evtchn *e)
{
	return xenevtchn_fd(e->handle);
}

bool evtchn_bind(
	struct evtchn *e, unsigned domid, uint32_t remote_port, uint32_t *port, GError **error)
{
	int ret = xenevtchn_bind_interdomain(e->handle, domid, remote_port);

	if (ret < 0) {
		error_errno(error, errno, "cannot bind to event channel %u of domain %u",
			remote_port, domid);
		return false;
	}
	*port = ret;
	return true;
}

bool evtchn_restrict(struct evtchn *e, unsigned domid, GError **error)
{
	return xenevtchn_restrict(e->handle, domid) == 0 ||
		fail(error, "cannot be restricted to the domain");
}

bool evtchn_pending(struct evtchn *e, uint32_t *port)
{
	int ret = xenevtchn_pending(e->handle);

	if (ret < 0)
		return false;
	*port = ret;
	return true;
}

void evtchn_unmask(struct evtchn *e, uint32_t port)
{
	xenevtchn_unmask(e->handle, port);
}

void evtchn_notify(struct evtchn *e, uint32_t port)
{
	xenevtchn_notify(e->handle, port);
}
