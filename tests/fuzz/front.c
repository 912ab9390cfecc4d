/* SPDX-License-Identifier: Apache-2.0 */
/* A front-end's calls, and a back-end that answers as it likes. */
#include "tests/fuzz/fuzz.h"

#include <sys/eventfd.h>
#include <sys/mman.h>

#include "base/util.h"
#include "tests/fuzz/hostile.h"
#include "tests/lib/test.h"
#include "vhost-user/front/vu_front.h"

static struct vu_front *front;
static int memory, event;

static int on_map(void *opaque, const struct vu_front_mapping *m)
{
	return m->fd < 0 ? EBADF : m->id;
}

static void on_unmap(void *opaque, uint8_t id, uint64_t at, uint64_t len)
{
}

static void on_config(void *opaque)
{
}

static void act_config(struct fuzz_input *in)
{
	uint32_t offset = fuzz_u8(in), len = fuzz_u8(in) % 64;
	uint8_t bytes[64] = { 0 };

	vu_front_get_config(front, offset, bytes, len, NULL);
	vu_front_set_config(front, offset, bytes, len, NULL);
}

static void act_features(struct fuzz_input *in)
{
	vu_front_set_features(front, fuzz_u64(in), NULL);
}

static void act_memory(struct fuzz_input *in)
{
	struct mem_region_desc desc[20];
	unsigned n = fuzz_u8(in) % G_N_ELEMENTS(desc);
	int fds[G_N_ELEMENTS(desc)];

	for (unsigned i = 0; i < n; i++) {
		fds[i] = memory;
		desc[i] = (struct mem_region_desc){ .guest_addr = (uint64_t)fuzz_u8(in) << 16,
			.size = 0x1000,
			.user_addr = (uint64_t)i << 16 };
	}
	vu_front_set_memory(front, desc, fds, n, NULL);
}

static void act_inflight(struct fuzz_input *in)
{
	struct vu_front_inflight area = { .fd = -1 };

	if (vu_front_get_inflight(front, 1 + fuzz_u8(in) % 4, 64, &area, NULL) && area.fd >= 0)
		vu_front_set_inflight(front, &area, NULL);
	fd_close(&area.fd);
}

static void act_ring(struct fuzz_input *in)
{
	const struct vu_ring_setup setup = { .size = 64, .kick = event, .call = event, .err = -1 };
	unsigned index = fuzz_u8(in) % 4;
	uint32_t base;

	vu_front_setup_ring(front, index, &setup, NULL);
	vu_front_enable_ring(front, index, true, NULL);
	vu_front_set_call(front, index, event, NULL);
	vu_front_stop_ring(front, index, &base, NULL);
}

static void act_status(struct fuzz_input *in)
{
	uint8_t status;

	vu_front_set_status(front, fuzz_u8(in), NULL);
	vu_front_get_status(front, &status, NULL);
}

static void act_reset(struct fuzz_input *in)
{
	vu_front_reset(front, NULL);
}

static void act_channel(struct fuzz_input *in)
{
	static const struct vu_front_events events = { .config_changed = on_config };

	vu_front_backend_event(front, &events, NULL);
	vu_front_shm_size(front, fuzz_u8(in));
}

static const struct vu_front_shm_ops shm = { .map = on_map, .unmap = on_unmap };

static void run(struct fuzz_input *in)
{
	static void (*const actions[])(struct fuzz_input * in) = { act_config, act_features,
		act_memory, act_inflight, act_ring, act_status, act_reset, act_channel };
	struct fuzz_input own = fuzz_part(in, fuzz_u8(in));
	uint8_t how = fuzz_u8(&own);
	struct vu_front_options options = {
		.probe = how % 3,
		.packed = how / 4 % 3,
		.deadline_ms = 600000,
		.config_size = how & 0x10 ? -1 : 16,
		.device_id = how & 0x20 ? 4 : 0,
		.inflight = how & 0x40,
		.shm = how & 0x80 ? &shm : NULL,
	};
	g_autoptr(GError) error = NULL;
	struct hostile_backend *h;
	int fd;

	memory = memfd_create("guest", MFD_CLOEXEC);
	event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	h = hostile_start(*in, &fd);
	front = vu_front_new(fd, "peer", &options, &error);
	g_assert_true(!front == !!error);
	while (front && fuzz_more(&own))
		actions[fuzz_below(&own, G_N_ELEMENTS(actions))](&own);
	vu_front_free(front);
	hostile_join(h);
	close(memory);
	close(event);
}

FUZZ_TARGET(front, .run = run);
