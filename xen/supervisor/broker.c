/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets up and tears down a guest's ioreq servers and the lasting parts of its devices.
 *
 * Order of setup: create a server, map its page, enable it; only then does the page contain the
 * guest's ends of the event channels, which are bound. A device's range is mapped last. Order of
 * teardown: eventfds are deassigned while page and ports still exist, as these identify them in the
 * kernel.
 */
#include "xen/supervisor/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memfd.h"
#include "base/util.h"
#include "xen/hypervisor/ioreq_page.h"
#include "xen/hypervisor/privcmd.h"
#include "xen/supervisor/broker_impl.h"
#include "xen/supervisor/range_lock.h"

/* Returns the memfd, or -1 with an error. */
static int make_memory(const char *name, size_t size, GError **error)
{
	int fd = memfd_sealed(name, size);

	if (fd < 0)
		error_errno(error, errno, "%s: cannot make shared memory", name);
	return fd;
}

static bool bind_ports(struct broker *b, struct broker_server *s, GError **error)
{
	const struct ioreq_slot *slot = s->page;

	for (unsigned i = 0; i < b->vcpus; i++) {
		uint32_t remote = __atomic_load_n(&slot[i].vp_eport, __ATOMIC_RELAXED);

		if (!evtchn_bind(b->evtchn, b->domid, remote, &s->port[i], error))
			return false;
	}
	return true;
}

static bool make_server(struct broker *b, struct broker_server *s, GError **error)
{
	s->foreign = foreign_memory_open(b->domid, error);
	if (!s->foreign)
		return false;
	s->made = devmodel_create_server(b->devmodel, &s->id, error);
	if (!s->made)
		return false;
	s->page = foreign_memory_map_ioreq(s->foreign, s->id, error);
	return s->page && devmodel_enable_server(b->devmodel, s->id, error) &&
		bind_ports(b, s, error);
}

static bool make_servers(struct broker *b, GError **error)
{
	struct broker_server *registers = &b->server[IPC_REGISTERS], *kicks = registers + 1;

	if (!devmodel_vcpus(b->devmodel, &b->vcpus, error))
		return false;
	if (b->vcpus < 1 || b->vcpus > IPC_MAX_VCPUS) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"%u vCPUs: more than the %u of one ioreq page", b->vcpus, IPC_MAX_VCPUS);
		return false;
	}
	if (!make_server(b, registers, error) || (b->eventfds && !make_server(b, kicks, error)))
		return false;
	/* Of two servers with the same range, Xen uses the one with the higher id. */
	if (kicks->made && kicks->id < registers->id) {
		log_warning(b->who, "ioreq servers %u and %u: the kernel's eventfds are not used",
			registers->id, kicks->id);
		b->eventfds = false;
	}
	return evtchn_restrict(b->evtchn, b->domid, error);
}

static bool open_all(struct broker *b, GError **error)
{
	b->devmodel = devmodel_open(b->domid, error);
	if (!b->devmodel)
		return false;
	b->evtchn = evtchn_open(error);
	if (!b->evtchn)
		return false;
	b->privcmd = privcmd_open_restricted(b->domid, error);
	if (b->privcmd < 0)
		return false;
	b->journal =
		make_memory("virtiod-journal", IPC_MAX_SERVERS * sizeof(struct ipc_journal), error);
	return b->journal >= 0;
}

struct broker *broker_new(const struct broker_config *config, GError **error)
{
	g_autoptr(broker) b = g_new0(struct broker, 1);

	b->domid = config->domid;
	b->name = g_strdup(config->name);
	b->who = g_strdup_printf("domain %s (%u)", config->name, config->domid);
	b->eventfds = config->eventfds;
	b->run = g_strdup(config->run);
	b->privcmd = -1;
	b->journal = -1;
	if (!open_all(b, error) || !make_servers(b, error))
		return NULL;
	b->banks =
		foreign_memory_banks(b->server[IPC_REGISTERS].foreign, config->max_memory, b->bank);
	return g_steal_pointer(&b);
}

void broker_free(struct broker *b)
{
	if (!b)
		return;
	for (unsigned i = 0; i < IPC_MAX_DEVICES; i++)
		broker_remove(b, i);
	for (unsigned i = 0; i < IPC_MAX_SERVERS; i++) {
		if (b->server[i].made)
			devmodel_destroy_server(b->devmodel, b->server[i].id);
		foreign_memory_free(b->server[i].foreign);
	}
	evtchn_free(b->evtchn);
	devmodel_free(b->devmodel);
	fd_close(&b->privcmd);
	fd_close(&b->journal);
	g_free(b->name);
	g_free(b->who);
	g_free(b->run);
	g_free(b);
}

/* Checks that it is no RAM: a device there would never see an access. */
static bool check_ram(const struct broker *b, uint64_t base, GError **error)
{
	for (unsigned i = 0; i < b->banks; i++) {
		const struct foreign_memory_bank *bank = &b->bank[i];

		if (base + DEVICE_NODE_WINDOW <= bank->addr || base >= bank->addr + bank->size)
			continue;
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"base 0x%" PRIx64 ": in the guest's RAM, 0x%" PRIx64 " to 0x%" PRIx64, base,
			bank->addr, bank->addr + bank->size - 1);
		return false;
	}
	return true;
}

/* Fails if another device has that range, or that interrupt (0: none). */
static bool check_conflicts(const struct broker *b, uint64_t base, uint32_t irq, GError **error)
{
	if (base > UINT64_MAX - DEVICE_NODE_WINDOW) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"base 0x%" PRIx64 ": beyond the address space", base);
		return false;
	}
	for (unsigned i = 0; i < IPC_MAX_DEVICES; i++) {
		const struct broker_device *d = &b->device[i];
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
	return check_ram(b, base, error);
}

/* Returns a free, initialised entry; NULL with an error if there is none. */
static struct broker_device *get_free(struct broker *b, unsigned *number, GError **error)
{
	for (unsigned i = 0; i < IPC_MAX_DEVICES; i++) {
		if (!b->device[i].used) {
			*number = i;
			b->device[i] = (struct broker_device){
				.state = -1,
				.gntdev = -1,
				.range = -1,
				.socket = -1,
				.area = -1,
				.channel = -1,
			};
			return &b->device[i];
		}
	}
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC, "more than %u devices of one guest",
		IPC_MAX_DEVICES);
	return NULL;
}

static void device_clear(struct broker_device *d)
{
	broker_drop_connection(d);
	backend_process_free(d->backend);
	fd_close(&d->state);
	fd_close(&d->gntdev);
	fd_close(&d->area);
	fd_close(&d->range);
	g_free(d->name);
	*d = (struct broker_device){ 0 };
}

static bool map_range(struct broker *b, struct broker_device *d, GError **error)
{
	if (b->run) {
		d->range = range_lock(b->run, b->domid, d->base, DEVICE_NODE_WINDOW, error);
		if (d->range < 0)
			return false;
	}
	d->used = devmodel_map_range(
		b->devmodel, b->server[IPC_REGISTERS].id, d->base, DEVICE_NODE_WINDOW, error);
	return d->used;
}

static bool fill(struct broker *b, struct broker_device *d,
	const struct broker_device_config *config, GError **error)
{
	d->name = g_strdup(config->name);
	d->base = config->base;
	d->irq = config->irq;
	d->grants = config->grants;
	d->wait_ms = config->wait_ms;
	d->queue_size = config->queue_size;
	d->device_id = config->device_id;
	d->state = make_memory("virtiod-device", IPC_STATE_SIZE, error);
	if (d->state < 0)
		return false;
	if (!d->grants && !b->banks) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
			"found no RAM of the guest that can be mapped");
		return false;
	}
	d->gntdev = d->grants ? privcmd_open_gntdev(error) : -1;
	return !d->grants || d->gntdev >= 0;
}

bool broker_add(struct broker *b, const struct broker_device_config *config,
	struct backend_process *backend, unsigned *device, GError **error)
{
	struct broker_device *d = NULL;

	if (check_conflicts(b, config->base, config->irq, error))
		d = get_free(b, device, error);
	if (!d) {
		backend_process_free(backend);
		return false;
	}
	d->backend = backend;
	if (fill(b, d, config, error) && map_range(b, d, error))
		return true;
	device_clear(d);
	return false;
}

bool broker_add_empty(struct broker *b, uint64_t base, unsigned *device, GError **error)
{
	struct broker_device *d = NULL;

	if (check_conflicts(b, base, 0, error))
		d = get_free(b, device, error);
	if (!d)
		return false;
	d->name = g_strdup("a refused device");
	d->base = base;
	if (map_range(b, d, error))
		return true;
	device_clear(d);
	return false;
}

void broker_remove(struct broker *b, unsigned device)
{
	struct broker_device *d = &b->device[device];

	if (!d->used)
		return;
	broker_drop_eventfds(b, d);
	devmodel_unmap_range(b->devmodel, b->server[IPC_REGISTERS].id, d->base, DEVICE_NODE_WINDOW);
	device_clear(d);
}

void broker_describe_guest(
	const struct broker *b, struct ipc_command *command, int fds[IPC_MAX_FDS], unsigned *n_fds)
{
	struct ipc_guest *g = &command->guest;

	*command = (struct ipc_command){ .type = IPC_GUEST };
	g_strlcpy(g->name, b->name, sizeof(g->name));
	g->domid = b->domid;
	g->vcpus = b->vcpus;
	for (unsigned i = 0; i < IPC_MAX_SERVERS && b->server[i].made; i++) {
		g->server[i].id = b->server[i].id;
		memcpy(g->server[i].port, b->server[i].port, sizeof(g->server[i].port));
		g->servers++;
	}
	g->banks = b->banks;
	memcpy(g->bank, b->bank, sizeof(g->bank));
	fds[0] = evtchn_fd(b->evtchn);
	fds[1] = b->privcmd;
	fds[2] = b->journal;
	*n_fds = 3;
}

bool broker_describe_device(const struct broker *b, unsigned device, struct ipc_command *command,
	int fds[IPC_MAX_FDS], unsigned *n_fds)
{
	const struct broker_device *d = &b->device[device];
	struct ipc_device *add = &command->add;

	if (!d->used || !d->backend)
		return false;
	*command = (struct ipc_command){ .type = IPC_ADD };
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
