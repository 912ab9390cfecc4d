/* SPDX-License-Identifier: Apache-2.0 */
/* Spare slots: devices that come and go while the guest runs. */
#include <inttypes.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "base/error.h"
#include "base/log.h"
#include "base/sock_maker.h"
#include "kvm-stub/machine/slots_impl.h"

/* How long a back-end may take to be there and to answer. */
#define PATIENCE_US (5 * G_USEC_PER_SEC)
#define POLL_MS 20

/* Returns the name of the slot's device in Linux, as its driver's "bind" takes it. */
static char *linux_name(const struct slot *s)
{
#ifdef __x86_64__
	return g_strdup_printf("LNRO0005:%02x", s->index);
#else
	return g_strdup_printf("%" PRIx64 ".virtio_mmio", virtio_addr(s->index));
#endif
}

/* Shows the device to the guest, or nothing. Returns what it saw before. */
static struct vmm_dev *show(struct slot *s, struct vmm_dev *d)
{
	struct vmm_dev *before;

	pthread_rwlock_wrlock(&s->lock);
	before = s->d;
	s->d = d;
	pthread_rwlock_unlock(&s->lock);
	return before;
}

/* Shows a slot's device if it has answered, or gives it up. Returns true if it is still coming. */
static bool look_at(struct slot *s)
{
	g_autofree char *name = linux_name(s);
	g_autoptr(GError) why = NULL;

	if (vmm_dev_wait(s->coming, 0, &why)) {
		log_info(vmm_dev_name(s->coming), "there, in slot %u: %s in a Linux guest",
			s->index, name);
		show(s, g_steal_pointer(&s->coming));
		return false;
	}
	if (g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_AGAIN) &&
		g_get_monotonic_time() < s->until)
		return true;
	log_warning(NULL, "slot %u stays empty: %s", s->index, why->message);
	g_clear_pointer(&s->coming, vmm_dev_free);
	return false;
}

static void on_poll(void *opaque)
{
	struct slots *all = opaque;
	bool more = false;

	for (unsigned i = all->n_fixed; i < all->n; i++)
		if (all->slot[i].coming)
			more |= look_at(&all->slot[i]);
	if (!more)
		g_clear_pointer(&all->poll, loop_watch_free);
}

static bool is_empty(const struct slot *s)
{
	return !s->d && !s->coming;
}

/* Returns a slot to fill, or NULL with an error. */
static struct slot *choose(struct slots *all, int wanted, GError **error)
{
	for (unsigned i = all->n_fixed; i < all->n; i++)
		if ((wanted < 0 || (unsigned)wanted == i) && is_empty(&all->slot[i]))
			return &all->slot[i];
	if (wanted < 0)
		error_set(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC,
			"no slot is empty: of %u slots %u are spare (--slots)", all->n,
			all->n - all->n_fixed);
	else
		error_set(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"slot %d is not an empty, spare one", wanted);
	return NULL;
}

/* Checks the path, as the process that connects does. */
static bool is_in_folder(const struct slots *all, const struct device_spec *spec, GError **error)
{
	if (spec->socket && sock_maker_is_in(spec->socket, all->folder))
		return true;
	return error_set(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
		"device \"%s\": it needs socket=PATH, directly in '%s' (--plug-dir)", spec->text,
		all->folder);
}

int slots_add(struct slots *all, const struct device_spec *spec, int wanted, GError **error)
{
	struct slot *s = choose(all, wanted, error);

	if (!s || !is_in_folder(all, spec, error))
		return -1;
	s->coming = slot_make(s, spec, error);
	if (!s->coming)
		return -1;
	s->until = g_get_monotonic_time() + PATIENCE_US;
	if (!all->poll)
		all->poll = loop_watch_timer(POLL_MS, on_poll, all);
	return s->index;
}

/*
 * Tells whether the guest has a driver for the device: one that is unbound leaves it acknowledged.
 */
static bool is_used(struct slot *s)
{
	uint64_t status = 0;

	/* The status comes from the register itself, at once. */
	vmm_dev_access(s->d, VIRTIO_MMIO_STATUS, 4, false, &status, NULL);
	return status & VIRTIO_CONFIG_S_DRIVER;
}

bool slots_remove(struct slots *all, unsigned slot, bool force, GError **error)
{
	struct slot *s = slot >= all->n_fixed && slot < all->n ? &all->slot[slot] : NULL;
	g_autofree char *name = s ? linux_name(s) : NULL;

	if (!s || is_empty(s))
		return error_set(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"slot %u is no spare one with a device", slot);
	if (s->d && !force && is_used(s))
		return error_set(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"slot %u: the guest uses the device (in Linux, echo %s "
			">/sys/bus/platform/drivers/virtio-mmio/unbind; or add force=on)",
			slot, name);
	vmm_dev_free(s->d ? show(s, NULL) : g_steal_pointer(&s->coming));
	log_info(NULL, "slot %u is empty", slot);
	return true;
}

static void list_one(struct slot *s, struct json *to)
{
	g_autofree char *name = linux_name(s);

	json_open_object(to, NULL);
	json_uint(to, "slot", s->index);
	json_string(to, "linux", name);
	json_bool(to, "spare", s->index >= s->all->n_fixed);
	json_string(to, "state", s->d ? "present" : s->coming ? "coming" : "empty");
	if (s->d) {
		json_string(to, "name", vmm_dev_name(s->d));
		json_uint(to, "device_id", vmm_dev_properties(s->d)->probe.device_id);
		json_bool(to, "used", is_used(s));
	}
	json_close_object(to);
}

void slots_list(struct slots *all, struct json *to)
{
	json_open_array(to, "slots");
	for (unsigned i = 0; i < all->n; i++)
		list_one(&all->slot[i], to);
	json_close_array(to);
}

void slots_end_plugging(struct slots *all)
{
	g_clear_pointer(&all->poll, loop_watch_free);
	for (unsigned i = all->n_fixed; i < all->n; i++)
		g_clear_pointer(&all->slot[i].coming, vmm_dev_free);
}
