/* SPDX-License-Identifier: Apache-2.0 */
/* See slots.h. A slot is found by its number: window, interrupt and name follow from it. */
#include "kvm-stub/machine/slots_impl.h"

#include <linux/virtio_mmio.h>

#include "base/util.h"
#include "launch/child.h"
#include "launch/discovery.h"
#include "kvm-stub/layout.h"
#include "kvm-stub/machine/shm.h"

/* How long a back-end that closed its socket may take to end, and so to say why. */
#define END_MS 500
#define STEP_MS 20

static unsigned memory(void *opaque, struct vmm_dev *d, const struct virtio_mmio_queue *ready,
	unsigned n_ready, bool packed, const struct mem_region_desc **desc, const int **fds)
{
	const struct slot *s = opaque;

	*desc = s->all->ram->region;
	*fds = s->all->ram->region_fd;
	return s->all->ram->n_regions;
}

static void interrupt(void *opaque, struct vmm_dev *d, bool level)
{
	const struct slot *s = opaque;

	if (level)
		vm_pulse_irq(s->all->vm, virtio_irq(s->index));
}

static bool irqfd(void *opaque, struct vmm_dev *d, unsigned queue, int fd, bool assign)
{
	const struct slot *s = opaque;

	return vm_irqfd(s->all->vm, virtio_irq(s->index), fd, assign);
}

static bool ioeventfd(
	void *opaque, struct vmm_dev *d, uint64_t addr, uint32_t queue, int fd, bool assign)
{
	const struct slot *s = opaque;

	return vm_ioeventfd(s->all->vm, addr, queue, fd, assign);
}

static void access_done(void *opaque, void *token, uint64_t value)
{
	bus_access_complete(token, value);
}

static bool reserve(
	void *opaque, struct vmm_dev *d, uint8_t id, uint64_t size, uint64_t *base, GError **error)
{
	const struct slot *s = opaque;

	return shm_reserve(s->all->shm, s->index, id, size, base, error);
}

static int map(void *opaque, struct vmm_dev *d, const struct vu_front_mapping *m)
{
	const struct slot *s = opaque;

	return shm_map(s->all->shm, s->index, m);
}

static void unmap(void *opaque, struct vmm_dev *d, uint8_t id, uint64_t at, uint64_t len)
{
	const struct slot *s = opaque;

	shm_unmap(s->all->shm, s->index, id, at, len);
}

/* The windows are on the bus for good: none to map or unmap. */
static const struct vmm_ops ops = {
	.memory = memory,
	.interrupt = interrupt,
	.irqfd = irqfd,
	.ioeventfd = ioeventfd,
	.shm_reserve = reserve,
	.shm_map = map,
	.shm_unmap = unmap,
	.access_done = access_done,
};

/* Shared memory regions keep their guest addresses for good, so slots that change have none. */
static const struct vmm_ops spare_ops = {
	.memory = memory,
	.interrupt = interrupt,
	.irqfd = irqfd,
	.ioeventfd = ioeventfd,
	.access_done = access_done,
};

static bool slot_access(
	void *opaque, uint64_t offset, unsigned size, bool write, uint64_t *value, void *token)
{
	struct slot *s = opaque;
	bool done = true;

	pthread_rwlock_rdlock(&s->lock);
	if (s->d)
		done = vmm_dev_access(s->d, offset, size, write, value, token) == VIRTIO_MMIO_DONE;
	else if (!write)
		*value = virtio_mmio_read_empty(offset, size);
	pthread_rwlock_unlock(&s->lock);
	return done;
}

/* Starts a back-end. fd: our end of the socket to it. */
static struct child *start_back_end(
	const struct device_spec *spec, const char *const *folders, int *fd, GError **error)
{
	g_autofree char *binary = discovery_find(spec->type, folders, error);
	g_autoptr(GPtrArray) options = g_ptr_array_new();

	if (!binary)
		return NULL;
	for (unsigned i = 0; i < spec->options->len; i++)
		g_ptr_array_add(options, spec->options->pdata[i]);
	g_ptr_array_add(options, NULL);
	return child_start(binary, (const char *const *)options->pdata, fd, error);
}

static char *name_slot(const struct slot *s, const struct device_spec *spec)
{
	return g_strdup_printf("device %u (%s=%s)", s->index, spec->socket ? "socket" : "type",
		spec->socket ? spec->socket : spec->type);
}

static bool start_slot(
	struct slot *s, const struct device_spec *spec, const char *const *folders, GError **error)
{
	g_autofree char *name = name_slot(s, spec);

	if (spec->socket)
		return true;
	s->child = start_back_end(spec, folders, &s->fd, error);
	if (s->child)
		return true;
	g_prefix_error(error, "%s: ", name);
	return false;
}

struct vmm_dev *slot_make(struct slot *s, const struct device_spec *spec, GError **error)
{
	bool spare = s->index >= s->all->n_fixed;
	g_autofree char *name = name_slot(s, spec);
	const struct vmm_dev_config config = {
		.name = name,
		.socket_path = spec->socket,
		.fd = fd_steal(&s->fd),
		.front = spec->front,
		.base = virtio_addr(s->index),
		.window = VIRTIO_STRIDE,
		.queue_size_max = spec->keys.queue_size,
		.needs = "its kernel needs CONFIG_VIRTIO_MMIO",
	};

	return vmm_dev_new(&config, spare ? &spare_ops : &ops, s, error);
}

static void put_on_bus(struct slot *s)
{
	pthread_rwlock_init(&s->lock, NULL);
	bus_add(s->all->bus, BUS_MMIO, virtio_addr(s->index), VIRTIO_STRIDE, slot_access, s);
}

static bool wait_for_slot(struct slot *s, const struct slots_config *config, GError **error)
{
	int64_t until = g_get_monotonic_time() + config->wait_ms * G_TIME_SPAN_MILLISECOND;
	g_autoptr(GError) why = NULL, end = NULL;

	while (!vmm_dev_wait(s->d, STEP_MS, &why)) {
		if (!config->go_on(config->opaque) || g_get_monotonic_time() >= until ||
			!g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_AGAIN))
			break;
		g_clear_error(&why);
	}
	if (!why)
		return true;
	if (s->child && child_failed(s->child, END_MS, &end))
		g_set_error(error, VU_FRONT_ERROR, VU_FRONT_ERROR_GONE, "%s: %s",
			vmm_dev_name(s->d), end->message);
	else
		g_propagate_error(error, g_steal_pointer(&why));
	return false;
}

static void stop_children(struct slots *all, unsigned from)
{
	for (unsigned i = from; i < all->n; i++)
		if (all->slot[i].child)
			child_stop(all->slot[i].child);
}

static bool start_all(struct slots *all, const struct slots_config *config, GError **error)
{
	while (all->n < config->n_specs + config->n_spare) {
		struct slot *s = &all->slot[all->n];

		s->all = all;
		s->fd = -1;
		s->index = all->n++;
		if (s->index < all->n_fixed &&
			!start_slot(s, config->specs[s->index], config->folders, error))
			return false;
	}
	return true;
}

static bool confine(const struct slots *all, const struct slots_config *config, GError **error)
{
	struct syscall_rule rules[MAX_SLOTS + 1];
	unsigned n = 0;

	if (!config->confine)
		return true;
	for (unsigned i = 0; i < all->n; i++)
		if (all->slot[i].child)
			rules[n++] = child_rule(all->slot[i].child);
	rules[n] = (struct syscall_rule)SYSCALL_END;
	return config->confine(config->opaque, rules, error);
}

static bool make_all(struct slots *all, const struct slots_config *config, GError **error)
{
	for (unsigned i = 0; i < all->n; i++) {
		struct slot *s = &all->slot[i];

		put_on_bus(s);
		if (i >= all->n_fixed)
			continue;
		s->d = slot_make(s, config->specs[i], error);
		if (!s->d)
			return false;
	}
	return true;
}

struct slots *slots_new(const struct slots_config *config, GError **error)
{
	g_autoptr(slots) all = g_new0(struct slots, 1);

	all->vm = config->vm;
	all->bus = config->bus;
	all->ram = config->ram;
	all->shm = shm_new(config->vm, config->ram);
	all->n_fixed = config->n_specs;
	all->folder = g_strdup(config->plug_dir);
	if (config->n_specs + config->n_spare > MAX_SLOTS) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			"%u devices: this machine has %u slots", config->n_specs + config->n_spare,
			MAX_SLOTS);
		return NULL;
	}
	/* All start at once, then each is waited for. */
	if (!start_all(all, config, error) || !confine(all, config, error) ||
		!make_all(all, config, error))
		return NULL;
	for (unsigned i = 0; i < all->n_fixed; i++)
		if (!wait_for_slot(&all->slot[i], config, error)) {
			/* So that no device waits for their answers. */
			stop_children(all, i);
			return NULL;
		}
	return g_steal_pointer(&all);
}

void slots_reset(struct slots *all)
{
	struct bus_wait *wait = bus_wait_new();

	/*
	 * As the guest would do it. It ends: a back-end that does not answer within the deadline
	 * of its requests is away, and then every access is complete.
	 */
	for (unsigned i = 0; i < all->n; i++)
		bus_access(all->bus, wait, BUS_MMIO, virtio_addr(i) + VIRTIO_MMIO_STATUS, 4, true,
			&(uint64_t){ 0 });
	bus_wait_free(wait);
}

void slots_free(struct slots *all)
{
	if (!all)
		return;
	slots_end_plugging(all);
	for (unsigned i = 0; i < all->n; i++)
		if (all->slot[i].d)
			vmm_dev_end(all->slot[i].d);
	for (unsigned i = 0; i < all->n; i++)
		g_clear_pointer(&all->slot[i].d, vmm_dev_free);
	stop_children(all, 0);
	for (unsigned i = 0; i < all->n; i++) {
		child_free(all->slot[i].child);
		fd_close(&all->slot[i].fd);
	}
	shm_free(all->shm);
	g_free(all->folder);
	g_free(all);
}
