/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device of two queues with every verb and service that messages lead to: it echoes requests, and
 * maps shared memory for one whose first byte is 1.
 */
#pragma once

#include "daemon/device.h"

extern const struct virtio_device_ops fuzz_device_ops;
/* What it maps, and returns for a shared object: a file of the target's. */
extern int fuzz_device_object;
