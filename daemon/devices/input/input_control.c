/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of the control socket. */
#include "input_control.h"

#include <libevdev/libevdev.h>

#include "base/number.h"
#include "input_play.h"

#define MAX_EVENTS 256

/* Reads "KEY_A=1". */
static bool parse_event(const struct input *in, char *word, struct input_event *e, GError **error)
{
	char *value = strchr(word, '='), *end;
	int type, code;
	int64_t number;

	if (!value)
		return option_bad(error, "'%s' has no value (KEY_A=1)", word);
	*value++ = '\0';
	type = libevdev_event_type_from_code_name(word);
	code = libevdev_event_code_from_code_name(word);
	if (type < 0 || code < 0)
		return option_bad(error, "there is no event '%s'", word);
	if (type != EV_SYN && !input_has(&in->properties, type, code))
		return option_bad(error, "the device has no %s", word);
	number = g_ascii_strtoll(value, &end, 10);
	if (end == value || *end || number < INT32_MIN || number > INT32_MAX)
		return option_bad(error, "'%s' is no value of %s", value, word);
	*e = (struct input_event){ .type = type, .code = code, .value = number };
	return true;
}

/* Sends a frame, which SYN_REPORT ends, also where that is not written. */
static bool call_send(
	struct virtio_device *d, const struct virtio_arg *args, struct json *result, GError **error)
{
	g_auto(GStrv) words = g_strsplit(args[0].text, " ", MAX_EVENTS);
	static const struct input_event end = { .type = EV_SYN, .code = SYN_REPORT };
	struct input_event events[MAX_EVENTS + 1];
	unsigned n = 0;

	for (unsigned i = 0; words[i]; i++) {
		if (*words[i] && !parse_event(d->data, words[i], &events[n++], error))
			return false;
	}
	if (n && (events[n - 1].type != EV_SYN || events[n - 1].code != SYN_REPORT))
		events[n++] = end;
	return input_play_send(d->data, events, n, error);
}

static bool call_replay(
	struct virtio_device *d, const struct virtio_arg *args, struct json *result, GError **error)
{
	return input_play_again(d->data, error);
}

static void list_set(struct json *to, const char *key, const struct input *in, unsigned type)
{
	const uint8_t *bits = type == EV_LED ? in->leds : in->sounds;

	json_open_array(to, key);
	for (unsigned i = 0; i < input_codes(type); i++) {
		if (input_bit(bits, i))
			json_string(to, NULL, libevdev_event_code_get_name(type, i));
	}
	json_close_array(to);
}

static bool call_state(
	struct virtio_device *d, const struct virtio_arg *args, struct json *result, GError **error)
{
	const struct input *in = d->data;

	json_string(result, "name", in->properties.name);
	list_set(result, "leds", in, EV_LED);
	list_set(result, "sounds", in, EV_SND);
	return true;
}

const struct virtio_method input_methods[] = {
	{
		.name = "send",
		.summary =
			"Send events of a recorded or simulated device: events=\"KEY_A=1 KEY_B=1\"",
		.params = { { "events", VIRTIO_PARAM_TEXT } },
		.call = call_send,
	},
	{
		.name = "replay",
		.summary = "Play the recording of --replay from its beginning",
		.call = call_replay,
	},
	{
		.name = "state",
		.summary = "Report the device's name, and the LEDs and sounds that are on",
		.call = call_state,
	},
	{ NULL },
};
