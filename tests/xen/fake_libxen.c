/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_libxen.h. */
#include "fake_libxen.h"

#define __XEN_TOOLS__ 1
#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <xen/memory.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xenstore.h>

#define PAGE 4096u

struct fake_libxen fake;
static char handle; /* any of them */

void fake_libxen_start(void)
{
	fake = (struct fake_libxen){ .fd = -1 };
}

/* Returns true, with errno, if this call is to fail. */
static bool fails(const char *function)
{
	fake.calls++;
	if (!fake.fail || strcmp(fake.fail, function) != 0)
		return false;
	errno = fake.fail_errno;
	if (fake.fail_times && --fake.fail_times == 0)
		fake.fail = NULL;
	return true;
}

static int result(const char *function, uint32_t domid)
{
	fake.domid = domid;
	return fails(function) ? -1 : 0;
}

static void *opened(const char *function)
{
	if (fails(function))
		return NULL;
	fake.live++;
	return &handle;
}

/* Event channels. */

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned flags)
{
	fake.fd = eventfd(0, EFD_CLOEXEC);
	if (fails(__func__)) {
		close(fake.fd);
		return NULL;
	}
	fake.live++;
	return (void *)&handle;
}

xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd, unsigned flags)
{
	void *h = opened(__func__);

	if (h)
		fake.fd = fd;
	return h;
}

int xenevtchn_close(xenevtchn_handle *h)
{
	fake.live--;
	return close(fake.fd);
}

int xenevtchn_fd(xenevtchn_handle *h)
{
	return fake.fd;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(
	xenevtchn_handle *h, uint32_t domid, evtchn_port_t port)
{
	return result(__func__, domid) < 0 ? -1 : (int)port + 100;
}

int xenevtchn_restrict(xenevtchn_handle *h, domid_t domid)
{
	return result(__func__, domid);
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *h)
{
	if (fake.n_pending)
		return fake.pending[--fake.n_pending];
	errno = EAGAIN;
	return -1;
}

int xenevtchn_unmask(xenevtchn_handle *h, evtchn_port_t port)
{
	fake.port = port;
	return 0;
}

int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port)
{
	fake.port = port + 1000;
	return 0;
}

/* Device model. */

xendevicemodel_handle *xendevicemodel_open(struct xentoollog_logger *logger, unsigned flags)
{
	return opened(__func__);
}

int xendevicemodel_close(xendevicemodel_handle *h)
{
	fake.live--;
	return 0;
}

int xendevicemodel_nr_vcpus(xendevicemodel_handle *h, domid_t domid, unsigned *n)
{
	*n = 2;
	return result(__func__, domid);
}

int xendevicemodel_create_ioreq_server(
	xendevicemodel_handle *h, domid_t domid, int buffered, ioservid_t *id)
{
	fake.state = buffered;
	*id = 5;
	return result(__func__, domid);
}

int xendevicemodel_set_ioreq_server_state(
	xendevicemodel_handle *h, domid_t domid, ioservid_t id, int enabled)
{
	fake.server = id;
	fake.state = enabled;
	return result(__func__, domid);
}

int xendevicemodel_destroy_ioreq_server(xendevicemodel_handle *h, domid_t domid, ioservid_t id)
{
	fake.server = id;
	return result(__func__, domid);
}

static int range(const char *function, domid_t domid, ioservid_t id, int is_mmio, uint64_t start,
	uint64_t end)
{
	fake.server = id;
	fake.start = is_mmio ? start : 0;
	fake.end = end;
	return result(function, domid);
}

int xendevicemodel_map_io_range_to_ioreq_server(xendevicemodel_handle *h, domid_t domid,
	ioservid_t id, int is_mmio, uint64_t start, uint64_t end)
{
	return range(__func__, domid, id, is_mmio, start, end);
}

int xendevicemodel_unmap_io_range_from_ioreq_server(xendevicemodel_handle *h, domid_t domid,
	ioservid_t id, int is_mmio, uint64_t start, uint64_t end)
{
	return range(__func__, domid, id, is_mmio, start, end);
}

/* Foreign memory. */

xenforeignmemory_handle *xenforeignmemory_open(struct xentoollog_logger *logger, unsigned flags)
{
	return opened(__func__);
}

int xenforeignmemory_close(xenforeignmemory_handle *h)
{
	fake.live--;
	return 0;
}

int xenforeignmemory_restrict(xenforeignmemory_handle *h, domid_t domid)
{
	return result(__func__, domid);
}

xenforeignmemory_resource_handle *xenforeignmemory_map_resource(xenforeignmemory_handle *h,
	domid_t domid, unsigned type, unsigned id, unsigned long frame, unsigned long n,
	void **addr, int prot, int flags)
{
	fake.domid = domid;
	fake.server = id;
	fake.wanted = *addr;
	/* What the real one says to other flags than MAP_SHARED and MAP_PRIVATE. */
	if (flags & ~3 || type != XENMEM_resource_ioreq_server || n != 1 ||
		frame != XENMEM_resource_ioreq_server_frame_ioreq(0)) {
		errno = EINVAL;
		return NULL;
	}
	if (fake.elsewhere)
		*addr = &handle;
	return opened(__func__);
}

int xenforeignmemory_unmap_resource(
	xenforeignmemory_handle *h, xenforeignmemory_resource_handle *resource)
{
	fake.live--;
	return 0;
}

static bool is_ram(uint64_t addr)
{
	static const uint64_t base[] = { 0x40000000, 0x200000000 };

	if (addr - fake.hole < fake.hole_size)
		return false;
	return addr - base[0] < fake.ram[0] || addr - base[1] < fake.ram[1];
}

void *xenforeignmemory_map(xenforeignmemory_handle *h, uint32_t domid, int prot, size_t n,
	const xen_pfn_t gfn[], int err[])
{
	if (fails(__func__))
		return NULL;
	for (size_t i = 0; i < n; i++)
		err[i] = is_ram(gfn[i] * (uint64_t)PAGE) ? 0 : -EINVAL;
	fake.live++;
	return &handle;
}

int xenforeignmemory_unmap(xenforeignmemory_handle *h, void *addr, size_t n)
{
	fake.live--;
	return 0;
}

/* xenstore. */

struct xs_handle *xs_open(unsigned long flags)
{
	fake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fails(__func__)) {
		close(fake.fd);
		return NULL;
	}
	fake.live++;
	return (void *)&handle;
}

void xs_close(struct xs_handle *h)
{
	fake.live--;
	close(fake.fd);
}

int xs_fileno(struct xs_handle *h)
{
	return fake.fd;
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
	if (fails(__func__))
		return false;
	eventfd_write(fake.fd, 1);
	return true;
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
	g_assert_cmpstr(path, ==, token);
	fake.unwatched = path;
	return !fails(__func__);
}

char **xs_check_watch(struct xs_handle *h)
{
	const char *path;
	eventfd_t count;
	char **event;

	if (fails(__func__))
		return NULL;
	eventfd_read(fake.fd, &count); /* one look at it, whatever there is */
	path = fake.event < G_N_ELEMENTS(fake.events) ? fake.events[fake.event] : NULL;
	if (!path) {
		errno = EAGAIN;
		return NULL;
	}
	fake.event++;
	/* All in one piece. */
	event = malloc(2 * sizeof(char *) + strlen(path) + 1);
	event[XS_WATCH_PATH] = event[XS_WATCH_TOKEN] = strcpy((char *)(event + 2), path);
	return event;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned *len)
{
	char *value;

	if (fails(__func__))
		return NULL;
	if (!fake.path || strcmp(path, fake.path) != 0) {
		errno = ENOENT;
		return NULL;
	}
	if (t && fake.removed_meanwhile) {
		fake.path = NULL;
		fake.removed_meanwhile = false;
		fake.conflicts = 1;
	}
	value = malloc(fake.value_len + 1);
	memcpy(value, fake.value, fake.value_len);
	value[fake.value_len] = '\0';
	*len = fake.value_len;
	return value;
}

bool xs_write(
	struct xs_handle *h, xs_transaction_t t, const char *path, const void *data, unsigned len)
{
	/* Without a transaction it would make a node of that name. */
	if (fails(__func__) || !t)
		return false;
	memcpy(fake.value, data, len);
	fake.value_len = len;
	return true;
}

char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned *n)
{
	char **names;

	if (fails(__func__))
		return NULL;
	names = calloc(fake.n_names + 1, sizeof(*names));
	for (unsigned i = 0; i < MIN(fake.n_names, G_N_ELEMENTS(fake.names)); i++)
		names[i] = (char *)fake.names[i];
	*n = fake.n_names;
	return names;
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
	if (fails(__func__))
		return 0;
	fake.live++;
	return ++fake.transactions;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abandon)
{
	fake.live--;
	if (abandon) {
		fake.aborted++;
		errno = EBADF; /* must not be used */
		return true;
	}
	if (fake.conflicts) {
		fake.conflicts--;
		errno = EAGAIN;
		return false;
	}
	return !fails(__func__);
}

bool xs_is_domain_introduced(struct xs_handle *h, unsigned domid)
{
	return domid == FAKE_DOMID;
}
