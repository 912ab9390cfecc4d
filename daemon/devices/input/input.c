/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-input (virtio 1.2 §5.8): a keyboard, mouse, tablet or touchscreen of the host, a recording
 * of one, or a simulated one.
 *
 * Events are taken from the source only when the guest has buffers for them: what it does not take
 * waits there. If a device of the host has more than the kernel keeps for it, libevdev finds out
 * what has changed. So nothing is queued here, and none of a frame's events is dropped.
 */
#include "input.h"

#include <errno.h>
#include <linux/virtio_ids.h>

#include "input_control.h"

static struct {
	char *evdev_path, *replay;
	bool no_grab;
	unsigned sim;
} options;

unsigned input_codes(unsigned type)
{
	static const unsigned codes[EV_CNT] = {
		[EV_KEY] = KEY_CNT,
		[EV_REL] = REL_CNT,
		[EV_ABS] = ABS_CNT,
		[EV_MSC] = MSC_CNT,
		[EV_SW] = SW_CNT,
		[EV_LED] = LED_CNT,
		[EV_SND] = SND_CNT,
	};

	/* Without EV_REP: the host repeats keys, and the guest does not do so once more. */
	return type < EV_CNT ? codes[type] : 0;
}

bool input_has(const struct input_properties *p, unsigned type, unsigned code)
{
	return code < input_codes(type) && input_bit(p->codes[type], code);
}

/* Returns false for events of types that the guest did not learn of. */
static bool is_for_guest(const struct input_event *e)
{
	return e->type == EV_SYN ? e->code != SYN_DROPPED : e->code < input_codes(e->type);
}

/* Returns 0 and the next event for the guest, or -errno as the source does. */
static int input_next(struct input *in, struct input_event *e)
{
	int result;

	if (input_sync_next(in, e))
		return 0;
	if (in->ended)
		return -ENODEV;
	do
		result = in->source->next(in, e);
	while (!result && !is_for_guest(e));
	if (!result || result == -EAGAIN)
		return result;
	in->ended = true;
	log_warning("input", "no more events from '%s': %s", in->path, g_strerror(-result));
	/* Its keys are up now. */
	input_sync_start(in, true);
	return input_sync_next(in, e) ? 0 : -ENODEV;
}

/* Sends one event; returns false if nothing more can be done now. */
static bool input_send(struct input *in, struct vq *q)
{
	g_autoptr(vq_chain) c = vq_pop(q);
	struct virtio_input_event out;
	struct input_event e;
	int result;

	if (!c) {
		in->source->wait(in, q, false);
		return false;
	}
	if (iov_left(&c->in) < sizeof(out)) {
		vq_break(q, "a buffer for an event is of %zu bytes (at least %zu)",
			iov_left(&c->in), sizeof(out));
		return false;
	}
	result = input_next(in, &e);
	if (result < 0) {
		vq_unpop(g_steal_pointer(&c));
		in->source->wait(in, q, result == -EAGAIN);
		return false;
	}
	out.type = htole16(e.type);
	out.code = htole16(e.code);
	out.value = htole32((uint32_t)e.value);
	iov_push(&c->in, &out, sizeof(out));
	return true;
}

void input_run(struct input *in)
{
	struct vq *q = virtio_device_queue(in->d, INPUT_EVENTS);

	while (q && input_send(in, q))
		;
}

/*
 * Returns true for what a guest may ask of the device. Linux gives it all MSC events back that it
 * sends, time stamps among them: those are no request, and would come again.
 */
static bool is_settable(const struct input *in, const struct input_event *e)
{
	return (e->type == EV_LED || e->type == EV_SND ||
		       (e->type == EV_MSC && e->code != MSC_TIMESTAMP)) &&
		input_has(&in->properties, e->type, e->code);
}

/* Tells the clients of the control socket. */
static void input_tell(struct input *in, const struct input_event *e)
{
	struct json *j = virtio_event_begin(in->d, "status");

	if (!j)
		return;
	json_uint(j, "type", e->type);
	json_uint(j, "code", e->code);
	json_int(j, "value", e->value);
	virtio_event_end(in->d, j);
}

/*
 * Sets LEDs and sounds, and nothing else: what is written to a device of the host is otherwise
 * taken for input from it.
 */
static bool input_status(struct input *in, struct vq *q)
{
	g_autoptr(vq_chain) c = vq_pop(q);
	struct virtio_input_event from;
	struct input_event e = { 0 };

	if (!c)
		return false;
	if (iov_pull(&c->out, &from, sizeof(from)) < sizeof(from)) {
		vq_break(q, "a status event is shorter than %zu bytes", sizeof(from));
		return false;
	}
	e.type = le16toh(from.type);
	e.code = le16toh(from.code);
	e.value = (int32_t)le32toh(from.value);
	if (!is_settable(in, &e))
		return true;
	if (e.type == EV_LED)
		input_set_bit(in->leds, e.code, e.value);
	else if (e.type == EV_SND)
		input_set_bit(in->sounds, e.code, e.value);
	if (!in->ended)
		in->source->set(in, &e);
	input_tell(in, &e);
	return true;
}

static void input_kick(struct virtio_device *d, struct vq *q)
{
	struct input *in = d->data;

	if (vq_index(q) == INPUT_EVENTS)
		input_run(in);
	else
		while (input_status(in, q))
			;
}

static void input_queue_start(struct virtio_device *d, struct vq *q)
{
	struct input *in = d->data;

	if (vq_index(q) != INPUT_EVENTS)
		return;
	if (!vq_is_resumed(q)) {
		in->source->begin(in);
		input_sync_start(in, false);
	} else if (!in->begun) {
		input_sync_start(in, true);
	}
	in->begun = in->has_driver = true;
}

static void input_queue_stop(struct virtio_device *d, struct vq *q)
{
	struct input *in = d->data;

	if (vq_index(q) == INPUT_EVENTS)
		in->source->wait(in, q, false);
}

static void input_config_written(struct virtio_device *d, uint32_t offset, uint32_t size)
{
	struct input *in = d->data;

	input_config_show(&in->properties, (struct virtio_input_config *)d->config);
}

static void input_reset(struct virtio_device *d)
{
	struct input *in = d->data;

	in->has_driver = false;
	memset(d->config, 0, sizeof(struct virtio_input_config));
}

static bool input_open(struct virtio_device *d, GError **error)
{
	struct input *in = d->data = g_new0(struct input, 1);

	in->d = d;
	d->num_queues = INPUT_QUEUES;
	if (options.evdev_path)
		return input_evdev_open(in, options.evdev_path, !options.no_grab, error);
	if (options.replay)
		return input_replay_open(in, options.replay, error);
	if (!options.sim)
		return option_bad(error, "no source of events (--evdev-path, --replay or --sim)");
	input_sim_open(in, options.sim);
	return true;
}

static void input_close(struct virtio_device *d)
{
	struct input *in = g_steal_pointer(&d->data);

	if (in->source)
		in->source->close(in);
	g_free(in);
	g_clear_pointer(&options.evdev_path, g_free);
	g_clear_pointer(&options.replay, g_free);
}

static const struct option_entry input_options[] = {
	{ "evdev-path", "DEVICE", .path = &options.evdev_path, .excludes = { "replay", "sim" },
		.help = "An input device of the host, as /dev/input/event3" },
	{ "no-grab", .flag = &options.no_grab,
		.help = "Let the host have the events of --evdev-path, too" },
	{ "replay", "FILE", .path = &options.replay, .excludes = { "sim" },
		.help = "Be the device that evemu-record has recorded, and play its events" },
	{ "sim", "KIND", .word = &options.sim, .words = input_sim_words, .initial = "none",
		.help = "Simulate a keyboard, mouse or tablet, for the control socket" },
	{ NULL },
};

static const struct virtio_config_range input_writable[] = {
	{ offsetof(struct virtio_input_config, select), 2 },
	{ .size = 0 },
};

/* libevdev asks for what has changed when events were lost; answers are of several sizes. */
#define EVIOC_ANY_SIZE(request)                                            \
	SYSCALL_IF(ioctl, 1, ~(uint32_t)(_IOC_SIZEMASK << _IOC_SIZESHIFT), \
		(uint32_t)(request) & ~(uint32_t)(_IOC_SIZEMASK << _IOC_SIZESHIFT))

static const struct syscall_rule input_calls[] = {
	EVIOC_ANY_SIZE(EVIOCGKEY(0)),
	EVIOC_ANY_SIZE(EVIOCGLED(0)),
	EVIOC_ANY_SIZE(EVIOCGSW(0)),
	EVIOC_ANY_SIZE(EVIOCGMTSLOTS(0)),
	/* EVIOCGABS(0) to EVIOCGABS(ABS_MAX): 0x40 to 0x7f */
	SYSCALL_IF(ioctl, 1, ~(uint32_t)ABS_MAX, (uint32_t)EVIOCGABS(0)),
	SYSCALL_END,
};

static const struct virtio_device_needs input_needs = { .calls = input_calls };

static const char *const input_capabilities[] = { "evdev-path", "no-grab", NULL };

const struct virtio_device_ops virtio_device_ops = {
	.name = "input",
	.type = "input",
	.summary = "virtio input device: a keyboard, mouse or the like",
	.probe = {
		.device_id = VIRTIO_ID_INPUT,
		.config_size = sizeof(struct virtio_input_config),
		.min_queues = INPUT_QUEUES,
		.max_queues = INPUT_QUEUES,
	},
	.threads = VIRTIO_DEVICE_ONE,
	.config_writable = input_writable,
	.options = input_options,
	.methods = input_methods,
	.needs = &input_needs,
	.capabilities = input_capabilities,
	.open = input_open,
	.close = input_close,
	.reset = input_reset,
	.config_written = input_config_written,
	.queue_start = input_queue_start,
	.queue_stop = input_queue_stop,
	.kick = input_kick,
};
