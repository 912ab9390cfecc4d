/* SPDX-License-Identifier: Apache-2.0 */
/* The table of all messages: what each looks like, what comes back, and what makes it legal. */
#include "vhost-user/wire/vu_proto.h"

#define SIZE(n) .min_size = (n), .max_size = (n)
#define SIZES(min, max) .min_size = (min), .max_size = (max)
#define FDS(min, max) .min_fds = (min), .max_fds = (max)
#define REPLY(n) .reply = VU_REPLY_ALWAYS, .reply_min = (n), .reply_max = (n)
#define REPLIES(min, max) .reply = VU_REPLY_ALWAYS, .reply_min = (min), .reply_max = (max)
#define BODY(kind) .body = VU_BODY_##kind
#define RING(kind) .ring = VU_RING_##kind
#define NEEDS(feature) .needs_feature_plus1 = VU_F_##feature + 1

#define U64 sizeof(uint64_t)
#define UUID 16
#define STATE sizeof(struct vu_vring_state)
#define IOTLB 32 /* struct vhost_iotlb_msg of Linux */
#define CONFIG_MAX (sizeof(struct vu_config) + VU_MAX_CONFIG)
#define TABLE sizeof(struct vu_mem_table)
#define REGION_MIN (sizeof(struct vu_mem_single) + sizeof(struct vu_region))
#define REGION_MAX (sizeof(struct vu_mem_single) + sizeof(struct vu_region_xen))
#define INFLIGHT_MIN VU_INFLIGHT_UNPADDED
#define INFLIGHT_MAX sizeof(struct vu_inflight)
#define SHMEM_CONFIG sizeof(struct vu_shmem_config)
#define SHMEM_MAP sizeof(struct vu_shmem_map)

_Static_assert(sizeof(struct vu_header) == 12, "the header has 12 bytes on the wire");
_Static_assert(sizeof(struct vu_vring_addr) == 40, "a vring address has 40 bytes on the wire");
_Static_assert(sizeof(struct vu_region) == 32, "a region has 32 bytes on the wire");
_Static_assert(sizeof(struct vu_region_xen) == 40, "a Xen region has 40 bytes on the wire");
_Static_assert(sizeof(struct vu_config) == 12, "a config payload begins with 12 bytes");
_Static_assert(sizeof(struct vu_inflight) == 24, "peers send the inflight struct with its padding");
_Static_assert(sizeof(struct vu_device_state) == 8, "a device state has 8 bytes on the wire");
_Static_assert(sizeof(struct vu_shmem_config) == 2056, "all sizes are on the wire, also of none");
_Static_assert(sizeof(struct vu_shmem_map) == 40, "a mapping has 40 bytes on the wire");

/* clang-format off */
static const struct vu_shape shapes[VU_REQUEST_END] = {
	[VU_GET_FEATURES] = { "GET_FEATURES", REPLY(U64) },
	[VU_SET_FEATURES] = { "SET_FEATURES", SIZE(U64) },
	[VU_SET_OWNER] = { "SET_OWNER" },
	[VU_RESET_OWNER] = { "RESET_OWNER" },
	[VU_SET_MEM_TABLE] = { "SET_MEM_TABLE", SIZES(TABLE, VU_MAX_PAYLOAD),
			       FDS(0, VU_MAX_REGIONS), BODY(TABLE) },
	/* The reply's payload is not specified: the struct that came, a u64, or nothing. */
	[VU_SET_LOG_BASE] = { "SET_LOG_BASE", SIZE(sizeof(struct vu_log)), FDS(0, 1),
			      REPLIES(0, sizeof(struct vu_log)), NEEDS(LOG_SHMFD) },
	[VU_SET_LOG_FD] = { "SET_LOG_FD", FDS(1, 1) },
	[VU_SET_VRING_NUM] = { "SET_VRING_NUM", SIZE(STATE), RING(U32) },
	[VU_SET_VRING_ADDR] = { "SET_VRING_ADDR", SIZE(sizeof(struct vu_vring_addr)), RING(U32) },
	[VU_SET_VRING_BASE] = { "SET_VRING_BASE", SIZE(STATE), RING(U32) },
	[VU_GET_VRING_BASE] = { "GET_VRING_BASE", SIZE(STATE), REPLY(STATE), RING(U32) },
	[VU_SET_VRING_KICK] = { "SET_VRING_KICK", SIZE(U64), FDS(0, 1), RING(FD) },
	[VU_SET_VRING_CALL] = { "SET_VRING_CALL", SIZE(U64), FDS(0, 1), RING(FD) },
	[VU_SET_VRING_ERR] = { "SET_VRING_ERR", SIZE(U64), FDS(0, 1), RING(FD) },
	[VU_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", REPLY(U64) },
	[VU_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", SIZE(U64) },
	[VU_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", REPLY(U64), NEEDS(MQ) },
	[VU_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", SIZE(STATE), RING(U32) },
	[VU_SEND_RARP] = { "SEND_RARP", SIZE(U64), NEEDS(RARP) },
	[VU_NET_SET_MTU] = { "NET_SET_MTU", SIZE(U64), NEEDS(MTU) },
	[VU_SET_BACKEND_REQ_FD] = { "SET_BACKEND_REQ_FD", FDS(1, 1), NEEDS(BACKEND_REQ) },
	[VU_IOTLB_MSG] = { "IOTLB_MSG", SIZE(IOTLB), REPLY(U64) },
	[VU_SET_VRING_ENDIAN] = { "SET_VRING_ENDIAN", SIZE(STATE), RING(U32), NEEDS(CROSS_ENDIAN) },
	/* A reply without payload says that it failed. */
	[VU_GET_CONFIG] = { "GET_CONFIG", SIZES(sizeof(struct vu_config), CONFIG_MAX),
			    REPLIES(0, CONFIG_MAX), BODY(CONFIG), NEEDS(CONFIG) },
	[VU_SET_CONFIG] = { "SET_CONFIG", SIZES(sizeof(struct vu_config), CONFIG_MAX),
			    BODY(CONFIG), NEEDS(CONFIG) },
	/* QEMU's private structs, which differ by its version: operation, session, keys. */
	[VU_CREATE_CRYPTO_SESSION] = { "CREATE_CRYPTO_SESSION", SIZES(2 * U64, VU_MAX_PAYLOAD),
				       REPLIES(2 * U64, VU_MAX_PAYLOAD), NEEDS(CRYPTO_SESSION) },
	[VU_CLOSE_CRYPTO_SESSION] = { "CLOSE_CRYPTO_SESSION", SIZE(U64), NEEDS(CRYPTO_SESSION) },
	[VU_POSTCOPY_ADVISE] = { "POSTCOPY_ADVISE", REPLIES(0, U64), .reply_max_fds = 1,
				 NEEDS(PAGEFAULT) },
	[VU_POSTCOPY_LISTEN] = { "POSTCOPY_LISTEN", NEEDS(PAGEFAULT) },
	[VU_POSTCOPY_END] = { "POSTCOPY_END", REPLY(U64), NEEDS(PAGEFAULT) },
	[VU_GET_INFLIGHT_FD] = { "GET_INFLIGHT_FD", SIZES(0, INFLIGHT_MAX),
				 REPLIES(INFLIGHT_MIN, INFLIGHT_MAX), .reply_max_fds = 1,
				 BODY(INFLIGHT), NEEDS(INFLIGHT_SHMFD) },
	[VU_SET_INFLIGHT_FD] = { "SET_INFLIGHT_FD", SIZES(INFLIGHT_MIN, INFLIGHT_MAX), FDS(1, 1),
				 BODY(INFLIGHT), NEEDS(INFLIGHT_SHMFD) },
	[VU_GPU_SET_SOCKET] = { "GPU_SET_SOCKET", FDS(1, 1) },
	[VU_RESET_DEVICE] = { "RESET_DEVICE", NEEDS(RESET_DEVICE) },
	[VU_VRING_KICK] = { "VRING_KICK", SIZE(STATE), RING(U32), NEEDS(INBAND_NOTIFICATIONS) },
	[VU_GET_MAX_MEM_SLOTS] = { "GET_MAX_MEM_SLOTS", REPLY(U64), NEEDS(CONFIGURE_MEM_SLOTS) },
	[VU_ADD_MEM_REG] = { "ADD_MEM_REG", SIZES(REGION_MIN, REGION_MAX), FDS(1, 1),
			     BODY(REGION), NEEDS(CONFIGURE_MEM_SLOTS) },
	/* Some peers send the region's fd along. */
	[VU_REM_MEM_REG] = { "REM_MEM_REG", SIZES(REGION_MIN, REGION_MAX), FDS(0, 1),
			     BODY(REGION), NEEDS(CONFIGURE_MEM_SLOTS) },
	[VU_SET_STATUS] = { "SET_STATUS", SIZE(U64), NEEDS(STATUS) },
	[VU_GET_STATUS] = { "GET_STATUS", REPLY(U64), NEEDS(STATUS) },
	[VU_GET_SHARED_OBJECT] = { "GET_SHARED_OBJECT", SIZE(UUID), REPLIES(0, UUID),
				   .reply_max_fds = 1, NEEDS(SHARED_OBJECT) },
	[VU_SET_DEVICE_STATE_FD] = { "SET_DEVICE_STATE_FD", SIZE(sizeof(struct vu_device_state)),
				     FDS(1, 1), REPLY(U64), .reply_max_fds = 1,
				     NEEDS(DEVICE_STATE) },
	[VU_CHECK_DEVICE_STATE] = { "CHECK_DEVICE_STATE", REPLY(U64), NEEDS(DEVICE_STATE) },
	[VU_GET_SHMEM_CONFIG] = { "GET_SHMEM_CONFIG", REPLY(SHMEM_CONFIG), NEEDS(SHMEM) },
	[VU_GET_VRING_BASE_SKIP_DRAIN] = { "GET_VRING_BASE_SKIP_DRAIN", SIZE(STATE), REPLY(STATE),
					   RING(U32), NEEDS(GET_VRING_BASE_SKIP_DRAIN) },
};

static const struct vu_shape backend_shapes[VU_BACKEND_REQUEST_END] = {
	[VU_BACKEND_IOTLB_MSG] = { "BACKEND_IOTLB_MSG", SIZE(IOTLB) },
	[VU_BACKEND_CONFIG_CHANGE_MSG] = { "BACKEND_CONFIG_CHANGE_MSG", NEEDS(CONFIG) },
	[VU_BACKEND_VRING_HOST_NOTIFIER_MSG] = { "BACKEND_VRING_HOST_NOTIFIER_MSG", SIZE(3 * U64),
						 FDS(0, 1), RING(FD), NEEDS(HOST_NOTIFIER) },
	[VU_BACKEND_VRING_CALL] = { "BACKEND_VRING_CALL", SIZE(STATE), RING(U32),
				    NEEDS(INBAND_NOTIFICATIONS) },
	[VU_BACKEND_VRING_ERR] = { "BACKEND_VRING_ERR", SIZE(STATE), RING(U32),
				   NEEDS(INBAND_NOTIFICATIONS) },
	[VU_BACKEND_SHARED_OBJECT_ADD] = { "BACKEND_SHARED_OBJECT_ADD", SIZE(UUID),
					   NEEDS(SHARED_OBJECT) },
	[VU_BACKEND_SHARED_OBJECT_REMOVE] = { "BACKEND_SHARED_OBJECT_REMOVE", SIZE(UUID),
					      NEEDS(SHARED_OBJECT) },
	[VU_BACKEND_SHARED_OBJECT_LOOKUP] = { "BACKEND_SHARED_OBJECT_LOOKUP", SIZE(UUID),
					      REPLY(U64), .reply_max_fds = 1,
					      NEEDS(SHARED_OBJECT) },
	[VU_BACKEND_SHMEM_MAP] = { "BACKEND_SHMEM_MAP", SIZE(SHMEM_MAP), FDS(1, 1), NEEDS(SHMEM) },
	[VU_BACKEND_SHMEM_UNMAP] = { "BACKEND_SHMEM_UNMAP", SIZE(SHMEM_MAP), NEEDS(SHMEM) },
};

static const struct vu_shape probe_shapes[] = {
	{ "GET_DEVICE_ID", REPLY(sizeof(uint32_t)), NEEDS(PROBE) },
	{ "GET_CONFIG_SIZE", REPLY(sizeof(uint32_t)), NEEDS(PROBE) },
	{ "GET_MIN_VQ", REPLY(sizeof(uint32_t)), NEEDS(PROBE) },
};
/* clang-format on */

static const char *const feature_names[] = {
	[VU_F_MQ] = "MQ",
	[VU_F_LOG_SHMFD] = "LOG_SHMFD",
	[VU_F_RARP] = "RARP",
	[VU_F_REPLY_ACK] = "REPLY_ACK",
	[VU_F_MTU] = "MTU",
	[VU_F_BACKEND_REQ] = "BACKEND_REQ",
	[VU_F_CROSS_ENDIAN] = "CROSS_ENDIAN",
	[VU_F_CRYPTO_SESSION] = "CRYPTO_SESSION",
	[VU_F_PAGEFAULT] = "PAGEFAULT",
	[VU_F_CONFIG] = "CONFIG",
	[VU_F_BACKEND_SEND_FD] = "BACKEND_SEND_FD",
	[VU_F_HOST_NOTIFIER] = "HOST_NOTIFIER",
	[VU_F_INFLIGHT_SHMFD] = "INFLIGHT_SHMFD",
	[VU_F_RESET_DEVICE] = "RESET_DEVICE",
	[VU_F_INBAND_NOTIFICATIONS] = "INBAND_NOTIFICATIONS",
	[VU_F_CONFIGURE_MEM_SLOTS] = "CONFIGURE_MEM_SLOTS",
	[VU_F_STATUS] = "STATUS",
	[VU_F_XEN_MMAP] = "XEN_MMAP",
	[VU_F_PROBE] = "PROBE/SHARED_OBJECT",
	[VU_F_DEVICE_STATE] = "DEVICE_STATE",
	[VU_F_GET_VRING_BASE_INFLIGHT] = "GET_VRING_BASE_INFLIGHT",
	[VU_F_GPA_ADDRESSES] = "GPA_ADDRESSES",
	[VU_F_SHMEM] = "SHMEM",
	[VU_F_GET_VRING_BASE_SKIP_DRAIN] = "GET_VRING_BASE_SKIP_DRAIN",
};

const struct vu_shape *vu_shape(uint32_t request)
{
	return request < VU_REQUEST_END && shapes[request].name ? &shapes[request] : NULL;
}

const struct vu_shape *vu_backend_shape(uint32_t request)
{
	return request < VU_BACKEND_REQUEST_END && backend_shapes[request].name
		? &backend_shapes[request]
		: NULL;
}

const struct vu_shape *vu_probe_shape(
	uint32_t request, uint32_t size, unsigned n_fds, uint64_t acked, bool device_state_pending)
{
	if (request < VU_GET_DEVICE_ID || request > VU_GET_MIN_VQ || size || n_fds)
		return NULL;
	if (request == VU_GET_MIN_VQ && (acked & VU_BIT(VU_F_DEVICE_STATE)) &&
		(device_state_pending || !(acked & VU_BIT(VU_F_PROBE))))
		return NULL;
	return &probe_shapes[request - VU_GET_DEVICE_ID];
}

const char *vu_protocol_feature_name(unsigned bit)
{
	return bit < sizeof(feature_names) / sizeof(*feature_names) ? feature_names[bit] : NULL;
}
