/* SPDX-License-Identifier: Apache-2.0 */
/* Registers of virtio-mmio (virtio 1.2 §4.2.2), for guests that have no other header. */
#pragma once

enum {
	MAGIC = 0x0,
	DEVICE_ID = 0x8,
	DEVICE_FEATURES = 0x10,
	DEVICE_FEATURES_SEL = 0x14,
	DRIVER_FEATURES = 0x20,
	DRIVER_FEATURES_SEL = 0x24,
	QUEUE_SEL = 0x30,
	QUEUE_SIZE_MAX = 0x34,
	QUEUE_SIZE = 0x38,
	QUEUE_READY = 0x44,
	QUEUE_NOTIFY = 0x50,
	INTERRUPT_STATUS = 0x60,
	INTERRUPT_ACK = 0x64,
	STATUS = 0x70,
	QUEUE_DESC = 0x80,
	QUEUE_DRIVER = 0x90,
	QUEUE_DEVICE = 0xa0,
	CONFIG_GENERATION = 0xfc,
	CONFIG = 0x100,
};
