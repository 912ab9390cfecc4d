/* SPDX-License-Identifier: Apache-2.0 */
/* See bench_survive.h. */
#include "tools/bench/bench_survive.h"

#include <inttypes.h>

#include "base/error.h"
#include "base/eventfd.h"
#include "tools/virtioctl.h"

bool bench_survive_loss(struct bench_session *s)
{
	if (!s->options->survive)
		return false;
	g_clear_pointer(&s->f, vu_front_free);
	s->n_started = 0;
	return true;
}

/* Checks that a driver of the last back-end can go on with this one. */
static bool fits(const struct bench_session *s, struct vu_front *f, GError **error)
{
	const struct vu_properties *now = vu_front_properties(f);
	struct blk_device device;

	if (!blk_device_read(f, BLK_RING_FEATURES, &device, error))
		return false;
	if (now->probe.device_id != s->device_id || now->probe.max_queues < s->options->queues ||
		device.capacity < s->device.capacity ||
		(device.features & s->layout.features) != s->layout.features)
		return error_set(error, CTL_ERROR, CTL_ERROR_FAILED,
			"the back-end came back as another device (type %" PRIu32 ", %" PRIu32
			" virtqueues, %" PRIu64 " bytes, features 0x%" PRIx64 ")",
			now->probe.device_id, now->probe.max_queues, device.capacity,
			device.features);
	return true;
}

/* Notifies of what the last back-end did not see, or did and could not tell any more. */
static void notify_both(const struct bench_session *s)
{
	for (unsigned i = 0; i < s->options->queues; i++)
		eventfd_signal(s->queues[i].io.kick);
	for (unsigned i = 0; i < s->options->threads; i++)
		eventfd_signal(s->threads[i].call);
}

bool bench_survive_dial(struct bench_session *s, GError **error)
{
	g_autoptr(GError) why = NULL;
	bool final;

	s->f = connect_dial(s->options->socket, &s->connect, &why);
	if (s->f && fits(s, s->f, &why) && bench_session_start(s, &why)) {
		notify_both(s);
		s->reconnects++;
		return true;
	}
	final = s->f ? vu_front_is_alive(s->f)
		     : g_error_matches(why, VU_FRONT_ERROR, VU_FRONT_ERROR_PROPERTIES);
	g_free(s->away);
	s->away = g_strdup(why->message);
	bench_survive_loss(s);
	if (final)
		g_propagate_error(error, g_steal_pointer(&why));
	return !final;
}
