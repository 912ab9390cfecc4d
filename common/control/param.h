/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of methods of a control socket, as tables. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What a method of the control socket takes. */
enum virtio_param_type {
	VIRTIO_PARAM_TEXT, /* at most max bytes (0: 4096), UTF-8 without NUL */
	VIRTIO_PARAM_NUMBER, /* from min to max; also as text: "0x50" */
	VIRTIO_PARAM_FLAG, /* true or false; also as text: "on" */
};
struct virtio_param {
	const char *name; /* NULL ends the list */
	enum virtio_param_type type;
	int64_t min, max;
	bool optional;
};
/* What was given for it. */
struct virtio_arg {
	bool given; /* true unless the parameter is optional */
	const char *text; /* of a text, valid during the call; "" if not given */
	int64_t number; /* of a number; 0 if not given */
	bool flag;
};
#define VIRTIO_MAX_PARAMS 8
