/* SPDX-License-Identifier: Apache-2.0 */
/* The device's methods of the control socket. */
#pragma once

#include "input.h"

extern const struct virtio_method input_methods[];
