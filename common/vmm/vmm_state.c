/* SPDX-License-Identifier: Apache-2.0 */
/* What a successor needs, in memory that outlives this process: see vmm_impl.h. */
#include "vmm/vmm_impl.h"

#include <inttypes.h>
#include <string.h>

#define MAGIC 0x766d6d31u /* "vmm1" */

size_t vmm_dev_state_size(void)
{
	return sizeof(struct vmm_state);
}

static void make_rings(struct vmm_dev *d)
{
	unsigned n = d->properties.probe.max_queues;

	d->vring = g_new0(struct vmm_vring, n);
	for (unsigned i = 0; i < n; i++)
		d->vring[i].kick = d->vring[i].call = -1;
}

static void begin(struct vmm_state *s)
{
	memset(s, 0, sizeof(*s));
	s->size = sizeof(*s);
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		s->queue[i].epoch = 1; /* no attempt to start it was in this one */
	vmm_order();
	s->magic = MAGIC;
}

/* Returns whether the byte of a bool holds one: to read another value as a bool is undefined. */
static bool is_bool(const bool *b)
{
	uint8_t byte;

	memcpy(&byte, b, sizeof(byte));
	return byte <= 1;
}

static bool has_bools(const struct virtio_mmio_registers *reg)
{
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++) {
		if (!is_bool(&reg->queue[i].ready))
			return false;
	}
	return true;
}

/*
 * Checks the state, which the predecessor may have been made to damage: nothing may lead
 * outside.
 */
static bool check(const struct vmm_dev *d, GError **error)
{
	const struct vmm_state *s = d->state;

	if (s->magic == MAGIC && s->size == sizeof(*s) && s->slot <= VMM_SLOT_EMPTY &&
		s->properties.probe.config_size <= VU_MAX_CONFIG &&
		s->properties.probe.max_queues <= VIRTIO_MAX_QUEUES &&
		s->mmio.probe.config_size <= s->properties.probe.config_size &&
		s->mmio.probe.max_queues <= s->properties.probe.max_queues &&
		has_bools(&s->mmio.reg))
		return true;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
		"%s: the state is not one that this program left (0x%" PRIx32 ", %" PRIu32
		" bytes)",
		d->name, s->magic, s->size);
	return false;
}

static void take_over(struct vmm_dev *d)
{
	struct vmm_state *s = d->state;

	d->properties = s->properties;
	make_rings(d);
	d->settling = true;
	d->kept = s->has_front;
	/*
	 * QueueReady falls before the epoch moves: a predecessor that died in between left that to
	 * us.
	 */
	for (unsigned i = 0; i < d->properties.probe.max_queues; i++)
		if (!s->mmio.reg.queue[i].ready && s->queue[i].ran == s->queue[i].epoch)
			s->queue[i].epoch++;
}

bool vmm_state_open(struct vmm_dev *d, void *memory, GError **error)
{
	if (!memory)
		d->own_state = g_new0(struct vmm_state, 1);
	else
		d->options.state = &((struct vmm_state *)memory)->front;
	d->state = memory ? memory : d->own_state;
	if (d->state->magic == 0)
		begin(d->state);
	if (!check(d, error))
		return false;
	if (d->state->slot == VMM_SLOT_DEVICE)
		take_over(d);
	return true;
}

void vmm_state_close(struct vmm_dev *d)
{
	d->state->magic = 0;
	vmm_order();
}

void vmm_state_set_properties(struct vmm_dev *d, const struct vu_properties *properties)
{
	d->state->properties = d->properties = *properties;
	make_rings(d);
}

void vmm_state_forget_front(struct vmm_dev *d)
{
	struct vmm_state *s = d->state;

	/* First: the rest is about it. */
	s->has_front = 0;
	vmm_order();
	s->settled = 0;
	s->features_sent = 0;
	s->status_sent = 0;
	for (unsigned i = 0; i < d->properties.probe.max_queues; i++) {
		s->queue[i].phase = VMM_PHASE_NONE;
		d->vring[i].resume = false;
	}
}
