/* SPDX-License-Identifier: Apache-2.0 */
/* See frontend.h: the back-end that is played, and what it notes. */
#include "tools/check/frontend.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <poll.h>

#include "base/memfd.h"
#include "base/util.h"
#include "tools/block/cancel.h"
#include "tools/check/wire.h"
#include "tools/sandbox.h"
#include "tools/virtioctl.h"
#include "virtio/inflight.h"

#define SLOTS 32
#define CAPACITY 2048 /* sectors of a block device */
#define SEND_MS 2000

struct listener {
	struct frontend f;
	uint32_t device_id;
	int fd;
	struct check k; /* for the record and the report */
	char **failure, **record; /* by rule: the first */
	bool *applied;
};

static uint32_t config_size(const struct listener *l)
{
	return l->device_id == VIRTIO_ID_BLOCK ? sizeof(struct virtio_blk_config) : 0;
}

static void offer(struct listener *l)
{
	l->f.offered = VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES) |
		VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) | VU_BIT(VIRTIO_RING_F_EVENT_IDX) |
		VU_BIT(VIRTIO_F_RING_PACKED);
	l->f.offered_protocol = VU_BIT(VU_F_MQ) | VU_BIT(VU_F_REPLY_ACK) |
		VU_BIT(VU_F_BACKEND_REQ) | VU_BIT(VU_F_INFLIGHT_SHMFD) | VU_BIT(VU_F_RESET_DEVICE) |
		VU_BIT(VU_F_CONFIGURE_MEM_SLOTS) | VU_BIT(VU_F_STATUS) | VU_BIT(VU_F_PROBE) |
		(config_size(l) ? VU_BIT(VU_F_CONFIG) : 0);
}

/* Replies with as much configuration as is asked for. */
static void reply_config(const struct vu_msg *in, struct vu_msg *out)
{
	const struct virtio_blk_config c = {
		.capacity = htole64(CAPACITY),
		.blk_size = htole32(512),
		.seg_max = htole32(64),
		.num_queues = htole16(1),
	};
	uint32_t at = in->payload.config.offset, n = in->header.size - sizeof(struct vu_config);

	out->payload.config = in->payload.config;
	memset(out->payload.bytes + sizeof(struct vu_config), 0, n);
	if (at < sizeof(c))
		memcpy(out->payload.bytes + sizeof(struct vu_config), (const uint8_t *)&c + at,
			MIN(n, sizeof(c) - at));
	out->header.size = in->header.size;
}

static void reply_inflight(const struct vu_msg *in, struct vu_msg *out)
{
	struct vu_inflight *i = &out->payload.inflight;

	*i = in->payload.inflight;
	i->mmap_size = i->num_queues * virtio_inflight_bytes(i->queue_size, true);
	i->mmap_offset = 0;
	out->fds[out->n_fds++] = memfd_sealed("check-inflight", MAX(i->mmap_size, 1));
	out->header.size = in->header.size;
}

static bool reply_probe(struct listener *l, const struct vu_msg *in, struct vu_msg *out)
{
	if (!vu_probe_shape(in->header.request, in->header.size, in->n_fds, 0, false))
		return false;
	out->payload.u32 = in->header.request == VU_GET_DEVICE_ID ? l->device_id
		: in->header.request == VU_GET_CONFIG_SIZE	  ? config_size(l)
								  : 1;
	out->header.size = sizeof(uint32_t);
	return true;
}

/* Makes a message's own reply; false: it has none. */
static bool make_reply(struct listener *l, const struct vu_msg *in, struct vu_msg *out)
{
	switch (in->header.request) {
	case VU_GET_FEATURES:
		vu_msg_set_u64(out, l->f.offered);
		return true;
	case VU_GET_PROTOCOL_FEATURES:
		vu_msg_set_u64(out, l->f.offered_protocol);
		return true;
	case VU_GET_QUEUE_NUM:
		vu_msg_set_u64(out, FRONTEND_QUEUES);
		return true;
	case VU_GET_MAX_MEM_SLOTS:
		vu_msg_set_u64(out, SLOTS);
		return true;
	case VU_GET_STATUS:
		vu_msg_set_u64(out, l->f.status);
		return true;
	case VU_GET_VRING_BASE:
		out->payload.state = (struct vu_vring_state){ .index = in->payload.state.index };
		out->header.size = sizeof(struct vu_vring_state);
		return true;
	case VU_GET_CONFIG:
		reply_config(in, out);
		return true;
	case VU_GET_INFLIGHT_FD:
		reply_inflight(in, out);
		return true;
	}
	return reply_probe(l, in, out);
}

static void answer(struct listener *l, const struct vu_msg *in)
{
	struct vu_msg out;

	vu_msg_init(&out, in->header.request);
	if (!make_reply(l, in, &out)) {
		if (!(in->header.flags & VU_FLAG_NEED_REPLY) ||
			!(l->f.protocol & VU_BIT(VU_F_REPLY_ACK)))
			return;
		vu_msg_set_u64(&out, 0);
	}
	out.header.flags |= VU_FLAG_REPLY;
	wire_note(&l->k, "< %s, %u bytes", wire_name(out.header.request, out.header.size),
		out.header.size);
	vu_msg_write(l->fd, &out, SEND_MS, NULL);
	vu_msg_clear(&out);
}

static void learn_ring(struct frontend *f, const struct vu_msg *msg, const struct vu_shape *shape)
{
	struct frontend_ring *r = &f->ring[vu_msg_ring_index(msg, shape) % FRONTEND_QUEUES];

	switch (msg->header.request) {
	case VU_SET_VRING_NUM:
		r->num = msg->payload.state.num;
		r->has_num = true;
		break;
	case VU_SET_VRING_BASE:
		r->has_base = true;
		break;
	case VU_SET_VRING_ADDR:
		r->addr = msg->payload.addr;
		r->has_addr = true;
		break;
	case VU_SET_VRING_KICK:
		r->runs = true;
		break;
	case VU_GET_VRING_BASE:
		r->runs = false;
		break;
	}
}

static void learn_regions(struct frontend *f, const struct vu_msg *msg)
{
	struct mem_region_desc d[VU_MAX_REGIONS];
	unsigned n = vu_msg_regions(msg, d);

	if (msg->header.request == VU_SET_MEM_TABLE)
		f->n_regions = 0;
	for (unsigned i = 0; i < n && msg->header.request != VU_REM_MEM_REG; i++) {
		if (f->n_regions < VU_MAX_REGIONS)
			f->region[f->n_regions++] = d[i];
	}
	for (unsigned i = 0; msg->header.request == VU_REM_MEM_REG && i < f->n_regions; i++) {
		if (f->region[i].guest_addr == d[0].guest_addr)
			f->region[i] = f->region[--f->n_regions];
	}
}

/* Notes what a well-formed message says. */
static void learn(struct frontend *f, const struct vu_msg *msg, const struct vu_shape *shape)
{
	switch (msg->header.request) {
	case VU_GET_FEATURES:
		f->asked_features = true;
		break;
	case VU_GET_PROTOCOL_FEATURES:
		f->asked_protocol = true;
		break;
	case VU_SET_FEATURES:
		f->features = msg->payload.u64;
		f->has_features = true;
		break;
	case VU_SET_PROTOCOL_FEATURES:
		f->protocol = msg->payload.u64;
		break;
	case VU_SET_OWNER:
		f->has_owner = true;
		break;
	case VU_SET_STATUS:
		f->status = msg->payload.u64;
		break;
	case VU_SET_MEM_TABLE:
	case VU_ADD_MEM_REG:
	case VU_REM_MEM_REG:
		learn_regions(f, msg);
		break;
	case VU_RESET_DEVICE:
		for (unsigned i = 0; i < FRONTEND_QUEUES; i++)
			f->ring[i].runs = false;
		break;
	}
	if (shape->ring != VU_RING_NONE)
		learn_ring(f, msg, shape);
}

static void take(struct listener *l, const struct vu_msg *msg)
{
	const struct vu_shape *shape = vu_shape(msg->header.request);

	wire_note_message(&l->k, ">", msg);
	for (unsigned i = 0; i < frontend_n_rules; i++) {
		const struct frontend_rule *rule = &frontend_rules[i];
		const char *wrong;

		if (!rule->applies(&l->f, msg))
			continue;
		l->applied[i] = true;
		wrong = rule->breaks(&l->f, msg);
		if (!wrong || l->failure[i])
			continue;
		l->failure[i] = g_strdup_printf(
			"%s: %s", wire_name(msg->header.request, msg->header.size), wrong);
		l->record[i] = g_strdup(l->k.record->str);
	}
	if (shape && vu_msg_check(msg, shape, NULL))
		learn(&l->f, msg, shape);
	answer(l, msg);
}

/* Serves one connection to its end, or to a signal. */
static void serve(struct listener *l)
{
	struct pollfd pfd = { .fd = l->fd, .events = POLLIN };
	struct vu_reader reader = { 0 };
	enum vu_read got = VU_READ_AGAIN;
	g_autoptr(GError) error = NULL;
	struct vu_msg msg;

	vu_msg_init(&msg, 0);
	while (got == VU_READ_AGAIN || got == VU_READ_DONE) {
		if (cancel_signal() || (poll(&pfd, 1, -1) < 0 && errno != EINTR))
			break;
		got = vu_msg_read(&reader, l->fd, &msg, &error);
		if (got == VU_READ_DONE) {
			take(l, &msg);
			vu_msg_clear(&msg);
		}
	}
	vu_msg_clear(&msg);
	if (!error)
		return;
	l->failure[FRONTEND_FRAMING] = g_strdup(error->message);
	l->record[FRONTEND_FRAMING] = g_strdup(l->k.record->str);
}

static int report(struct listener *l, const struct check_format *format)
{
	g_autoptr(GString) body = g_string_new(NULL);
	g_autoptr(GPtrArray) rules = g_ptr_array_new();
	struct check_report r = { .k = &l->k, .cases = rules, .body = body };

	g_ptr_array_set_size(rules, (int)frontend_n_rules);
	format->begin(&r);
	for (unsigned i = 0; i < frontend_n_rules; i++) {
		bool failed = l->failure[i];

		l->k.c = &frontend_rules[i].c;
		l->k.failure = l->failure[i];
		l->k.skip = (char[]){ "no such message was sent" };
		g_string_assign(l->k.record, failed ? l->record[i] : "");
		r.done++;
		r.failed += failed;
		r.skipped += !failed && !l->applied[i];
		format->result(&r,
			failed			? CHECK_FAILED
				: l->applied[i] ? CHECK_PASSED
						: CHECK_SKIPPED,
			0);
	}
	format->end(&r, NULL);
	return r.failed ? CTL_FAILED : CTL_OK;
}

/* Waits for a front-end; returns its socket, or -1 if none came. */
static int await(const char *path, GError **error)
{
	autofd listening = sock_listen(path, 0600, (gid_t)-1, error);
	struct pollfd pfd = { .fd = listening, .events = POLLIN };
	int fd = -1;

	while (listening >= 0 && fd < 0 && !cancel_signal()) {
		if (poll(&pfd, 1, -1) == 1)
			fd = sock_accept(listening);
	}
	if (listening >= 0)
		unlink(path);
	return fd;
}

int frontend_run(const struct check_options *o, const struct connect_options *connect,
	const struct check_format *format)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GString) record = g_string_new(NULL);
	struct listener l = {
		.device_id = connect->keys.device_id ? connect->keys.device_id : VIRTIO_ID_RNG,
		.k = { .options = o, .record = record, .sock = -1, .channel = -1 },
	};
	g_auto(GStrv) failures = g_new0(char *, frontend_n_rules + 1);
	g_auto(GStrv) records = g_new0(char *, frontend_n_rules + 1);
	g_autofree bool *applied = g_new0(bool, frontend_n_rules);

	l.failure = failures;
	l.record = records;
	l.applied = applied;
	offer(&l);
	cancel_on_signals();
	l.fd = await(o->socket, &error);
	if (error)
		return ctl_report(error);
	if (l.fd < 0)
		return CTL_SIGNALLED + cancel_signal();
	if (ctl_sandbox_enter(connect->sandbox, NULL, &error))
		serve(&l);
	fd_close(&l.fd);
	return error ? ctl_report(error) : report(&l, format);
}
