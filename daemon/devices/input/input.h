/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-input: what the parts of the device share. */
#pragma once

#include <linux/input.h>
#include <linux/virtio_input.h>

#include "daemon/device.h"

enum { INPUT_EVENTS, INPUT_STATUS, INPUT_QUEUES };

/* What an input device is and can report. */
struct input_properties {
	char name[128 + 1], serial[128 + 1];
	struct input_id id;
	uint8_t props[INPUT_PROP_CNT / 8];
	uint8_t codes[EV_CNT][KEY_CNT / 8]; /* of each type, a bitmap */
	struct input_absinfo axis[ABS_CNT];
};

struct input;

/* Where events come from. Functions run on the device's thread, but for open and close. */
struct input_source {
	/*
	 * Returns 0 and the next event, -EAGAIN (none now), or another -errno: there will be no
	 * more.
	 */
	int (*next)(struct input *in, struct input_event *e);
	/*
	 * Calls input_run() once there may be an event again; or, on is false, does not any more.
	 */
	void (*wait)(struct input *in, struct vq *q, bool on);
	/* Returns the present value of a key, switch or axis. */
	int (*value)(const struct input *in, unsigned type, unsigned code);
	/* A driver has set up the device: events until now are not for it. */
	void (*begin)(struct input *in);
	/* The guest sets an LED or the like, which the device has. */
	void (*set)(struct input *in, const struct input_event *e);
	void (*close)(struct input *in);
};

struct input {
	struct virtio_device *d;
	struct input_properties properties;
	const struct input_source *source; /* NULL: not open */
	void *data; /* the source's */
	const char *path; /* of the source, for messages */
	bool begun; /* this process has had a driver */
	bool has_driver; /* it has not reset the device since it has set it up */
	bool ended; /* the source has no more events */
	/* The guest is told the state of keys and the like, from one step to another. */
	unsigned step, last_step;
	bool telling; /* some of it */
	uint8_t leds[(LED_CNT + 7) / 8], sounds[(SND_CNT + 7) / 8]; /* as the guest has set them */
	struct log_limit limit;
};

/* input.c */

/* Gives the guest what events there are. */
void input_run(struct input *in);

static inline bool input_bit(const uint8_t *bits, unsigned n)
{
	return bits[n / 8] & (1u << n % 8);
}

static inline void input_set_bit(uint8_t *bits, unsigned n, bool value)
{
	bits[n / 8] = (bits[n / 8] & ~(1u << n % 8)) | value << n % 8;
}

/* Returns true if the device has this type and code. Both may be any numbers. */
bool input_has(const struct input_properties *p, unsigned type, unsigned code);
/* Returns the number of codes of a type; 0: the guest does not learn of such events. */
unsigned input_codes(unsigned type);

/* input_config.c */

/* Shows in the configuration space what its select and subsel ask for. */
void input_config_show(const struct input_properties *p, struct virtio_input_config *c);

/* input_sync.c */

/*
 * Tells a driver that knows nothing yet of switches and axes; keys are up for it. Or, everything:
 * tells one whose previous back-end died, which it saw keys and touches of.
 */
void input_sync_start(struct input *in, bool everything);
/* Returns false if there is nothing more to tell. */
bool input_sync_next(struct input *in, struct input_event *e);

/* input_evdev.c: a device of the host. */
bool input_evdev_open(struct input *in, const char *path, bool grab, GError **error);

/* input_play.c: a recording, or what the control socket sends. */
bool input_replay_open(struct input *in, const char *path, GError **error);
void input_sim_open(struct input *in, unsigned kind);
extern const char *const input_sim_words[];
