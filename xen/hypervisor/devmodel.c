/* SPDX-License-Identifier: Apache-2.0 */
/* Device model operations, by libxendevicemodel. */
#include "xen/hypervisor/devmodel.h"

#define __XEN_TOOLS__ 1
#include <errno.h>
#include <inttypes.h>
#include <xendevicemodel.h>

#include "base/error.h"

#define IS_MMIO 1
#define ENABLED 1

struct devmodel {
	xendevicemodel_handle *handle;
	domid_t domid;
};

/* Returns whether the call succeeded; sets an error from errno if not. */
static bool check(const struct devmodel *m, int ret, const char *what, GError **error)
{
	if (ret < 0)
		error_errno(error, errno, "domain %u: cannot %s", m->domid, what);
	return ret >= 0;
}

struct devmodel *devmodel_open(unsigned domid, GError **error)
{
	xendevicemodel_handle *handle = xendevicemodel_open(NULL, 0);
	struct devmodel *m;

	if (!handle) {
		error_errno(error, errno, "domain %u: no access to device model operations", domid);
		return NULL;
	}
	m = g_new(struct devmodel, 1);
	*m = (struct devmodel){ .handle = handle, .domid = domid };
	return m;
}

void devmodel_free(struct devmodel *m)
{
	if (!m)
		return;
	xendevicemodel_close(m->handle);
	g_free(m);
}

bool devmodel_vcpus(struct devmodel *m, unsigned *n, GError **error)
{
	return check(m, xendevicemodel_nr_vcpus(m->handle, m->domid, n), "count its vCPUs", error);
}

bool devmodel_create_server(struct devmodel *m, uint16_t *server, GError **error)
{
	return check(m,
		xendevicemodel_create_ioreq_server(
			m->handle, m->domid, HVM_IOREQSRV_BUFIOREQ_OFF, server),
		"create an ioreq server", error);
}

bool devmodel_enable_server(struct devmodel *m, uint16_t server, GError **error)
{
	return check(m, xendevicemodel_set_ioreq_server_state(m->handle, m->domid, server, ENABLED),
		"enable its ioreq server", error);
}

void devmodel_destroy_server(struct devmodel *m, uint16_t server)
{
	xendevicemodel_destroy_ioreq_server(m->handle, m->domid, server);
}

bool devmodel_map_range(
	struct devmodel *m, uint16_t server, uint64_t base, uint64_t size, GError **error)
{
	g_autofree char *what = g_strdup_printf("serve its addresses from 0x%" PRIx64, base);

	/* Xen's end is the last address. */
	return check(m,
		xendevicemodel_map_io_range_to_ioreq_server(
			m->handle, m->domid, server, IS_MMIO, base, base + size - 1),
		what, error);
}

void devmodel_unmap_range(struct devmodel *m, uint16_t server, uint64_t base, uint64_t size)
{
	xendevicemodel_unmap_io_range_from_ioreq_server(
		m->handle, m->domid, server, IS_MMIO, base, base + size - 1);
}
