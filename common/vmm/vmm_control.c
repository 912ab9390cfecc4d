/* SPDX-License-Identifier: Apache-2.0 */
/* The control thread: finds a back-end, waits for events, and runs a pass for new wishes. */
#include "vmm/vmm_impl.h"

#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <linux/virtio_config.h>

#include "base/util.h"

static void snapshot(struct vmm_dev *d)
{
	struct vmm_want *w = &d->want;

	pthread_mutex_lock(&d->lock);
	w->seq = d->seq;
	w->status = virtio_mmio_status(d->mmio) & ~VIRTIO_CONFIG_S_NEEDS_RESET;
	w->features = virtio_mmio_driver_features(d->mmio);
	w->resets = d->resets;
	w->memory = d->memory;
	w->config = d->config_drops;
	w->config_event = d->config_event;
	d->config_event = false;
	g_clear_pointer(&w->config_writes, g_array_unref);
	w->config_writes = g_steal_pointer(&d->config_writes);
	for (unsigned i = 0; i < d->facts.probe.max_queues; i++) {
		const struct virtio_mmio_queue *q = virtio_mmio_queue(d->mmio, i);

		/* None in a slot that was just given up. */
		w->queue[i].q = q ? *q : (struct virtio_mmio_queue){ 0 };
		w->queue[i].epoch = d->epoch[i];
	}
	pthread_mutex_unlock(&d->lock);
}

/* Notes why there is no back-end; true if that is news. Final: there will never be one. */
static bool note_problem(struct vmm_dev *d, const char *problem, bool final)
{
	bool news;

	pthread_mutex_lock(&d->lock);
	news = g_strcmp0(d->problem, problem) != 0;
	if (news) {
		g_free(d->problem);
		d->problem = g_strdup(problem);
	}
	d->failed = final;
	pthread_cond_broadcast(&d->cond);
	pthread_mutex_unlock(&d->lock);
	return news;
}

/* From here on the back-end is away: what waits for it is complete. */
static void hang_up(struct vmm_dev *d)
{
	GArray *done = vmm_done_new();

	g_clear_pointer(&d->front, vu_front_free);
	for (unsigned i = 0; i < d->facts.probe.max_queues; i++)
		d->ring[i].state = VMM_RING_STOPPED;
	d->memory_sent = 0;
	d->features_sent = false;
	d->status_sent = 0;
	pthread_mutex_lock(&d->lock);
	d->connected = false;
	vmm_take_done(d, UINT64_MAX, done);
	pthread_cond_broadcast(&d->cond);
	pthread_mutex_unlock(&d->lock);
	vmm_complete(d, done);
}

static void lose(struct vmm_dev *d, const char *why)
{
	hang_up(d);
	note_problem(d, why, false);
	log_limited(&d->limit, LOG_LEVEL_WARNING, d->name, "lost the back-end: %s", why);
	d->retry_at = g_get_monotonic_time() + d->retry_ms * G_TIME_SPAN_MILLISECOND;
	if (!d->socket_path)
		vmm_needs_reset(d, "the back-end cannot be dialled again");
}

static void pass(struct vmm_dev *d)
{
	g_autoptr(GError) error = NULL;
	GArray *done;

	snapshot(d);
	if (!vmm_converge(d, &error)) {
		lose(d, error->message);
		return;
	}
	done = vmm_done_new();
	pthread_mutex_lock(&d->lock);
	d->done = d->want.seq;
	vmm_take_done(d, d->done, done);
	pthread_cond_broadcast(&d->cond);
	pthread_mutex_unlock(&d->lock);
	vmm_complete(d, done);
}

/* The first back-end: the slot becomes what it is. False: given up meanwhile. */
static bool adopt(struct vmm_dev *d, const struct vu_facts *facts)
{
	uint32_t room = MIN(d->window - VIRTIO_MMIO_CONFIG_SPACE, VIRTIO_MAX_CONFIG);
	struct virtio_probe probe = facts->probe;
	GArray *done = vmm_done_new();
	bool given_up;

	if (probe.config_size > room) {
		log_warning(d->name,
			"%" PRIu32 " bytes of configuration, the window has room for %" PRIu32,
			probe.config_size, room);
		probe.config_size = room;
	}
	d->ring = g_new0(struct vmm_ring, facts->probe.max_queues);
	for (unsigned i = 0; i < facts->probe.max_queues; i++)
		d->ring[i].kick = d->ring[i].call = -1;
	d->config = g_malloc0(facts->probe.config_size);
	d->config_written = g_malloc0(MAX(facts->probe.config_size, 1)); /* not NULL */
	d->facts = *facts;

	pthread_mutex_lock(&d->lock);
	given_up = d->slot != VMM_SLOT_PROBING;
	if (!given_up) {
		virtio_mmio_set_device(d->mmio, &probe, d->queue_size_max);
		d->slot = VMM_SLOT_DEVICE;
		d->config_drops++;
		d->connected = true;
		vmm_wish(d);
		vmm_replay(d, done);
		pthread_cond_broadcast(&d->cond);
	}
	pthread_mutex_unlock(&d->lock);
	vmm_complete(d, done);
	return !given_up;
}

/* What the guest wrote to the configuration becomes wishes again; under the lock. */
static void rewrite_config(struct vmm_dev *d)
{
	uint32_t size = d->facts.probe.config_size;

	g_clear_pointer(&d->config_writes, g_array_unref);
	for (uint32_t i = 0; i < size; i++) {
		struct vmm_config_write w = { .offset = i };

		while (i < size && w.size < sizeof(w.bytes) && d->config_written[i]) {
			((uint8_t *)&w.bytes)[w.size++] = d->config[i];
			i++;
		}
		if (!w.size)
			continue;
		if (!d->config_writes)
			d->config_writes = g_array_new(FALSE, FALSE, sizeof(w));
		g_array_append_val(d->config_writes, w);
		i--;
	}
}

/* A back-end that came back: is it the same for the guest? */
static bool fits(struct vmm_dev *d, const struct virtio_probe *now, GError **error)
{
	const struct virtio_probe *was = &d->facts.probe;
	uint64_t features = was->features;

	pthread_mutex_lock(&d->lock);
	if (virtio_mmio_status(d->mmio) & VIRTIO_CONFIG_S_FEATURES_OK)
		features = virtio_mmio_driver_features(d->mmio);
	pthread_mutex_unlock(&d->lock);
	if (now->device_id != was->device_id)
		g_set_error(error, VU_FRONT_ERROR, VU_FRONT_ERROR_FACTS,
			"device id %" PRIu32 " instead of %" PRIu32, now->device_id,
			was->device_id);
	else if (now->config_size != was->config_size)
		g_set_error(error, VU_FRONT_ERROR, VU_FRONT_ERROR_FACTS,
			"%" PRIu32 " bytes of configuration instead of %" PRIu32, now->config_size,
			was->config_size);
	else if (now->max_queues < was->max_queues)
		g_set_error(error, VU_FRONT_ERROR, VU_FRONT_ERROR_FACTS,
			"%" PRIu32 " queues instead of %" PRIu32, now->max_queues, was->max_queues);
	else if (features & ~now->features)
		g_set_error(error, VU_FRONT_ERROR, VU_FRONT_ERROR_FACTS,
			"features 0x%" PRIx64 " are missing", features & ~now->features);
	else
		return true;
	g_prefix_error(error, "the back-end came back as another device: ");
	return false;
}

static void take_back(struct vmm_dev *d)
{
	pthread_mutex_lock(&d->lock);
	/* Resets of the time in between need not be repeated. */
	d->resets_done = d->resets;
	rewrite_config(d);
	d->config_drops++;
	/* It may have changed while nobody could say so. */
	d->config_event = true;
	d->counters.reconnects++;
	d->connected = true;
	vmm_wish(d);
	pthread_mutex_unlock(&d->lock);
	log_limited(&d->limit, LOG_LEVEL_INFO, d->name, "the back-end is back");
}

static void dial_failed(struct vmm_dev *d, const GError *error)
{
	bool first = !d->ring;
	bool final = first &&
		(!d->socket_path || g_error_matches(error, VU_FRONT_ERROR, VU_FRONT_ERROR_FACTS));
	const char *why = error->message;

	/* A socket of ours has our name. */
	if (g_str_has_prefix(why, d->name) && g_str_has_prefix(why + strlen(d->name), ": "))
		why += strlen(d->name) + strlen(": ");
	/* That it is final is for those to say who wait for the device, or give it up. */
	if (note_problem(d, why, final) && !final)
		log_warning(d->name, "%s; trying again", why);
}

static void dial(struct vmm_dev *d)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(vu_front) f = NULL;
	bool first = !d->ring;

	/* A guest that resets from here on is not told of what is found here. */
	snapshot(d);
	if (d->socket_path)
		f = vu_front_connect(d->socket_path, &d->options, &error);
	else
		f = vu_front_new(fd_steal(&d->fd), d->name, &d->options, &error);
	d->retry_at = g_get_monotonic_time() + d->retry_ms * G_TIME_SPAN_MILLISECOND;
	if (!f) {
		dial_failed(d, error);
		return;
	}
	if (!first && !fits(d, &vu_front_facts(f)->probe, &error)) {
		dial_failed(d, error);
		vmm_set_needs_reset(d);
		return;
	}
	note_problem(d, NULL, false);
	d->front = g_steal_pointer(&f);
	if (!first)
		take_back(d);
	else if (!adopt(d, vu_front_facts(d->front)))
		hang_up(d);
}

static void config_changed(void *opaque)
{
	struct vmm_dev *d = opaque;

	pthread_mutex_lock(&d->lock);
	d->config_drops++;
	d->config_event = true;
	vmm_wish(d);
	pthread_mutex_unlock(&d->lock);
}

static void called(struct vmm_dev *d, unsigned queue)
{
	eventfd_t n;

	if (eventfd_read(d->ring[queue].call, &n) < 0)
		return;
	pthread_mutex_lock(&d->lock);
	d->counters.interrupts++;
	virtio_mmio_used(d->mmio);
	pthread_mutex_unlock(&d->lock);
}

enum { POLL_WAKE, POLL_FRONT, POLL_CHANNEL, POLL_CALLS };

/* Waits for the first event, or for timeout_ms, and deals with all there are. */
static void wait_for_events(struct vmm_dev *d, int timeout_ms)
{
	static const struct vu_front_events events = { .config_changed = config_changed };
	struct pollfd pfd[POLL_CALLS + VIRTIO_MAX_QUEUES];
	unsigned queues = d->facts.probe.max_queues;
	eventfd_t n;

	pfd[POLL_WAKE] = (struct pollfd){ .fd = d->wake, .events = POLLIN };
	pfd[POLL_FRONT] = (struct pollfd){ .fd = d->front ? vu_front_fd(d->front) : -1,
		.events = POLLIN | POLLRDHUP };
	pfd[POLL_CHANNEL] = (struct pollfd){
		.fd = d->front ? vu_front_backend_fd(d->front) : -1,
		.events = POLLIN,
	};
	for (unsigned i = 0; i < queues; i++)
		pfd[POLL_CALLS + i] = (struct pollfd){
			.fd = d->ring[i].irqfd ? -1 : d->ring[i].call,
			.events = POLLIN,
		};
	if (poll(pfd, POLL_CALLS + queues, timeout_ms) <= 0)
		return;
	if (pfd[POLL_WAKE].revents)
		eventfd_read(d->wake, &n);
	for (unsigned i = 0; i < queues; i++)
		if (pfd[POLL_CALLS + i].revents)
			called(d, i);
	if (pfd[POLL_CHANNEL].revents && !vu_front_backend_event(d->front, &events, d))
		lose(d, "it closed its channel");
	else if (pfd[POLL_FRONT].revents)
		lose(d, "it closed the connection");
}

/* Milliseconds until the next attempt; -1: there is nothing to attempt. */
static int next_dial(const struct vmm_dev *d, bool wanted)
{
	int64_t left = d->retry_at - g_get_monotonic_time();

	if (!wanted || d->front || (!d->socket_path && d->fd < 0))
		return -1;
	return left > 0 ? (int)((left + 999) / 1000) : 0;
}

void *vmm_control_main(void *opaque)
{
	struct vmm_dev *d = opaque;
	g_autoptr(GError) error = NULL;
	GArray *done = vmm_done_new();
	bool quit = false;

	while (!quit) {
		bool news, wanted;

		pthread_mutex_lock(&d->lock);
		quit = d->quit;
		news = d->seq != d->done;
		wanted = !quit && d->slot != VMM_SLOT_EMPTY && !d->failed;
		pthread_mutex_unlock(&d->lock);
		if (d->front && !wanted) {
			vmm_stop_rings(d, &error);
			g_clear_error(&error);
			hang_up(d);
		}
		if (next_dial(d, wanted) == 0)
			dial(d);
		else if (d->front && news)
			pass(d);
		if (!quit)
			wait_for_events(d, next_dial(d, wanted));
	}
	pthread_mutex_lock(&d->lock);
	virtio_mmio_set_device(d->mmio, NULL, 0);
	vmm_replay(d, done);
	pthread_mutex_unlock(&d->lock);
	vmm_complete(d, done);
	return NULL;
}
