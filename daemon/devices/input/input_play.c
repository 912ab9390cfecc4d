/* SPDX-License-Identifier: Apache-2.0 */
/* A recording that is played, or a simulated device; and what the control socket sends. */
#include "input_play.h"

#include <errno.h>

#include "input_recording.h"

#define MAX_SENT 4096

struct input_play {
	struct input *in;
	struct virtio_timer timer;
	GArray *recorded; /* struct input_recorded */
	unsigned at; /* the next one; all of them: nothing is played */
	int64_t start; /* monotonic µs */
	GArray *sent; /* struct input_event, from the control socket */
	unsigned sent_at; /* the next one */
	uint8_t keys[KEY_CNT / 8], switches[(SW_CNT + 7) / 8]; /* as the guest knows them */
	int axis[ABS_CNT];
};

/* Notes the state after the event. */
static void note(struct input_play *p, const struct input_event *e)
{
	if (e->type == EV_KEY)
		input_set_bit(p->keys, e->code, e->value);
	else if (e->type == EV_SW)
		input_set_bit(p->switches, e->code, e->value);
	else if (e->type == EV_ABS)
		p->axis[e->code] = e->value;
}

static int play_next(struct input *in, struct input_event *e)
{
	struct input_play *p = in->data;
	const struct input_recorded *r;

	if (p->sent_at < p->sent->len) {
		*e = g_array_index(p->sent, struct input_event, p->sent_at++);
	} else {
		if (p->at == p->recorded->len)
			return -EAGAIN;
		r = &g_array_index(p->recorded, struct input_recorded, p->at);
		if (p->start + r->at > g_get_monotonic_time())
			return -EAGAIN;
		*e = (struct input_event){ .type = r->type, .code = r->code, .value = r->value };
		p->at++;
	}
	note(p, e);
	return 0;
}

static void play_due(struct virtio_device *d, struct vq *q, struct virtio_timer *t)
{
	input_run(container_of(t, struct input_play, timer)->in);
}

static void play_wait(struct input *in, struct vq *q, bool on)
{
	struct input_play *p = in->data;
	bool more = p->at < p->recorded->len;

	virtio_timer(in->d, q, &p->timer,
		on && more ? p->start + g_array_index(p->recorded, struct input_recorded, p->at).at
			   : -1);
}

static int play_value(const struct input *in, unsigned type, unsigned code)
{
	const struct input_play *p = in->data;

	if (type == EV_ABS)
		return p->axis[code];
	return input_bit(type == EV_KEY ? p->keys : p->switches, code);
}

static void restart(struct input_play *p)
{
	p->at = 0;
	p->start = g_get_monotonic_time();
}

static void play_begin(struct input *in)
{
	struct input_play *p = in->data;

	g_array_set_size(p->sent, 0);
	p->sent_at = 0;
	memset(p->keys, 0, sizeof(p->keys));
	memset(p->switches, 0, sizeof(p->switches));
	memset(p->axis, 0, sizeof(p->axis));
	restart(p);
}

static void play_set(struct input *in, const struct input_event *e)
{
}

static void play_close(struct input *in)
{
	struct input_play *p = g_steal_pointer(&in->data);

	g_array_unref(p->recorded);
	g_array_unref(p->sent);
	g_free(p);
}

static const struct input_source play = {
	.next = play_next,
	.wait = play_wait,
	.value = play_value,
	.begin = play_begin,
	.set = play_set,
	.close = play_close,
};

static void play_open(struct input *in)
{
	struct input_play *p = in->data = g_new0(struct input_play, 1);

	p->in = in;
	p->timer.expired = play_due;
	p->recorded = g_array_new(FALSE, FALSE, sizeof(struct input_recorded));
	p->sent = g_array_new(FALSE, FALSE, sizeof(struct input_event));
	in->source = &play;
}

bool input_replay_open(struct input *in, const char *path, GError **error)
{
	g_autofree char *text = NULL;
	struct input_play *p;

	play_open(in);
	p = in->data;
	in->path = path;
	if (g_file_get_contents(path, &text, NULL, error) &&
		input_recording_parse(text, &in->properties, p->recorded, error)) {
		p->at = p->recorded->len;
		return true;
	}
	g_prefix_error(error, "cannot replay '%s': ", path);
	return false;
}

const char *const input_sim_words[] = { "none", "keyboard", "mouse", "tablet", NULL };

void input_sim_open(struct input *in, unsigned kind)
{
	static const struct {
		uint8_t kind, type;
		uint16_t first, last;
	} codes[] = {
		{ 1, EV_KEY, KEY_ESC, KEY_MICMUTE },
		{ 1, EV_LED, LED_NUML, LED_SCROLLL },
		{ 2, EV_KEY, BTN_LEFT, BTN_TASK },
		{ 2, EV_REL, REL_X, REL_Y },
		{ 2, EV_REL, REL_HWHEEL, REL_HWHEEL },
		{ 2, EV_REL, REL_WHEEL, REL_WHEEL },
		{ 3, EV_KEY, BTN_LEFT, BTN_MIDDLE },
		{ 3, EV_REL, REL_WHEEL, REL_WHEEL },
		{ 3, EV_ABS, ABS_X, ABS_Y },
	};
	struct input_properties *to = &in->properties;

	play_open(in);
	in->path = "--sim";
	g_snprintf(to->name, sizeof(to->name), "virtiod simulated %s", input_sim_words[kind]);
	to->id.bustype = BUS_VIRTUAL;
	for (unsigned i = 0; i < G_N_ELEMENTS(codes); i++) {
		for (unsigned c = codes[i].first; codes[i].kind == kind && c <= codes[i].last; c++)
			input_set_bit(to->codes[codes[i].type], c, true);
	}
	to->axis[ABS_X].maximum = to->axis[ABS_Y].maximum = INT16_MAX;
}

/* Methods of the control socket. */

/* Returns NULL, with an error, if nothing can be sent. */
static struct input_play *play_of(struct input *in, GError **error)
{
	struct input_play *p = in->data;

	if (in->source != &play)
		option_bad(error, "events come from '%s', and not from this socket", in->path);
	else if (!in->has_driver)
		option_bad(error, "no driver of a guest has set up the device");
	else if (p->at < p->recorded->len)
		option_bad(error, "the recording is being played");
	else
		return p;
	return NULL;
}

bool input_play_again(struct input *in, GError **error)
{
	struct input_play *p = play_of(in, error);

	if (p && p->recorded->len == 0)
		return option_bad(error, "there is no recording (--replay)");
	if (!p)
		return false;
	restart(p);
	input_run(in);
	return true;
}

bool input_play_send(struct input *in, const struct input_event *e, unsigned n, GError **error)
{
	struct input_play *p = play_of(in, error);

	if (!p)
		return false;
	g_array_remove_range(p->sent, 0, p->sent_at);
	p->sent_at = 0;
	if (p->sent->len + n > MAX_SENT)
		return option_bad(error, "the guest does not take events: %u wait", p->sent->len);
	g_array_append_vals(p->sent, e, n);
	input_run(in);
	return true;
}
