/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a session. */
#include "tools/check/session.h"

#include <linux/virtio_config.h>
#include <sys/eventfd.h>

#include "base/util.h"
#include "tools/check/wire.h"
#include "virtio/ring_layout.h"

#define MEMORY_BYTES (8u << 20)
/* Of buffers, one for each descriptor. */
#define SLOT_BYTES 2048

/*
 * Protocol features that cases make use of, or that change nothing unless used. PROBE is not among
 * them: to a back-end with SHARED_OBJECT its bit means that. Neither is INFLIGHT_SHMFD: some
 * back-ends start no vring then before they have an area.
 */
static const uint64_t known_protocol = VU_BIT(VU_F_MQ) | VU_BIT(VU_F_LOG_SHMFD) |
	VU_BIT(VU_F_REPLY_ACK) | VU_BIT(VU_F_BACKEND_REQ) | VU_BIT(VU_F_CONFIG) |
	VU_BIT(VU_F_RESET_DEVICE) | VU_BIT(VU_F_CONFIGURE_MEM_SLOTS) | VU_BIT(VU_F_STATUS) |
	VU_BIT(VU_F_MTU) | VU_BIT(VU_F_DEVICE_STATE) | VU_BIT(VU_F_SHMEM) |
	VU_BIT(VU_F_BACKEND_SEND_FD);

uint64_t session_basic_features(const struct check *k)
{
	return k->peer.features &
		(VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES));
}

/*
 * Opens a session in QEMU's order. Acknowledgements are asked for only then: to some back-ends
 * REPLY_ACK counts once bit 30 has been accepted, too.
 */
void session_open(struct check *k, uint64_t features)
{
	uint64_t wanted = known_protocol & k->peer.protocol;

	if (!k->after && check_case_protocol(k->c) & VU_BIT(VU_F_INFLIGHT_SHMFD))
		wanted |= VU_BIT(VU_F_INFLIGHT_SHMFD);
	wire_connect(k);
	if (!(features & VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES)))
		wanted = 0;
	/* Some take what is accepted for offered only where it was asked for. */
	if (wanted)
		wire_ask(k, VU_GET_PROTOCOL_FEATURES, NULL, 0);
	if (wanted)
		wire_tell_u64(k, VU_SET_PROTOCOL_FEATURES, wanted);
	/* It is legal once. */
	if (k->c->request != VU_SET_OWNER)
		wire_tell(k, VU_SET_OWNER, NULL, 0, NULL, 0);
	wire_tell_u64(k, VU_SET_FEATURES, features);
	k->acked = wanted;
	k->features = features;
	wire_barrier(k);
}

static void make_memory(struct check *k)
{
	g_autoptr(GError) error = NULL;

	if (check_over(k) || k->mem)
		return;
	k->mem = driver_mem_new(MEMORY_BYTES, &error);
	if (!k->mem)
		check_fail(k, "%s", error->message);
}

struct vu_region session_region(const struct check *k, int *fd)
{
	struct mem_region_desc d = { 0 };

	*fd = -1;
	if (k->mem)
		driver_mem_describe(k->mem, &d, fd);
	return (struct vu_region){ d.guest_addr, d.size, d.user_addr, d.mmap_offset };
}

void session_table(struct check *k, const struct vu_region *region, const int *fd, unsigned n)
{
	struct {
		struct vu_mem_table table;
		struct vu_region region[VU_MAX_REGIONS];
	} m = { .table.n_regions = n };

	memcpy(m.region, region, n * sizeof(*region));
	wire_tell(k, VU_SET_MEM_TABLE, &m, sizeof(m.table) + n * sizeof(*region), fd, n);
}

void session_share(struct check *k, unsigned pieces, uint64_t user_offset)
{
	struct vu_region region[VU_MAX_REGIONS], all;
	int fd[VU_MAX_REGIONS];

	make_memory(k);
	if (check_over(k))
		return;
	all = session_region(k, &fd[0]);
	for (unsigned i = 0; i < pieces; i++) {
		uint64_t piece = all.size / pieces, at = i * piece;

		fd[i] = fd[0];
		region[i] = (struct vu_region){
			.guest_addr = all.guest_addr + at,
			.size = piece,
			.user_addr = all.user_addr + at + user_offset * (i + 1),
			.mmap_offset = at,
		};
	}
	session_table(k, region, fd, pieces);
}

void session_memory(struct check *k)
{
	session_share(k, 1, 0);
}

struct check_queue *session_queue(struct check *k, unsigned index, unsigned size)
{
	struct check_queue *q = &k->queue[k->n_queues];
	g_autoptr(GError) error = NULL;

	make_memory(k);
	if (check_over(k))
		return NULL;
	g_assert(k->n_queues < CHECK_MAX_QUEUES);
	*q = (struct check_queue){ .index = index, .size = size };
	q->ring = driver_ring_new(k->mem, size, k->features, &error);
	q->buffers = q->ring ? driver_mem_alloc(k->mem, (uint64_t)size * SLOT_BYTES, 64) : 0;
	if (!q->buffers) {
		check_fail(k, "%s", error ? error->message : "too little memory for buffers");
		driver_ring_free(q->ring);
		return NULL;
	}
	driver_ring_cut_excess(q->ring);
	q->out = g_new0(bool, size);
	q->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	k->n_queues++;
	return q;
}

struct vu_vring_addr session_addr(const struct check_queue *q, uint64_t user_offset)
{
	struct vu_vring_addr a = { .index = q->index };

	driver_ring_addresses(q->ring, &a.desc, &a.avail, &a.used);
	a.desc += user_offset;
	a.avail += user_offset;
	a.used += user_offset;
	return a;
}

void session_enable(struct check *k, struct check_queue *q, bool on)
{
	if (k->features & VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES))
		wire_tell_state(k, VU_SET_VRING_ENABLE, q ? q->index : 0, on);
}

void session_start_queue(struct check *k, struct check_queue *q, uint32_t base)
{
	struct vu_vring_addr a;

	if (check_over(k))
		return;
	a = session_addr(q, 0);
	wire_tell_state(k, VU_SET_VRING_NUM, q->index, q->size);
	wire_tell_state(k, VU_SET_VRING_BASE, q->index, base);
	wire_tell(k, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
	wire_tell_fd(k, VU_SET_VRING_CALL, q->index, q->call);
	wire_tell_fd(k, VU_SET_VRING_ERR, q->index, q->err);
	wire_tell_fd(k, VU_SET_VRING_KICK, q->index, q->kick);
	session_enable(k, q, true);
}

uint32_t session_stop_queue(struct check *k, struct check_queue *q)
{
	struct vu_vring_state s = { .index = check_over(k) ? 0 : q->index };

	wire_ask(k, VU_GET_VRING_BASE, &s, sizeof(s));
	if (check_over(k))
		return 0;
	check_equal(k, "the index in the reply to GET_VRING_BASE", k->msg.payload.state.index,
		q->index);
	return k->msg.payload.state.num;
}

uint32_t session_base_after(const struct check *k, const struct check_queue *q, unsigned n)
{
	const struct check_device *d = k->peer.data;
	unsigned each = (d->out_len > 0) + (d->in_len[0] > 0) + (d->in_len[1] > 0);
	unsigned at = n * each;
	uint16_t position;

	if (!(k->features & VU_BIT(VIRTIO_F_RING_PACKED)))
		return n;
	position = (uint16_t)(at % q->size | (at / q->size % 2 ? 0 : VIRTIO_PACKED_WRAP));
	return virtio_packed_base(position, position);
}

struct check_queue *session_start_queues(struct check *k, unsigned size)
{
	struct check_queue *used = NULL;

	for (unsigned i = 0; i < k->peer.data->queues; i++) {
		struct check_queue *q = session_queue(k, i, size);

		session_start_queue(k, q, q ? driver_ring_initial_base(q->ring) : 0);
		if (i == k->peer.data->queue)
			used = q;
	}
	return used;
}

struct check_queue *session_start(struct check *k, uint64_t features, unsigned size)
{
	struct check_queue *used;

	session_open(k, features);
	session_memory(k);
	used = session_start_queues(k, size);
	if (k->acked & VU_BIT(VU_F_STATUS))
		wire_tell_u64(k, VU_SET_STATUS,
			VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
				VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	return used;
}

void session_end(struct check *k)
{
	wire_close(k);
	fd_close(&k->channel);
	for (unsigned i = 0; i < k->n_queues; i++) {
		struct check_queue *q = &k->queue[i];

		driver_ring_free(q->ring);
		g_free(q->out);
		fd_close(&q->kick);
		fd_close(&q->call);
		fd_close(&q->err);
	}
	k->n_queues = 0;
	driver_mem_free(k->mem);
	k->mem = NULL;
}
