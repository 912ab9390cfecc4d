/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's ioreq servers and its devices' lasting parts.
 *
 * Order of making: a server, its page, enabled; only then has the page the guest's ends of the
 * event channels, to be bound. Each device's range is registered last of all that it has. Order of
 * the end: eventfds are deassigned while page and ports are still there, as the kernel names them
 * by these.
 */
#include "xen/supervisor/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <xen/xen.h>
/* Wants the types of the one before. */
#include <xen/hvm/ioreq.h>

#include "base/log.h"
#include "base/util.h"
#include "xen/worker/ioreq.h"
#include "xen/supervisor/keeper_impl.h"
#include "xen/hypervisor/privcmd.h"

/* Zeroed memory of that size for ever, whoever has the fd. */
static int make_memory(const char *name, size_t size, GError **error)
{
	autofd fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && ftruncate(fd, size) == 0 &&
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd_steal(&fd);
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
		"%s: cannot make shared memory: %s", name, g_strerror(errno));
	return -1;
}

static bool bind_ports(struct keeper *k, struct keeper_server *s, GError **error)
{
	const struct shared_iopage *page = s->page;

	for (unsigned i = 0; i < k->vcpus; i++) {
		uint32_t remote = __atomic_load_n(&page->vcpu_ioreq[i].vp_eport, __ATOMIC_RELAXED);

		if (!evtchn_bind(k->evtchn, k->domid, remote, &s->port[i], error))
			return false;
	}
	return true;
}

static bool make_server(struct keeper *k, struct keeper_server *s, GError **error)
{
	s->foreign = foreign_open(k->domid, error);
	if (!s->foreign)
		return false;
	s->made = devmodel_create_server(k->devmodel, &s->id, error);
	if (!s->made)
		return false;
	s->page = foreign_map_ioreq(s->foreign, s->id, error);
	return s->page && devmodel_enable_server(k->devmodel, s->id, error) &&
		bind_ports(k, s, error);
}

static bool make_servers(struct keeper *k, GError **error)
{
	struct keeper_server *registers = &k->server[IPC_REGISTERS], *kicks = registers + 1;

	if (!devmodel_vcpus(k->devmodel, &k->vcpus, error))
		return false;
	if (k->vcpus < 1 || k->vcpus > IPC_MAX_VCPUS) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"%u vCPUs: more than the %u of one ioreq page", k->vcpus, IPC_MAX_VCPUS);
		return false;
	}
	if (!make_server(k, registers, error) || (k->eventfds && !make_server(k, kicks, error)))
		return false;
	/* Of two servers with the same range, Xen asks the one with the higher id. */
	if (kicks->made && kicks->id < registers->id) {
		log_warning(k->who, "ioreq servers %u and %u: no eventfds of the kernel's",
			registers->id, kicks->id);
		k->eventfds = false;
	}
	return evtchn_restrict(k->evtchn, k->domid, error);
}

static bool open_all(struct keeper *k, GError **error)
{
	k->devmodel = devmodel_open(k->domid, error);
	if (!k->devmodel)
		return false;
	k->evtchn = evtchn_open(error);
	if (!k->evtchn)
		return false;
	k->privcmd = privcmd_open_restricted(k->domid, error);
	if (k->privcmd < 0)
		return false;
	k->journal = make_memory(
		"virtiod-journal", IPC_MAX_SERVERS * sizeof(struct ioreq_journal), error);
	return k->journal >= 0;
}

struct keeper *keeper_new(const struct keeper_config *config, GError **error)
{
	g_autoptr(keeper) k = g_new0(struct keeper, 1);

	k->domid = config->domid;
	k->name = g_strdup(config->name);
	k->who = g_strdup_printf("domain %s (%u)", config->name, config->domid);
	k->eventfds = config->eventfds;
	k->privcmd = -1;
	k->journal = -1;
	if (!open_all(k, error) || !make_servers(k, error))
		return NULL;
	k->banks = foreign_banks(k->server[IPC_REGISTERS].foreign, config->max_memory, k->bank);
	return g_steal_pointer(&k);
}

void keeper_free(struct keeper *k)
{
	if (!k)
		return;
	for (unsigned i = 0; i < IPC_MAX_DEVICES; i++)
		keeper_remove(k, i);
	for (unsigned i = 0; i < IPC_MAX_SERVERS; i++) {
		if (k->server[i].made)
			devmodel_destroy_server(k->devmodel, k->server[i].id);
		foreign_free(k->server[i].foreign);
	}
	evtchn_free(k->evtchn);
	devmodel_free(k->devmodel);
	fd_close(&k->privcmd);
	fd_close(&k->journal);
	g_free(k->name);
	g_free(k->who);
	g_free(k);
}

/* Who has that range, or that interrupt (0: none)? */
static bool check_conflicts(const struct keeper *k, uint64_t base, uint32_t irq, GError **error)
{
	if (base > UINT64_MAX - DEVICE_NODE_WINDOW) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"base 0x%" PRIx64 ": beyond all addresses", base);
		return false;
	}
	for (unsigned i = 0; i < IPC_MAX_DEVICES; i++) {
		const struct keeper_device *d = &k->device[i];
		bool overlap =
			base < d->base + DEVICE_NODE_WINDOW && d->base < base + DEVICE_NODE_WINDOW;

		if (!d->used)
			continue;
		if (overlap)
			g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_EXIST,
				"base 0x%" PRIx64 ": overlaps %s, at 0x%" PRIx64, base, d->name,
				d->base);
		else if (irq && d->irq == irq)
			g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_EXIST, "irq %u: %s has it",
				irq, d->name);
		if (overlap || (irq && d->irq == irq))
			return false;
	}
	return true;
}

/* A free one, with nothing in it; NULL: there is none. */
static struct keeper_device *get_free(struct keeper *k, unsigned *number, GError **error)
{
	for (unsigned i = 0; i < IPC_MAX_DEVICES; i++) {
		if (!k->device[i].used) {
			*number = i;
			k->device[i] = (struct keeper_device){
				.state = -1,
				.gntdev = -1,
				.socket = -1,
				.area = -1,
				.channel = -1,
			};
			return &k->device[i];
		}
	}
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC, "more than %u devices of one guest",
		IPC_MAX_DEVICES);
	return NULL;
}

static void device_clear(struct keeper_device *d)
{
	keeper_drop_connection(d);
	backend_process_free(d->backend);
	fd_close(&d->state);
	fd_close(&d->gntdev);
	fd_close(&d->area);
	g_free(d->name);
	*d = (struct keeper_device){ 0 };
}

static bool map_range(struct keeper *k, struct keeper_device *d, GError **error)
{
	d->used = devmodel_map_range(
		k->devmodel, k->server[IPC_REGISTERS].id, d->base, DEVICE_NODE_WINDOW, error);
	return d->used;
}

static bool fill(struct keeper *k, struct keeper_device *d,
	const struct keeper_device_config *config, GError **error)
{
	d->name = g_strdup(config->name);
	d->base = config->base;
	d->irq = config->irq;
	d->grants = config->grants;
	d->wait_ms = config->wait_ms;
	d->queue_size = config->queue_size;
	d->device_id = config->device_id;
	d->state = make_memory("virtiod-device", vmm_dev_state_size(), error);
	if (d->state < 0)
		return false;
	if (!d->grants && !k->banks) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
			"no RAM of the guest was found to be mapped");
		return false;
	}
	d->gntdev = d->grants ? privcmd_open_gntdev(error) : -1;
	return !d->grants || d->gntdev >= 0;
}

bool keeper_add(struct keeper *k, const struct keeper_device_config *config,
	struct backend_process *backend, unsigned *device, GError **error)
{
	struct keeper_device *d = NULL;

	if (check_conflicts(k, config->base, config->irq, error))
		d = get_free(k, device, error);
	if (!d) {
		backend_process_free(backend);
		return false;
	}
	d->backend = backend;
	if (fill(k, d, config, error) && map_range(k, d, error))
		return true;
	device_clear(d);
	return false;
}

bool keeper_add_empty(struct keeper *k, uint64_t base, unsigned *device, GError **error)
{
	struct keeper_device *d = NULL;

	if (check_conflicts(k, base, 0, error))
		d = get_free(k, device, error);
	if (!d)
		return false;
	d->name = g_strdup("a refused device");
	d->base = base;
	if (map_range(k, d, error))
		return true;
	device_clear(d);
	return false;
}

void keeper_remove(struct keeper *k, unsigned device)
{
	struct keeper_device *d = &k->device[device];

	if (!d->used)
		return;
	keeper_drop_eventfds(k, d);
	devmodel_unmap_range(k->devmodel, k->server[IPC_REGISTERS].id, d->base, DEVICE_NODE_WINDOW);
	device_clear(d);
}

void keeper_describe_guest(
	const struct keeper *k, struct ipc_order *order, int fds[IPC_MAX_FDS], unsigned *n_fds)
{
	struct ipc_guest *g = &order->guest;

	*order = (struct ipc_order){ .type = IPC_GUEST };
	g_strlcpy(g->name, k->name, sizeof(g->name));
	g->domid = k->domid;
	g->vcpus = k->vcpus;
	for (unsigned i = 0; i < IPC_MAX_SERVERS && k->server[i].made; i++) {
		g->server[i].id = k->server[i].id;
		memcpy(g->server[i].port, k->server[i].port, sizeof(g->server[i].port));
		g->servers++;
	}
	g->banks = k->banks;
	memcpy(g->bank, k->bank, sizeof(g->bank));
	fds[0] = evtchn_fd(k->evtchn);
	fds[1] = k->privcmd;
	fds[2] = k->journal;
	*n_fds = 3;
}

bool keeper_describe_device(const struct keeper *k, unsigned device, struct ipc_order *order,
	int fds[IPC_MAX_FDS], unsigned *n_fds)
{
	const struct keeper_device *d = &k->device[device];
	struct ipc_device *add = &order->add;

	if (!d->used || !d->backend)
		return false;
	*order = (struct ipc_order){ .type = IPC_ADD };
	g_strlcpy(add->name, d->name, sizeof(add->name));
	add->device = device;
	add->base = d->base;
	add->window = DEVICE_NODE_WINDOW;
	add->irq = d->irq;
	add->grants = d->grants;
	add->wait_ms = d->wait_ms;
	add->queue_size = d->queue_size;
	fds[0] = d->state;
	*n_fds = 1;
	if (d->grants)
		fds[(*n_fds)++] = d->gntdev;
	return true;
}
