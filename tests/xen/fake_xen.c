/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_xen.h. */
#include "fake_xen.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <xen/xen.h>
/* Wants the types of the one before. */
#include <xen/hvm/ioreq.h>

#include "base/error.h"
#include "base/sock.h"
#include "base/util.h"
#include "xen/hypervisor/devmodel.h"
#include "xen/hypervisor/evtchn.h"
#include "xen/hypervisor/foreign_memory.h"
#include "xen/hypervisor/privcmd.h"
#include "xen/supervisor/backend_process.h"

struct fake_xen fake_xen;

/* By server. */
static struct ioreq page[FAKE_KICKS + 1][FAKE_VCPUS];

void fake_xen_reset(void)
{
	for (unsigned i = 0; i < fake_xen.n_peers; i++)
		fd_close(&fake_xen.peer[i]);
	fake_xen = (struct fake_xen){ 0 };
}

bool fake_xen_is_empty(void)
{
	return !fake_xen.handles && !fake_xen.servers && !fake_xen.ranges && !fake_xen.ports &&
		!fake_xen.kick_servers && !fake_xen.kick_ranges && !fake_xen.irqfds &&
		!fake_xen.ioeventfds && !fake_xen.backends && !fake_xen.misused;
}

static bool works(GError **error)
{
	if (fake_xen.fail_in == 0 || --fake_xen.fail_in > 0)
		return true;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "fake Xen: as wanted");
	return false;
}

static void *handle(GError **error)
{
	if (!works(error))
		return NULL;
	fake_xen.handles++;
	return g_new0(char, 1);
}

static void close_handle(void *h)
{
	if (!h)
		return;
	fake_xen.handles--;
	g_free(h);
}

struct devmodel {
	unsigned servers;
};

struct devmodel *devmodel_open(unsigned domid, GError **error)
{
	if (!works(error))
		return NULL;
	fake_xen.handles++;
	return g_new0(struct devmodel, 1);
}

void devmodel_free(struct devmodel *m)
{
	close_handle(m);
}

bool devmodel_vcpus(struct devmodel *m, unsigned *n, GError **error)
{
	*n = FAKE_VCPUS;
	return works(error);
}

/* Creates a server. The first is that of the registers, the second that of the kicks. */
bool devmodel_create_server(struct devmodel *m, uint16_t *server, GError **error)
{
	if (!works(error))
		return false;
	*(m->servers ? &fake_xen.kick_servers : &fake_xen.servers) += 1;
	*server = fake_xen.backwards ? FAKE_KICKS - m->servers : m->servers;
	m->servers++;
	return true;
}

bool devmodel_enable_server(struct devmodel *m, uint16_t server, GError **error)
{
	for (unsigned i = 0; i < FAKE_VCPUS; i++)
		page[server][i].vp_eport = server * FAKE_VCPUS + i + 1;
	return works(error);
}

static bool is_kicks(uint16_t server)
{
	return server == (fake_xen.backwards ? 0 : FAKE_KICKS);
}

void devmodel_destroy_server(struct devmodel *m, uint16_t server)
{
	*(is_kicks(server) ? &fake_xen.kick_servers : &fake_xen.servers) -= 1;
	fake_xen.misused |= fake_xen.ranges && !fake_xen.servers;
	fake_xen.misused |= fake_xen.kick_ranges && !fake_xen.kick_servers;
}

bool devmodel_map_range(
	struct devmodel *m, uint16_t server, uint64_t base, uint64_t size, GError **error)
{
	if (!works(error))
		return false;
	if (is_kicks(server)) {
		/* The kernel must know of a kick before it comes to its server. */
		fake_xen.misused |= !fake_xen.ioeventfds;
		fake_xen.kick_ranges++;
		return true;
	}
	fake_xen.base[fake_xen.ranges++] = base;
	return true;
}

void devmodel_unmap_range(struct devmodel *m, uint16_t server, uint64_t base, uint64_t size)
{
	if (is_kicks(server)) {
		fake_xen.misused |= fake_xen.kick_ranges == 0;
		fake_xen.kick_ranges--;
		return;
	}
	for (unsigned i = 0; i < fake_xen.ranges; i++) {
		if (fake_xen.base[i] == base) {
			fake_xen.base[i] = fake_xen.base[--fake_xen.ranges];
			return;
		}
	}
	fake_xen.misused = true;
}

struct evtchn {
	int fd;
	unsigned ports;
	bool restricted;
};

struct evtchn *evtchn_open(GError **error)
{
	struct evtchn *e;

	if (!works(error))
		return NULL;
	e = g_new0(struct evtchn, 1);
	e->fd = eventfd(0, EFD_CLOEXEC);
	if (e->fd < 0) {
		error_errno(error, errno, "fake Xen");
		g_free(e);
		return NULL;
	}
	fake_xen.handles++;
	return e;
}

void evtchn_free(struct evtchn *e)
{
	if (!e)
		return;
	/* The kernel would hold on to the ports. */
	fake_xen.misused |= fake_xen.ioeventfds && fake_xen.handles == 1;
	fake_xen.ports -= e->ports;
	fake_xen.handles--;
	fd_close(&e->fd);
	g_free(e);
}

int evtchn_fd(const struct evtchn *e)
{
	return e->fd;
}

bool evtchn_bind(
	struct evtchn *e, unsigned domid, uint32_t remote_port, uint32_t *port, GError **error)
{
	if (!works(error))
		return false;
	fake_xen.misused |= remote_port == 0 || e->restricted;
	e->ports++;
	fake_xen.ports++;
	*port = FAKE_PORT + remote_port - 1;
	return true;
}

bool evtchn_restrict(struct evtchn *e, unsigned domid, GError **error)
{
	e->restricted = true;
	return works(error);
}

struct foreign_memory *foreign_memory_open(unsigned domid, GError **error)
{
	return handle(error);
}

void foreign_memory_free(struct foreign_memory *f)
{
	close_handle(f);
}

void *foreign_memory_map_ioreq(struct foreign_memory *f, uint16_t server, GError **error)
{
	return works(error) ? page[server] : NULL;
}

unsigned foreign_memory_banks(struct foreign_memory *f, uint64_t max_bytes,
	struct foreign_memory_bank bank[FOREIGN_MEMORY_MAX_BANKS])
{
	bank[0] = (struct foreign_memory_bank){ .addr = 0x40000000, .size = max_bytes };
	return max_bytes ? 1 : 0;
}

static int open_null(GError **error)
{
	return works(error) ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;
}

int privcmd_open_restricted(unsigned domid, GError **error)
{
	return open_null(error);
}

int privcmd_open_gntdev(GError **error)
{
	return open_null(error);
}

static bool assign(unsigned *n, bool on)
{
	if (fake_xen.assign_errno) {
		errno = fake_xen.assign_errno;
		return false;
	}
	fake_xen.misused |= !on && *n == 0;
	fake_xen.assigns += on;
	*n += on ? 1 : -1;
	return true;
}

bool privcmd_irqfd(int privcmd, unsigned domid, uint32_t irq, int fd, bool on)
{
	return assign(&fake_xen.irqfds, on);
}

bool privcmd_ioeventfd(int privcmd, const struct privcmd_kick *kick, int fd, bool on)
{
	fake_xen.misused |= kick->ioreq != page[FAKE_KICKS] ||
		kick->ports[0] != FAKE_PORT + FAKE_VCPUS || kick->vcpus != FAKE_VCPUS;
	return assign(&fake_xen.ioeventfds, on);
}

struct backend_process {
	struct backend_rule rule;
};

struct backend_process *backend_process_new(
	const struct backend_rules *all, const struct device_node *n, const char *name)
{
	struct backend_process *s = g_new0(struct backend_process, 1);

	s->rule.front.config_size = -1;
	s->rule.front.queues = 7;
	s->rule.front.packed = CHOICE_OFF;
	s->rule.front.device_id = fake_xen.rule_device_id;
	fake_xen.backends++;
	return s;
}

void backend_process_free(struct backend_process *s)
{
	if (!s)
		return;
	fake_xen.backends--;
	g_free(s);
}

int backend_process_connect(struct backend_process *s, GError **error)
{
	int pair[2];

	fake_xen.connects++;
	if (fake_xen.unreachable || fake_xen.n_peers == G_N_ELEMENTS(fake_xen.peer) ||
		!sock_pair(pair)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN, "fake back-end: not there");
		return -1;
	}
	fake_xen.peer[fake_xen.n_peers++] = pair[1];
	return pair[0];
}

const struct backend_rule *backend_process_rule(const struct backend_process *s)
{
	return &s->rule;
}
