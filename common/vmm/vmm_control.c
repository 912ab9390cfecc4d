/* SPDX-License-Identifier: Apache-2.0 */
/* The control thread: waits for events, and runs a pass when the desired state has changed. */
#include "vmm/vmm_impl.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <linux/virtio_config.h>

#include "base/eventfd.h"
#include "base/util.h"

void vmm_snapshot(struct vmm_dev *d)
{
	struct vmm_desired *w = &d->desired;

	pthread_mutex_lock(&d->lock);
	w->seq = d->seq;
	w->status = virtio_mmio_status(d->mmio) & ~VIRTIO_CONFIG_S_NEEDS_RESET;
	w->features = virtio_mmio_driver_features(d->mmio) & ~VU_BIT(VIRTIO_F_ACCESS_PLATFORM);
	w->resets = d->state->resets;
	w->memory = d->memory;
	w->invalidates = d->invalidates;
	w->config = d->config_drops;
	w->config_event = d->config_event;
	d->config_event = false;
	g_clear_pointer(&w->config_writes, g_array_unref);
	w->config_writes = g_steal_pointer(&d->config_writes);
	for (unsigned i = 0; i < d->properties.probe.max_queues; i++) {
		const struct virtio_mmio_queue *q = virtio_mmio_queue(d->mmio, i);

		/* None in a slot that was just given up. */
		w->queue[i].q = q ? *q : (struct virtio_mmio_queue){ 0 };
		w->queue[i].epoch = d->state->queue[i].epoch;
	}
	pthread_mutex_unlock(&d->lock);
}

bool vmm_note_problem(struct vmm_dev *d, const char *problem, bool final)
{
	bool is_new;

	pthread_mutex_lock(&d->lock);
	is_new = g_strcmp0(d->problem, problem) != 0;
	if (is_new) {
		g_free(d->problem);
		d->problem = g_strdup(problem);
	}
	d->failed = final;
	pthread_cond_broadcast(&d->cond);
	pthread_mutex_unlock(&d->lock);
	return is_new;
}

void vmm_hang_up(struct vmm_dev *d)
{
	GArray *done = vmm_done_new();

	/* Other processes may hold this socket, too: the back-end must not go on for them. */
	if (vu_front_is_alive(d->front))
		shutdown(vu_front_fd(d->front), SHUT_RDWR);
	g_clear_pointer(&d->front, vu_front_free);
	for (unsigned i = 0; i < d->properties.probe.max_queues; i++)
		d->vring[i].state = VMM_VRING_STOPPED;
	d->memory_sent = 0;
	d->table_told = false;
	d->compare = d->adopted = false;
	vmm_area_untold(d);
	pthread_mutex_lock(&d->lock);
	vmm_state_forget_front(d);
	d->connected = false;
	vmm_settle(d, done);
	vmm_take_done(d, UINT64_MAX, done);
	pthread_cond_broadcast(&d->cond);
	pthread_mutex_unlock(&d->lock);
	vmm_complete(d, done);
}

bool vmm_is_ending(struct vmm_dev *d)
{
	bool quit;

	pthread_mutex_lock(&d->lock);
	quit = d->quit;
	pthread_mutex_unlock(&d->lock);
	return quit;
}

static void lose(struct vmm_dev *d, const char *why)
{
	vmm_hang_up(d);
	if (vmm_is_ending(d))
		return;
	vmm_note_problem(d, why, false);
	log_limited(&d->limit, LOG_LEVEL_WARNING, d->name, "lost the back-end: %s", why);
	d->retry_at = g_get_monotonic_time() + d->retry_ms * G_TIME_SPAN_MILLISECOND;
	if (!vmm_can_dial_again(d))
		vmm_needs_reset(d, "the back-end cannot be dialled again");
}

static void pass(struct vmm_dev *d)
{
	g_autoptr(GError) error = NULL;
	GArray *done;

	vmm_snapshot(d);
	if (!vmm_converge(d, &error)) {
		lose(d, error->message);
		return;
	}
	done = vmm_done_new();
	pthread_mutex_lock(&d->lock);
	d->done = d->desired.seq;
	d->state->settled = 1;
	vmm_take_done(d, d->done, done);
	vmm_settle(d, done);
	pthread_cond_broadcast(&d->cond);
	pthread_mutex_unlock(&d->lock);
	vmm_complete(d, done);
}

static void config_changed(void *opaque)
{
	struct vmm_dev *d = opaque;

	pthread_mutex_lock(&d->lock);
	d->config_drops++;
	/* After an adoption that is no more than a guess. */
	if (d->adopted)
		d->compare = true;
	else
		d->config_event = true;
	d->adopted = false;
	vmm_changed(d);
	pthread_mutex_unlock(&d->lock);
}

static void called(struct vmm_dev *d, unsigned queue)
{
	if (!eventfd_collect(d->vring[queue].call))
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
	unsigned queues = d->properties.probe.max_queues;
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
			.fd = d->vring[i].irqfd ? -1 : d->vring[i].call,
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

/* Returns the sooner of two timeouts, of which -1 is none. */
static int sooner(int a, int b)
{
	return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

/* Milliseconds until the next attempt; -1: there is nothing to attempt. */
static int next_dial(const struct vmm_dev *d, bool wanted)
{
	int64_t left = d->retry_at - g_get_monotonic_time();

	if (!wanted || d->front || (!vmm_can_dial_again(d) && d->fd < 0))
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
		bool changed, wanted;

		pthread_mutex_lock(&d->lock);
		quit = d->quit;
		changed = d->seq != d->done;
		wanted = !quit && d->state->slot != VMM_SLOT_EMPTY && !d->failed;
		pthread_mutex_unlock(&d->lock);
		if (d->front && !wanted) {
			vmm_stop_rings(d, &error);
			g_clear_error(&error);
			vmm_hang_up(d);
		}
		vmm_check_idle(d);
		if (next_dial(d, wanted) == 0)
			vmm_dial(d);
		else if (d->front && changed)
			pass(d);
		if (!quit)
			wait_for_events(d, sooner(next_dial(d, wanted), vmm_next_idle(d)));
	}
	pthread_mutex_lock(&d->lock);
	vmm_state_close(d);
	d->settling = false;
	virtio_mmio_set_device(d->mmio, NULL, 0);
	vmm_take_done(d, UINT64_MAX, done);
	vmm_replay(d, done);
	d->ended = true;
	pthread_cond_broadcast(&d->cond);
	pthread_mutex_unlock(&d->lock);
	vmm_complete(d, done);
	return NULL;
}
