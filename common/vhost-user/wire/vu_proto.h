/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vhost-user wire: numbers, payloads and one table that says what each message looks like.
 * Source: QEMU docs/interop/vhost-user.rst; PROBE: the RFC "PROBE feature for vhost-user". All
 * integers are in native byte order; structs are laid out so that C's layout is the wire's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sock.h"
#include "memory/guest_mem.h"

/* Feature bits with a meaning of their own on this wire (GET_FEATURES). */
#define VHOST_F_LOG_ALL 26
#define VHOST_USER_F_PROTOCOL_FEATURES 30

/* GET_PROTOCOL_FEATURES. */
enum vu_protocol_feature {
	VU_F_MQ = 0,
	VU_F_LOG_SHMFD = 1,
	VU_F_RARP = 2,
	VU_F_REPLY_ACK = 3,
	VU_F_MTU = 4,
	VU_F_BACKEND_REQ = 5,
	VU_F_CROSS_ENDIAN = 6,
	VU_F_CRYPTO_SESSION = 7,
	VU_F_PAGEFAULT = 8,
	VU_F_CONFIG = 9,
	VU_F_BACKEND_SEND_FD = 10,
	VU_F_HOST_NOTIFIER = 11,
	VU_F_INFLIGHT_SHMFD = 12,
	VU_F_RESET_DEVICE = 13,
	VU_F_INBAND_NOTIFICATIONS = 14,
	VU_F_CONFIGURE_MEM_SLOTS = 15,
	VU_F_STATUS = 16,
	VU_F_XEN_MMAP = 17,
	VU_F_PROBE = 18, /* in the RFC's sense; see vu_probe_shape() for upstream's */
	VU_F_SHARED_OBJECT = 18,
	VU_F_DEVICE_STATE = 19,
	VU_F_GET_VRING_BASE_INFLIGHT = 20,
	VU_F_GPA_ADDRESSES = 21,
	VU_F_SHMEM = 22,
	VU_F_GET_VRING_BASE_SKIP_DRAIN = 23,
};

#define VU_BIT(n) (UINT64_C(1) << (n))

/* Front-end to back-end. */
enum vu_request {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_RESET_OWNER = 4,
	VU_SET_MEM_TABLE = 5,
	VU_SET_LOG_BASE = 6,
	VU_SET_LOG_FD = 7,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_SET_VRING_ERR = 14,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
	VU_SEND_RARP = 19,
	VU_NET_SET_MTU = 20,
	VU_SET_BACKEND_REQ_FD = 21,
	VU_IOTLB_MSG = 22,
	VU_SET_VRING_ENDIAN = 23,
	VU_GET_CONFIG = 24,
	VU_SET_CONFIG = 25,
	VU_CREATE_CRYPTO_SESSION = 26,
	VU_CLOSE_CRYPTO_SESSION = 27,
	VU_POSTCOPY_ADVISE = 28,
	VU_POSTCOPY_LISTEN = 29,
	VU_POSTCOPY_END = 30,
	VU_GET_INFLIGHT_FD = 31,
	VU_SET_INFLIGHT_FD = 32,
	VU_GPU_SET_SOCKET = 33,
	VU_RESET_DEVICE = 34,
	VU_VRING_KICK = 35,
	VU_GET_MAX_MEM_SLOTS = 36,
	VU_ADD_MEM_REG = 37,
	VU_REM_MEM_REG = 38,
	VU_SET_STATUS = 39,
	VU_GET_STATUS = 40,
	VU_GET_SHARED_OBJECT = 41,
	VU_SET_DEVICE_STATE_FD = 42,
	VU_CHECK_DEVICE_STATE = 43,
	VU_GET_SHMEM_CONFIG = 44,
	VU_GET_VRING_BASE_SKIP_DRAIN = 45,
	VU_REQUEST_END,
};

/* PROBE's requests: the RFC's numbers are also upstream's 41 to 43; told apart by shape. */
#define VU_GET_DEVICE_ID 41
#define VU_GET_CONFIG_SIZE 42
#define VU_GET_MIN_VQ 43

/* Back-end to front-end, on the channel that SET_BACKEND_REQ_FD passed. */
enum vu_backend_request {
	VU_BACKEND_IOTLB_MSG = 1,
	VU_BACKEND_CONFIG_CHANGE_MSG = 2,
	VU_BACKEND_VRING_HOST_NOTIFIER_MSG = 3,
	VU_BACKEND_VRING_CALL = 4,
	VU_BACKEND_VRING_ERR = 5,
	VU_BACKEND_SHARED_OBJECT_ADD = 6,
	VU_BACKEND_SHARED_OBJECT_REMOVE = 7,
	VU_BACKEND_SHARED_OBJECT_LOOKUP = 8,
	VU_BACKEND_SHMEM_MAP = 9,
	VU_BACKEND_SHMEM_UNMAP = 10,
	VU_BACKEND_REQUEST_END,
};

/* Header flags. */
#define VU_VERSION 1u
#define VU_VERSION_MASK 3u
#define VU_FLAG_REPLY 4u
#define VU_FLAG_NEED_REPLY 8u

struct vu_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
};

/* Payloads. */
struct vu_vring_state {
	uint32_t index, num;
};
struct vu_vring_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail, log; /* in this order on the wire */
};
#define VU_VRING_LOG 1u /* flags: the used ring is at log in the dirty log */
#define VU_VRING_FD_INDEX_MASK 0xffu
#define VU_VRING_FD_NONE 0x100u /* SET_VRING_KICK and so on: no fd comes with it */

struct vu_region {
	uint64_t guest_addr, size, user_addr, mmap_offset;
};
/*
 * With XEN_MMAP; told from vu_region by the message's size, as QEMU acks the bit and sends the
 * other.
 */
struct vu_region_xen {
	uint64_t guest_addr, size, user_addr, mmap_offset;
	uint32_t xen_flags, xen_domid;
};
#define VU_MAX_REGIONS SOCK_MAX_FDS
struct vu_mem_table {
	uint32_t n_regions, padding;
	/* n_regions vu_region or vu_region_xen follow */
};
struct vu_mem_single {
	uint64_t padding;
	/* one vu_region or vu_region_xen follows */
};
struct vu_log {
	uint64_t mmap_size, mmap_offset;
};
#define VU_MAX_CONFIG 4096
struct vu_config {
	uint32_t offset, size, flags;
	/* size bytes follow */
};
struct vu_inflight {
	uint64_t mmap_size, mmap_offset;
	uint16_t num_queues, queue_size;
	uint32_t padding; /* on the wire; peers that leave it out exist */
};
#define VU_INFLIGHT_UNPADDED 20
/*
 * SET_DEVICE_STATE_FD. Its reply: bits 0 to 7 not 0: an error; NO_FD: the front-end's fd is used.
 */
struct vu_device_state {
	uint32_t direction, phase;
};
#define VU_DEVICE_STATE_SAVE 0u
#define VU_DEVICE_STATE_LOAD 1u
#define VU_DEVICE_STATE_STOPPED 0u /* the only phase */
#define VU_DEVICE_STATE_ERROR_MASK 0xffu
#define VU_DEVICE_STATE_NO_FD 0x100u
/* GET_SHMEM_CONFIG's reply. */
#define VU_MAX_SHMEM_REGIONS 256
struct vu_shmem_config {
	uint32_t n_regions, padding; /* sizes that are not 0 */
	uint64_t size[VU_MAX_SHMEM_REGIONS]; /* by id; bytes; 0: no such region */
};
/* BACKEND_SHMEM_MAP and BACKEND_SHMEM_UNMAP (fd_offset and flags have no meaning there). */
struct vu_shmem_map {
	uint8_t id, padding[7];
	uint64_t fd_offset, shm_offset, len;
	uint64_t flags;
};
#define VU_SHMEM_WRITABLE UINT64_C(1) /* else the driver may only read */

/* Largest payload we accept or send: a full memory table. */
#define VU_MAX_PAYLOAD (sizeof(struct vu_mem_table) + VU_MAX_REGIONS * sizeof(struct vu_region_xen))

/* What, if anything, comes back. */
enum vu_reply {
	VU_REPLY_NONE_BUT_ACK, /* u64 ack, if need_reply is set and REPLY_ACK was acked */
	VU_REPLY_ALWAYS, /* a reply of its own, need_reply or not */
};

/* Where the payload names a ring. */
enum vu_ring_field {
	VU_RING_NONE,
	VU_RING_U32, /* the first u32: vu_vring_state, vu_vring_addr */
	VU_RING_FD, /* bits 0 to 7 of a u64, bit 8: no fd */
};

/* What is checked of a payload beyond its size: see vu_msg_check(). */
enum vu_body {
	VU_BODY_PLAIN,
	VU_BODY_TABLE, /* vu_mem_table: as many regions as it says, of one kind, an fd for each */
	VU_BODY_REGION, /* vu_mem_single: one region of either kind */
	VU_BODY_CONFIG, /* vu_config: as many bytes as it says */
	VU_BODY_INFLIGHT, /* vu_inflight with or without padding, or nothing if min_size is 0 */
};

/* One row a message: what the generic reader checks before any handler sees it. */
struct vu_shape {
	const char *name; /* NULL: no such message */
	uint16_t min_size, max_size; /* payload of the request */
	uint16_t min_fds, max_fds;
	enum vu_reply reply;
	uint16_t reply_min, reply_max; /* payload of the reply, if ALWAYS */
	uint16_t reply_max_fds;
	enum vu_ring_field ring;
	enum vu_body body;
	/*
	 * The protocol feature without which the message is not legal, plus one; 0: always legal.
	 * PROBE's three are decoded by shape and have their own rule.
	 */
	uint8_t needs_feature_plus1;
};

/* NULL for a number that is no message. PROBE's shapes are not here: see vu_probe_shape(). */
const struct vu_shape *vu_shape(uint32_t request);
const struct vu_shape *vu_backend_shape(uint32_t request);
/*
 * Requests 41 to 43 exist twice. The PROBE shape (size 0, no fds, u32 reply), if a message with
 * this size and number of fds is the RFC's; NULL if it is upstream's or none. 43 has the same
 * shape in both: device_state_pending says that a SET_DEVICE_STATE_FD still awaits its
 * CHECK_DEVICE_STATE, acked are the acked protocol features (protocol rule: 19 not acked, or
 * acked together with 18 and nothing pending: PROBE).
 */
const struct vu_shape *vu_probe_shape(
	uint32_t request, uint32_t size, unsigned n_fds, uint64_t acked, bool device_state_pending);
/* "PROBE/SHARED_OBJECT" and so on; NULL for a bit without a name. */
const char *vu_protocol_feature_name(unsigned bit);
