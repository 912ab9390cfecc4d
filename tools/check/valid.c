/* SPDX-License-Identifier: Apache-2.0 */
/* See valid.h: one row a message. */
#include "tools/check/valid.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>

#include "base/memfd.h"
#include "base/util.h"
#include "tools/check/session.h"
#include "tools/check/wire.h"

#define QUEUE_SIZE 16
#define LOG_BYTES (4u << 20)

/* A row makes payload and fds. */
typedef void make_fn(struct check *k, struct valid *v, uint64_t arg);

static void put(struct valid *v, const void *payload, size_t size)
{
	memcpy(v->payload, payload, size);
	v->size = size;
}

static void make_nothing(struct check *k, struct valid *v, uint64_t arg)
{
}

static void make_u64(struct check *k, struct valid *v, uint64_t arg)
{
	put(v, &arg, sizeof(arg));
}

static void make_features(struct check *k, struct valid *v, uint64_t arg)
{
	make_u64(k, v, k->features);
}

static void make_protocol(struct check *k, struct valid *v, uint64_t arg)
{
	make_u64(k, v, k->acked);
}

static void make_state(struct check *k, struct valid *v, uint64_t arg)
{
	struct vu_vring_state s = { .index = 0, .num = (uint32_t)arg };

	put(v, &s, sizeof(s));
}

static void make_addr(struct check *k, struct valid *v, uint64_t arg)
{
	struct vu_vring_addr a = session_addr(&k->queue[0], 0);

	put(v, &a, sizeof(a));
}

/* Makes SET_VRING_ENABLE: NUM, BASE and ADDR come before it. */
static void make_enable(struct check *k, struct valid *v, uint64_t arg)
{
	struct vu_vring_addr a = session_addr(&k->queue[0], 0);

	wire_tell_state(k, VU_SET_VRING_NUM, 0, QUEUE_SIZE);
	wire_tell_state(k, VU_SET_VRING_BASE, 0, 0);
	wire_tell(k, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
	make_state(k, v, 1);
}

static void make_vring_fd(struct check *k, struct valid *v, uint64_t arg)
{
	make_enable(k, v, 0);
	make_u64(k, v, 0);
	v->fds[v->n_fds++] = k->queue[0].call;
}

static void make_table(struct check *k, struct valid *v, uint64_t arg)
{
	struct {
		struct vu_mem_table table;
		struct vu_region region;
	} m = { .table.n_regions = 1 };

	m.region = session_region(k, &v->fds[v->n_fds++]);
	put(v, &m, sizeof(m));
}

/* Makes a region beside the one that is shared: the same memory once more. */
static void make_region(struct check *k, struct valid *v, uint64_t arg)
{
	struct session_slot m = { .region = session_region(k, &v->fds[v->n_fds++]) };

	m.region.guest_addr += m.region.size;
	m.region.user_addr += m.region.size;
	put(v, &m, sizeof(m));
}

static void make_added_region(struct check *k, struct valid *v, uint64_t arg)
{
	make_region(k, v, 0);
	wire_tell(k, VU_ADD_MEM_REG, v->payload, v->size, v->fds, v->n_fds);
	v->n_fds = 0;
}

static void make_channel(struct check *k, struct valid *v, uint64_t arg)
{
	int pair[2];

	if (!sock_pair(pair)) {
		check_fail(k, "cannot make a pair of sockets");
		return;
	}
	fd_close(&k->channel);
	k->channel = pair[0];
	v->own = v->fds[v->n_fds++] = pair[1];
}

static void make_log(struct check *k, struct valid *v, uint64_t arg)
{
	struct vu_log log = { .mmap_size = LOG_BYTES };

	v->own = v->fds[v->n_fds++] = memfd_sealed("check-log", LOG_BYTES);
	put(v, &log, sizeof(log));
}

static void make_config(struct check *k, struct valid *v, uint64_t arg)
{
	struct {
		struct vu_config config;
		uint8_t data[VU_MAX_CONFIG];
	} c = { .config.size = (uint32_t)MIN((uint64_t)MAX(k->peer.config_size, 1), 256) };

	put(v, &c, sizeof(c.config) + c.config.size);
}

/*
 * Makes a write to a block device's cache mode, which CONFIG_WCE lets drivers write: the byte
 * that is there.
 */
static void make_config_write(struct check *k, struct valid *v, uint64_t arg)
{
	struct {
		struct vu_config config;
		uint8_t writeback;
	} __attribute__((packed)) c = {
		.config = { .offset = offsetof(struct virtio_blk_config, wce), .size = 1 },
	};

	make_config(k, v, 0);
	wire_ask(k, VU_GET_CONFIG, v->payload, v->size);
	if (!check_over(k) && k->msg.header.size > sizeof(c.config) + c.config.offset)
		c.writeback = k->msg.payload.bytes[sizeof(c.config) + c.config.offset];
	put(v, &c, sizeof(c));
}

static void make_inflight(struct check *k, struct valid *v, uint64_t arg)
{
	struct vu_inflight i = { .num_queues = 1, .queue_size = QUEUE_SIZE };

	put(v, &i, sizeof(i));
}

static void make_inflight_area(struct check *k, struct valid *v, uint64_t arg)
{
	make_inflight(k, v, 0);
	wire_ask(k, VU_GET_INFLIGHT_FD, v->payload, v->size);
	if (check_over(k))
		return;
	put(v, k->msg.payload.bytes, k->msg.header.size);
	v->own = v->fds[v->n_fds++] = vu_msg_take_fd(&k->msg, 0);
}

static const struct {
	make_fn *make;
	uint64_t arg;
} rows[VU_REQUEST_END] = {
	[VU_GET_FEATURES] = { make_nothing },
	[VU_SET_FEATURES] = { make_features },
	[VU_SET_OWNER] = { make_nothing },
	[VU_SET_MEM_TABLE] = { make_table },
	[VU_SET_LOG_BASE] = { make_log },
	[VU_SET_VRING_NUM] = { make_state, QUEUE_SIZE },
	[VU_SET_VRING_ADDR] = { make_addr },
	[VU_SET_VRING_BASE] = { make_state, 0 },
	[VU_GET_VRING_BASE] = { make_state, 0 },
	[VU_SET_VRING_KICK] = { make_vring_fd },
	[VU_SET_VRING_CALL] = { make_vring_fd },
	[VU_SET_VRING_ERR] = { make_vring_fd },
	[VU_GET_PROTOCOL_FEATURES] = { make_nothing },
	[VU_SET_PROTOCOL_FEATURES] = { make_protocol },
	[VU_GET_QUEUE_NUM] = { make_nothing },
	[VU_SET_VRING_ENABLE] = { make_enable },
	[VU_NET_SET_MTU] = { make_u64, 1500 },
	[VU_SEND_RARP] = { make_u64, 0x563412005452 },
	[VU_SET_BACKEND_REQ_FD] = { make_channel },
	[VU_GET_CONFIG] = { make_config },
	[VU_SET_CONFIG] = { make_config_write },
	[VU_GET_INFLIGHT_FD] = { make_inflight },
	[VU_SET_INFLIGHT_FD] = { make_inflight_area },
	[VU_RESET_DEVICE] = { make_nothing },
	[VU_GET_MAX_MEM_SLOTS] = { make_nothing },
	[VU_ADD_MEM_REG] = { make_region },
	[VU_REM_MEM_REG] = { make_added_region },
	[VU_SET_STATUS] = { make_u64, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER },
	[VU_GET_STATUS] = { make_nothing },
	[VU_GET_SHMEM_CONFIG] = { make_nothing },
};

void valid_make(struct check *k, uint32_t request, struct valid *v)
{
	v->request = request;
	v->size = 0;
	v->n_fds = 0;
	v->own = -1;
	session_open(k, session_basic_features(k));
	session_memory(k);
	session_queue(k, 0, QUEUE_SIZE);
	if (!check_over(k))
		rows[request].make(k, v, rows[request].arg);
}

void valid_send(struct check *k, const struct valid *v, uint32_t flags)
{
	wire_send(k, v->request, flags, v->payload, v->size, v->fds, v->n_fds);
}

void valid_clear(struct valid *v)
{
	fd_close(&v->own);
}
