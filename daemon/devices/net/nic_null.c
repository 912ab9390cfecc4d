/* SPDX-License-Identifier: Apache-2.0 */
/* No host, for measuring: drops what the guest sends, and may send as much as it can take. */
#include "nic.h"

#include <string.h>

#include "base/option.h"

static bool null_open(struct nic *n, GError **error)
{
	if (strcmp(nic_options.backend, "null") != 0)
		return option_bad(error, "the only one is null");
	n->host_up = true;
	return true;
}

static void null_close(struct nic *n)
{
}

static unsigned null_send(struct nic_pair *p, struct nic_frame *f, unsigned n)
{
	return n;
}

/* Gives the guest broadcast frames, of an EtherType for experiments, in all of its buffers. */
static void null_receive(struct nic_pair *p, struct vq *q)
{
	static const uint8_t head[NET_MIN_FRAME] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0,
		0, 0, 1, 0x88, 0xb5 };

	if (!nic_options.generate)
		return;
	memcpy(p->linear, head, sizeof(head));
	while (p->n->link_up && nic_rx_put(p, q, NULL, p->linear, nic_options.generate))
		;
}

const struct nic_host nic_host_null = {
	.option = "backend",
	.multi_queue = true,
	.stable = true,
	.open = null_open,
	.close = null_close,
	.send = null_send,
	.receive = null_receive,
};
