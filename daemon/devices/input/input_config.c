/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration space: a window on what select and subsel name (virtio 1.2 §5.8.4). */
#include "input.h"

/* Each fills in the window and returns how much of it is used; 0: there is nothing of that. */

static unsigned show_text(const char *text, struct virtio_input_config *c)
{
	size_t len = strlen(text);

	memcpy(c->u.string, text, len);
	return len;
}

static unsigned show_name(
	const struct input_properties *p, unsigned subsel, struct virtio_input_config *c)
{
	return subsel ? 0 : show_text(p->name, c);
}

static unsigned show_serial(
	const struct input_properties *p, unsigned subsel, struct virtio_input_config *c)
{
	return subsel ? 0 : show_text(p->serial, c);
}

static unsigned show_ids(
	const struct input_properties *p, unsigned subsel, struct virtio_input_config *c)
{
	if (subsel)
		return 0;
	c->u.ids = (struct virtio_input_devids){ htole16(p->id.bustype), htole16(p->id.vendor),
		htole16(p->id.product), htole16(p->id.version) };
	return sizeof(c->u.ids);
}

static unsigned show_bits(const uint8_t *bits, unsigned size, struct virtio_input_config *c)
{
	while (size && !bits[size - 1])
		size--;
	memcpy(c->u.bitmap, bits, size);
	return size;
}

static unsigned show_props(
	const struct input_properties *p, unsigned subsel, struct virtio_input_config *c)
{
	return subsel ? 0 : show_bits(p->props, sizeof(p->props), c);
}

static unsigned show_codes(
	const struct input_properties *p, unsigned subsel, struct virtio_input_config *c)
{
	return input_codes(subsel) ? show_bits(p->codes[subsel], sizeof(p->codes[subsel]), c) : 0;
}

static unsigned show_axis(
	const struct input_properties *p, unsigned subsel, struct virtio_input_config *c)
{
	const struct input_absinfo *a;

	if (!input_has(p, EV_ABS, subsel))
		return 0;
	a = &p->axis[subsel];
	c->u.abs = (struct virtio_input_absinfo){ htole32((uint32_t)a->minimum),
		htole32((uint32_t)a->maximum), htole32((uint32_t)a->fuzz),
		htole32((uint32_t)a->flat), htole32((uint32_t)a->resolution) };
	return sizeof(c->u.abs);
}

static const struct {
	uint8_t select;
	unsigned (*show)(
		const struct input_properties *p, unsigned subsel, struct virtio_input_config *c);
} windows[] = {
	{ VIRTIO_INPUT_CFG_ID_NAME, show_name },
	{ VIRTIO_INPUT_CFG_ID_SERIAL, show_serial },
	{ VIRTIO_INPUT_CFG_ID_DEVIDS, show_ids },
	{ VIRTIO_INPUT_CFG_PROP_BITS, show_props },
	{ VIRTIO_INPUT_CFG_EV_BITS, show_codes },
	{ VIRTIO_INPUT_CFG_ABS_INFO, show_axis },
};

void input_config_show(const struct input_properties *p, struct virtio_input_config *c)
{
	c->size = 0;
	memset(&c->u, 0, sizeof(c->u));
	for (unsigned i = 0; i < G_N_ELEMENTS(windows); i++) {
		if (windows[i].select == c->select)
			c->size = windows[i].show(p, c->subsel, c);
	}
}
