/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-rtc (virtio 1.4 §5.23): the host's clocks, and alarms. Clocks are in rtc_clock.c, alarms
 * in rtc_alarm.c, requests in rtc_request.c.
 */
#include "daemon/devices/rtc/rtc.h"

#include <linux/virtio_ids.h>

#include "base/option.h"

enum { REQUESTS, ALARMS, N_QUEUES };

static struct {
	char *clocks, *state;
} options;

static bool rtc_open(struct virtio_device *d, GError **error)
{
	struct rtc_device *r = d->data = g_new0(struct rtc_device, 1);

	r->d = d;
	r->state_fd = -1;
	d->num_queues = N_QUEUES;
	if (!rtc_clocks_open(r, options.clocks, error)) {
		g_prefix_error(error, "--clocks=%s: ", options.clocks);
		return false;
	}
	return rtc_alarms_open(r, options.state, error);
}

static void rtc_close(struct virtio_device *d)
{
	struct rtc_device *r = g_steal_pointer(&d->data);

	rtc_alarms_close(r);
	g_free(r);
	g_clear_pointer(&options.clocks, g_free);
	g_clear_pointer(&options.state, g_free);
}

static void rtc_reset(struct virtio_device *d)
{
	rtc_alarms_reset(d->data);
}

static void rtc_queue_start(struct virtio_device *d, struct vq *q)
{
	struct rtc_device *r = d->data;

	/* Alarms of a driver that was there before, and not of this one. */
	if (!r->begun && !vq_is_resumed(q))
		rtc_alarms_reset(r);
	r->begun = true;
	if (vq_index(q) == ALARMS)
		rtc_alarms_start(r, q);
}

static void rtc_kick(struct virtio_device *d, struct vq *q)
{
	if (vq_index(q) == ALARMS) {
		rtc_alarms_report(d->data);
		return;
	}
	while (rtc_request_serve(d->data, q))
		;
}

static const struct option_entry rtc_options[] = {
	{ "clocks", "LIST", .string = &options.clocks,
		.help = "Clocks: utc, tai, monotonic, smeared, noon-linear, utc-sls, "
			"maybe-smeared" },
	{ "state", "FILE", .path = &options.state,
		.help = "Keep the guest's alarms, for a program that is started anew" },
	{ NULL },
};

static const struct syscall_rule rtc_calls[] = { SYSCALL(pwrite64), SYSCALL_END };
static const struct virtio_device_needs rtc_needs = { .calls = rtc_calls };

const struct virtio_device_ops virtio_device_ops = {
	.name = "rtc",
	.summary = "virtio real time clock with the host's time, and alarms",
	.probe = {
		.device_id = VIRTIO_ID_CLOCK,
		.features = 1ull << RTC_F_ALARM,
		.min_queues = 1,
		.max_queues = N_QUEUES,
	},
	.threads = VIRTIO_DEVICE_ONE,
	.options = rtc_options,
	.needs = &rtc_needs,
	.open = rtc_open,
	.close = rtc_close,
	.reset = rtc_reset,
	.queue_start = rtc_queue_start,
	.kick = rtc_kick,
};
