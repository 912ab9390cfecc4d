/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for people, in the tool alone: the layers below know no device. What has no name here is
 * shown by its number.
 */
#pragma once

#include <linux/virtio_ids.h>
#include <stdbool.h>
#include <stdint.h>

#ifndef VIRTIO_ID_SPI
#define VIRTIO_ID_SPI 45 /* Linux 6.18 */
#endif

/* "block" for 2; NULL for an id without a name. */
const char *names_device(uint32_t id);
/* Sets *id to the device of this name; false: there is none. */
bool names_device_id(const char *name, uint32_t *id);
/*
 * "SEG_MAX" for bit 2 of device 2; bits of ring, transport and vhost-user are the same for all.
 * NULL for a bit without a name.
 */
const char *names_feature(uint32_t device_id, unsigned bit);
