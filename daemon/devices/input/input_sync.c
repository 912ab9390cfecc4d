/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells a driver the present state: it learns of changes only. One event a step, so that this needs
 * no memory however few buffers the driver gives.
 */
#include "input.h"

/* The steps: keys, switches and axes by their codes, two for each touch, SYN_REPORT. */
#define SWITCHES KEY_CNT
#define AXES (SWITCHES + SW_CNT)
#define TOUCHES (AXES + ABS_MT_SLOT)
#define MAX_TOUCHES 128
#define REPORT (TOUCHES + 2 * MAX_TOUCHES)

void input_sync_start(struct input *in, bool everything)
{
	in->step = everything ? 0 : SWITCHES;
	in->last_step = everything ? REPORT : TOUCHES;
	in->telling = false;
}

static bool is_touch(const struct input *in, unsigned n)
{
	return input_has(&in->properties, EV_ABS, ABS_MT_SLOT) &&
		(int)n <= in->properties.axis[ABS_MT_SLOT].maximum;
}

/* Returns false if the device has nothing at this step. */
static bool at_step(const struct input *in, unsigned step, struct input_event *e)
{
	unsigned touch = (step - TOUCHES) / 2;

	*e = (struct input_event){ .type = EV_KEY, .code = step };
	if (step >= TOUCHES) {
		/* Touches end: what a finger that stays does is not known. */
		e->type = EV_ABS;
		e->code = step % 2 == TOUCHES % 2 ? ABS_MT_SLOT : ABS_MT_TRACKING_ID;
		e->value = e->code == ABS_MT_SLOT ? (int)touch : -1;
		return is_touch(in, touch);
	}
	if (step >= AXES) {
		e->type = EV_ABS;
		e->code = step - AXES;
	} else if (step >= SWITCHES) {
		e->type = EV_SW;
		e->code = step - SWITCHES;
	}
	if (!input_has(&in->properties, e->type, e->code))
		return false;
	e->value = in->source->value(in, e->type, e->code);
	/* All is 0 for a new driver. */
	return e->value || in->last_step == REPORT;
}

bool input_sync_next(struct input *in, struct input_event *e)
{
	while (in->step < in->last_step) {
		if (at_step(in, in->step++, e)) {
			in->telling = true;
			return true;
		}
	}
	if (!in->telling)
		return false;
	in->telling = false;
	*e = (struct input_event){ .type = EV_SYN, .code = SYN_REPORT };
	return true;
}
