/* SPDX-License-Identifier: Apache-2.0 */
/* Device and feature names: virtio 1.2 §5 and §6, and later additions by number. */
#include "tools/names.h"

#include <linux/virtio_balloon.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_bt.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>
#include <linux/virtio_gpio.h>
#include <linux/virtio_gpu.h>
#include <linux/virtio_i2c.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_iommu.h>
#include <linux/virtio_mem.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_scmi.h>
#include <linux/virtio_scsi.h>
#include <linux/virtio_vsock.h>
#include <string.h>

#include "vhost-user/wire/vu_proto.h"

static const char *const device_names[] = {
	[VIRTIO_ID_NET] = "net",
	[VIRTIO_ID_BLOCK] = "block",
	[VIRTIO_ID_CONSOLE] = "console",
	[VIRTIO_ID_RNG] = "rng",
	[VIRTIO_ID_BALLOON] = "balloon",
	[VIRTIO_ID_IOMEM] = "iomem",
	[VIRTIO_ID_RPMSG] = "rpmsg",
	[VIRTIO_ID_SCSI] = "scsi",
	[VIRTIO_ID_9P] = "9p",
	[VIRTIO_ID_MAC80211_WLAN] = "mac80211-wlan",
	[VIRTIO_ID_RPROC_SERIAL] = "rproc-serial",
	[VIRTIO_ID_CAIF] = "caif",
	[VIRTIO_ID_GPU] = "gpu",
	[VIRTIO_ID_CLOCK] = "rtc",
	[VIRTIO_ID_INPUT] = "input",
	[VIRTIO_ID_VSOCK] = "vsock",
	[VIRTIO_ID_CRYPTO] = "crypto",
	[VIRTIO_ID_IOMMU] = "iommu",
	[VIRTIO_ID_MEM] = "mem",
	[VIRTIO_ID_SOUND] = "sound",
	[VIRTIO_ID_FS] = "fs",
	[VIRTIO_ID_PMEM] = "pmem",
	[VIRTIO_ID_RPMB] = "rpmb",
	[VIRTIO_ID_VIDEO_ENCODER] = "video-encoder",
	[VIRTIO_ID_VIDEO_DECODER] = "video-decoder",
	[VIRTIO_ID_SCMI] = "scmi",
	[VIRTIO_ID_I2C_ADAPTER] = "i2c",
	[VIRTIO_ID_WATCHDOG] = "watchdog",
	[VIRTIO_ID_CAN] = "can",
	[VIRTIO_ID_BT] = "bluetooth",
	[VIRTIO_ID_GPIO] = "gpio",
	[VIRTIO_ID_SPI] = "spi",
	[46] = "tee",
	[48] = "media",
	[49] = "usb",
	DEVICE_NAMES /* of daemon/devices/, for other ids */
};

struct bit_name {
	uint8_t bit;
	const char *name; /* NULL: the end */
};

/* Below, the header's macro gives both number and name. */
#define BIT_NAME(prefix, name)      \
	{                           \
		prefix##name, #name \
	}

#define NET(name)                          \
	{                                  \
		VIRTIO_NET_F_##name, #name \
	}
static const struct bit_name net_bits[] = {
	NET(CSUM),
	NET(GUEST_CSUM),
	NET(CTRL_GUEST_OFFLOADS),
	NET(MTU),
	NET(MAC),
	NET(GUEST_TSO4),
	NET(GUEST_TSO6),
	NET(GUEST_ECN),
	NET(GUEST_UFO),
	NET(HOST_TSO4),
	NET(HOST_TSO6),
	NET(HOST_ECN),
	NET(HOST_UFO),
	NET(MRG_RXBUF),
	NET(STATUS),
	NET(CTRL_VQ),
	NET(CTRL_RX),
	NET(CTRL_VLAN),
	NET(CTRL_RX_EXTRA),
	NET(GUEST_ANNOUNCE),
	NET(MQ),
	NET(CTRL_MAC_ADDR),
	{ 51, "DEVICE_STATS" },
	{ 52, "VQ_NOTF_COAL" },
	{ 53, "NOTF_COAL" },
	{ 54, "GUEST_USO4" },
	{ 55, "GUEST_USO6" },
	{ 56, "HOST_USO" },
	NET(HASH_REPORT),
	{ 59, "GUEST_HDRLEN" },
	NET(RSS),
	NET(RSC_EXT),
	NET(STANDBY),
	NET(SPEED_DUPLEX),
	{ 0, NULL },
};

#define BLK(name)                          \
	{                                  \
		VIRTIO_BLK_F_##name, #name \
	}
static const struct bit_name blk_bits[] = {
	BLK(BARRIER),
	BLK(SIZE_MAX),
	BLK(SEG_MAX),
	BLK(GEOMETRY),
	BLK(RO),
	BLK(BLK_SIZE),
	BLK(SCSI),
	BLK(FLUSH),
	BLK(TOPOLOGY),
	BLK(CONFIG_WCE),
	BLK(MQ),
	BLK(DISCARD),
	BLK(WRITE_ZEROES),
	{ 15, "LIFETIME" },
	BLK(SECURE_ERASE),
	{ 17, "ZONED" },
	{ 0, NULL },
};

#define CONSOLE(name)                          \
	{                                      \
		VIRTIO_CONSOLE_F_##name, #name \
	}
static const struct bit_name console_bits[] = {
	CONSOLE(SIZE),
	CONSOLE(MULTIPORT),
	CONSOLE(EMERG_WRITE),
	{ 0, NULL },
};

#define BALLOON(name)                          \
	{                                      \
		VIRTIO_BALLOON_F_##name, #name \
	}
static const struct bit_name balloon_bits[] = {
	BALLOON(MUST_TELL_HOST),
	BALLOON(STATS_VQ),
	BALLOON(DEFLATE_ON_OOM),
	BALLOON(FREE_PAGE_HINT),
	BALLOON(PAGE_POISON),
	BALLOON(REPORTING),
	{ 0, NULL },
};

#define SCSI(name)                          \
	{                                   \
		VIRTIO_SCSI_F_##name, #name \
	}
static const struct bit_name scsi_bits[] = {
	SCSI(INOUT),
	SCSI(HOTPLUG),
	SCSI(CHANGE),
	SCSI(T10_PI),
	{ 0, NULL },
};

#define GPU(name)                          \
	{                                  \
		VIRTIO_GPU_F_##name, #name \
	}
static const struct bit_name gpu_bits[] = {
	GPU(VIRGL),
	GPU(EDID),
	GPU(RESOURCE_UUID),
	GPU(RESOURCE_BLOB),
	GPU(CONTEXT_INIT),
	{ 0, NULL },
};

#define IOMMU(name)                          \
	{                                    \
		VIRTIO_IOMMU_F_##name, #name \
	}
static const struct bit_name iommu_bits[] = {
	IOMMU(INPUT_RANGE),
	IOMMU(DOMAIN_RANGE),
	IOMMU(MAP_UNMAP),
	IOMMU(BYPASS),
	IOMMU(PROBE),
	IOMMU(MMIO),
	IOMMU(BYPASS_CONFIG),
	{ 0, NULL },
};

#define BT(name)                          \
	{                                 \
		VIRTIO_BT_F_##name, #name \
	}
static const struct bit_name bt_bits[] = {
	BT(VND_HCI),
	BT(MSFT_EXT),
	BT(AOSP_EXT),
	{ 0, NULL },
};

static const struct bit_name p9_bits[] = { { 0, "MOUNT_TAG" }, { 0, NULL } };
static const struct bit_name rtc_bits[] = { { 0, "ALARM" }, { 0, NULL } };
static const struct bit_name vsock_bits[] = {
	{ 0, "STREAM" },
	BIT_NAME(VIRTIO_VSOCK_F_, SEQPACKET),
	{ 2, "NO_IMPLIED_STREAM" },
	{ 0, NULL },
};
static const struct bit_name crypto_bits[] = {
	{ 0, "REVISION_1" },
	{ 1, "CIPHER_STATELESS_MODE" },
	{ 2, "HASH_STATELESS_MODE" },
	{ 3, "MAC_STATELESS_MODE" },
	{ 4, "AEAD_STATELESS_MODE" },
	{ 5, "AKCIPHER_STATELESS_MODE" },
	{ 0, NULL },
};
static const struct bit_name mem_bits[] = {
	BIT_NAME(VIRTIO_MEM_F_, ACPI_PXM),
	BIT_NAME(VIRTIO_MEM_F_, UNPLUGGED_INACCESSIBLE),
	{ 0, NULL },
};
static const struct bit_name sound_bits[] = { { 0, "CTLS" }, { 0, NULL } };
static const struct bit_name fs_bits[] = { { 0, "NOTIFICATION" }, { 0, NULL } };
static const struct bit_name pmem_bits[] = { { 0, "SHMEM_REGION" }, { 0, NULL } };
static const struct bit_name scmi_bits[] = {
	BIT_NAME(VIRTIO_SCMI_F_, P2A_CHANNELS),
	BIT_NAME(VIRTIO_SCMI_F_, SHARED_MEMORY),
	{ 0, NULL },
};
static const struct bit_name i2c_bits[] = {
	BIT_NAME(VIRTIO_I2C_F_, ZERO_LENGTH_REQUEST),
	{ 0, NULL },
};
static const struct bit_name gpio_bits[] = { BIT_NAME(VIRTIO_GPIO_F_, IRQ), { 0, NULL } };

static const struct bit_name *const device_bits[] = {
	[VIRTIO_ID_NET] = net_bits,
	[VIRTIO_ID_BLOCK] = blk_bits,
	[VIRTIO_ID_CONSOLE] = console_bits,
	[VIRTIO_ID_BALLOON] = balloon_bits,
	[VIRTIO_ID_SCSI] = scsi_bits,
	[VIRTIO_ID_9P] = p9_bits,
	[VIRTIO_ID_GPU] = gpu_bits,
	[VIRTIO_ID_CLOCK] = rtc_bits,
	[VIRTIO_ID_VSOCK] = vsock_bits,
	[VIRTIO_ID_CRYPTO] = crypto_bits,
	[VIRTIO_ID_IOMMU] = iommu_bits,
	[VIRTIO_ID_MEM] = mem_bits,
	[VIRTIO_ID_SOUND] = sound_bits,
	[VIRTIO_ID_FS] = fs_bits,
	[VIRTIO_ID_PMEM] = pmem_bits,
	[VIRTIO_ID_SCMI] = scmi_bits,
	[VIRTIO_ID_I2C_ADAPTER] = i2c_bits,
	[VIRTIO_ID_BT] = bt_bits,
	[VIRTIO_ID_GPIO] = gpio_bits,
};

static const struct bit_name common_bits[] = {
	BIT_NAME(VIRTIO_F_, NOTIFY_ON_EMPTY),
	{ VHOST_F_LOG_ALL, "LOG_ALL" },
	BIT_NAME(VIRTIO_F_, ANY_LAYOUT),
	BIT_NAME(VIRTIO_RING_F_, INDIRECT_DESC),
	BIT_NAME(VIRTIO_RING_F_, EVENT_IDX),
	{ VHOST_USER_F_PROTOCOL_FEATURES, "PROTOCOL_FEATURES" },
	BIT_NAME(VIRTIO_F_, VERSION_1),
	BIT_NAME(VIRTIO_F_, ACCESS_PLATFORM),
	BIT_NAME(VIRTIO_F_, RING_PACKED),
	BIT_NAME(VIRTIO_F_, IN_ORDER),
	BIT_NAME(VIRTIO_F_, ORDER_PLATFORM),
	BIT_NAME(VIRTIO_F_, SR_IOV),
	{ 38, "NOTIFICATION_DATA" },
	{ 39, "NOTIF_CONFIG_DATA" },
	BIT_NAME(VIRTIO_F_, RING_RESET),
	{ 41, "ADMIN_VQ" },
	{ 43, "SUSPEND" },
	{ 0, NULL },
};

static const char *find_bit(const struct bit_name *names, unsigned bit)
{
	for (; names->name; names++) {
		if (names->bit == bit)
			return names->name;
	}
	return NULL;
}

const char *names_device(uint32_t id)
{
	return id < G_N_ELEMENTS(device_names) ? device_names[id] : NULL;
}

bool names_device_id(const char *name, uint32_t *id)
{
	for (uint32_t i = 0; i < G_N_ELEMENTS(device_names); i++) {
		if (device_names[i] && strcmp(name, device_names[i]) == 0) {
			*id = i;
			return true;
		}
	}
	return false;
}

const char *names_feature(uint32_t device_id, unsigned bit)
{
	const char *name = find_bit(common_bits, bit);

	if (name || device_id >= G_N_ELEMENTS(device_bits) || !device_bits[device_id])
		return name;
	return find_bit(device_bits[device_id], bit);
}
