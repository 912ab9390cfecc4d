/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_host.h. */
#include "fake_host.h"

#include <sys/mman.h>

#include "base/util.h"
#include "xen/hypervisor/evtchn.h"
#include "xen/hypervisor/foreign_memory.h"
#include "xen/hypervisor/privcmd.h"

struct fake_host *fake_host;

bool fake_host_map(int fd)
{
	if (ftruncate(fd, sizeof(*fake_host)) < 0)
		return false;
	fake_host = mmap(NULL, sizeof(*fake_host), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return fake_host != MAP_FAILED;
}

static void count(uint32_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST);
}

struct evtchn {
	int fd;
};

struct evtchn *evtchn_from_fd(int fd, GError **error)
{
	struct evtchn *e = g_new(struct evtchn, 1);

	e->fd = fd;
	return e;
}

void evtchn_free(struct evtchn *e)
{
	if (e)
		fd_close(&e->fd);
	g_free(e);
}

int evtchn_fd(const struct evtchn *e)
{
	return e->fd;
}

bool evtchn_pending(struct evtchn *e, uint32_t *port)
{
	return read(e->fd, port, sizeof(*port)) == sizeof(*port);
}

void evtchn_unmask(struct evtchn *e, uint32_t port)
{
	count(&fake_host->unmasked);
}

void evtchn_notify(struct evtchn *e, uint32_t port)
{
	if (write(e->fd, &port, sizeof(port)) < 0)
		g_error("fake event channels are full");
}

bool privcmd_pulse_irq(int privcmd, unsigned domid, uint32_t irq)
{
	count(&fake_host->irqs[irq % FAKE_IRQS]);
	return true;
}

struct foreign_memory {
	unsigned domid;
};

struct foreign_memory *foreign_memory_open(unsigned domid, GError **error)
{
	return g_new0(struct foreign_memory, 1);
}

void foreign_memory_free(struct foreign_memory *f)
{
	g_free(f);
}

bool foreign_memory_restrict(struct foreign_memory *f, GError **error)
{
	count(&fake_host->restricted);
	return true;
}

void *foreign_memory_map_ioreq(struct foreign_memory *f, uint16_t server, GError **error)
{
	return fake_host->page[server];
}
