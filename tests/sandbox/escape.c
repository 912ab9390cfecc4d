/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-escape: a back-end that has been taken over. On SIGHUP it tries all that it can. */
#include "base/option.h"
#include "daemon/device.h"
#include "tests/sandbox/attempts.h"

static unsigned victim;
static bool carelessly;

static void escape_kick(struct virtio_device *d, struct vq *q)
{
	struct vq_chain *c;

	while ((c = vq_pop(q)))
		vq_push(c);
}

static void escape_reload(struct virtio_device *d)
{
	if (carelessly)
		execl("/bin/true", "true", NULL);
	attempts_run((int)victim);
	attempts_ioctls();
}

static const struct option_entry escape_options[] = {
	{ "victim", "PID", .number = &victim, .help = "Another process" },
	{ "carelessly", .flag = &carelessly, .help = "Do not catch signals" },
	{ NULL },
};

const struct virtio_device_ops virtio_device_ops = {
	.name = "escape",
	.type = "input",
	.summary = "a back-end that has been taken over",
	.probe = { .device_id = 18, .min_queues = 1, .max_queues = 1 },
	.options = escape_options,
	.reload = escape_reload,
	.kick = escape_kick,
};
