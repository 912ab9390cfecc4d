/* SPDX-License-Identifier: Apache-2.0 */
/* See kit_core.h. */
#include "tests/lib/test.h"

#include "tests/lib/kit_core.h"

#include "virtio/inflight.h"

static void keep_line(enum log_level level, const char *line, void *opaque)
{
	struct kit_core *c = opaque;
	char *log = g_strconcat(c->log, line, "\n", NULL);

	g_free(c->log);
	c->log = log;
}

int kit_core_setup(void **state)
{
	struct kit_core *c = g_new0(struct kit_core, 1);

	c->fds = count_fds();
	c->log = g_strdup("");
	log_set_sink(keep_line, c);
	kit_services_open(c);
	*state = c;
	return 0;
}

static bool open_device(struct kit_core *c, GError **error)
{
	c->device = (struct virtio_device){
		.ops = &virtio_device_ops,
		.features = virtio_device_ops.probe.features,
		.num_queues = virtio_device_ops.probe.max_queues,
		.config_size = virtio_device_ops.probe.config_size,
		.driver_features = c->device.driver_features,
		.workers = KIT_WORKERS,
	};
	c->is_open = true;
	return !virtio_device_ops.open || virtio_device_ops.open(&c->device, error);
}

static void close_device(struct kit_core *c)
{
	if (virtio_device_ops.close)
		virtio_device_ops.close(&c->device);
	assert_null(c->device.data);
	c->is_open = false;
	c->wakeups = NULL; /* they lived until now */
}

bool kit_core_openv(struct kit_core *c, va_list ap, GError **error)
{
	/* As main() does; cmocka takes the signal over for each test, and for its setup. */
	guest_mem_catch_sigbus();
	if (!kit_options_parse(c, ap, error))
		return false;
	if (open_device(c, error))
		return true;
	kit_core_close(c);
	return false;
}

bool kit_core_open(struct kit_core *c, GError **error, ...)
{
	va_list ap;
	bool ok;

	va_start(ap, error);
	ok = kit_core_openv(c, ap, error);
	va_end(ap);
	return ok;
}

void kit_core_open_failsv(struct kit_core *c, const char *text, va_list ap)
{
	g_autoptr(GError) error = NULL;

	assert_false(kit_core_openv(c, ap, &error));
	assert_non_null(error);
	if (!strstr(error->message, text))
		fail_msg("'%s' does not contain '%s'", error->message, text);
}

void kit_core_open_fails(struct kit_core *c, const char *text, ...)
{
	va_list ap;

	va_start(ap, text);
	kit_core_open_failsv(c, text, ap);
	va_end(ap);
}

void kit_core_close(struct kit_core *c)
{
	close_device(c);
	kit_options_restore(c);
}

static void hook_call(void *opaque)
{
}

static void hook_broken(void *opaque, const char *reason)
{
	struct kit_queue *q = opaque;

	if (!q->core->broken)
		q->core->broken = g_strdup(reason);
}

static const struct vq_hooks hooks = { hook_call, hook_broken };

static size_t inflight_size(const struct kit_queue *q)
{
	return virtio_inflight_bytes(driver_ring_size(q->ring),
		q->core->device.driver_features & 1ull << VIRTIO_F_RING_PACKED);
}

static void make_ring(struct kit_core *c, unsigned i)
{
	struct kit_queue *q = &c->queue[i];
	unsigned size = c->ring_size ? c->ring_size : 128;

	q->core = c;
	q->ring = driver_ring_new(c->mem, size, c->device.driver_features, NULL);
	assert_non_null(q->ring);
	q->base = driver_ring_initial_base(q->ring);
	q->inflight = g_aligned_alloc0(1, inflight_size(q), VIRTIO_INFLIGHT_ALIGN);
	if (!q->q)
		q->q = vq_new(i, c->guest, &hooks, q);
}

/* Makes new memory and rings; as in the daemon, queues last as long as the device. */
static void make_driver(struct kit_core *c)
{
	struct mem_region_desc desc;
	int fd;

	c->mem = driver_mem_new(KIT_MEMORY, NULL);
	assert_non_null(c->mem);
	driver_mem_describe(c->mem, &desc, &fd);
	assert_true(guest_mem_set(c->guest, &desc, &fd, 1, NULL));
	for (unsigned i = 0; i < c->n_queues; i++)
		make_ring(c, i);
}

static void free_driver(struct kit_core *c)
{
	for (unsigned i = 0; i < KIT_MAX_QUEUES; i++) {
		g_clear_pointer(&c->queue[i].ring, driver_ring_free);
		g_clear_pointer(&c->queue[i].inflight, g_aligned_free);
	}
	g_clear_pointer(&c->mem, driver_mem_free);
}

void kit_core_start(struct kit_core *c, uint64_t driver_features)
{
	c->device.driver_features = driver_features | 1ull << VIRTIO_F_VERSION_1;
	c->guest = guest_mem_new();
	if (!c->n_queues)
		c->n_queues = MIN(c->device.num_queues, KIT_MAX_QUEUES);
	make_driver(c);
	kit_core_resume(c);
}

static bool is_running(const struct kit_core *c, unsigned i)
{
	return c->queue[i].q && vq_is_started(c->queue[i].q);
}

unsigned kit_core_thread(const struct kit_core *c, unsigned i)
{
	switch (i < virtio_device_ops.common_queues ? VIRTIO_DEVICE_ONE
						    : virtio_device_ops.threads) {
	case VIRTIO_DEVICE_PER_PAIR:
		return i & ~1u;
	case VIRTIO_DEVICE_PER_QUEUE:
		return i;
	default:
		return 0;
	}
}

static bool in_group(const struct kit_core *c, unsigned i, const struct vq *q)
{
	return is_running(c, i) && (!q || kit_core_thread(c, i) == kit_core_thread(c, vq_index(q)));
}

void kit_core_begin(struct kit_core *c, const struct vq *q)
{
	for (unsigned i = 0; i < KIT_MAX_QUEUES; i++) {
		if (in_group(c, i, q))
			vq_burst_begin(c->queue[i].q);
	}
}

static void publish(struct kit_core *c, const struct vq *q)
{
	for (unsigned i = 0; i < KIT_MAX_QUEUES; i++) {
		if (in_group(c, i, q))
			c->queue[i].ready |= vq_burst_end(c->queue[i].q) == VQ_MORE;
	}
}

static void burst(struct kit_core *c, unsigned i)
{
	struct vq *q = c->queue[i].q;

	c->queue[i].ready = false;
	if (!is_running(c, i) || c->stopping || vq_is_broken(q))
		return;
	kit_core_begin(c, q);
	vq_announce(q);
	virtio_device_ops.kick(&c->device, q);
	publish(c, q);
}

void kit_core_end(struct kit_core *c, const struct vq *q)
{
	bool any = true;

	publish(c, q);
	for (unsigned bursts = 0; any; bursts++) {
		assert_true(bursts < 1000); /* a device that spins */
		any = false;
		for (unsigned i = 0; i < KIT_MAX_QUEUES; i++) {
			any |= c->queue[i].ready;
			if (c->queue[i].ready)
				burst(c, i);
		}
	}
}

void kit_core_resume(struct kit_core *c)
{
	for (unsigned i = 0; i < c->n_queues; i++) {
		struct kit_queue *kq = &c->queue[i];
		struct vq_setup setup = {
			.size = driver_ring_size(kq->ring),
			.features = c->device.driver_features,
			.base = kq->base,
			.inflight = c->no_area ? NULL : kq->inflight,
			.inflight_len = c->no_area ? 0 : inflight_size(kq),
			.any_order = virtio_device_ops.any_order,
		};
		g_autoptr(GError) error = NULL;

		driver_ring_addresses(kq->ring, &setup.desc, &setup.avail, &setup.used);
		if (!vq_start(kq->q, &setup, &error))
			fail_msg("%s", error->message);
	}
	if (virtio_device_ops.claim)
		assert_true(virtio_device_ops.claim(&c->device, NULL));
	for (unsigned i = 0; i < c->n_queues; i++) {
		kit_core_begin(c, c->queue[i].q);
		if (virtio_device_ops.queue_start)
			virtio_device_ops.queue_start(&c->device, c->queue[i].q);
		publish(c, c->queue[i].q);
		c->queue[i].ready = true;
	}
	kit_core_end(c, NULL);
}

static void drain(struct kit_core *c, unsigned i)
{
	struct vq *q = c->queue[i].q;

	kit_core_begin(c, q);
	vq_drain(q);
	if (virtio_device_ops.queue_stop)
		virtio_device_ops.queue_stop(&c->device, q);
	publish(c, q);
	c->queue[i].ready = false;
}

void kit_core_stop(struct kit_core *c)
{
	c->stopping = true;
	for (unsigned i = 0; i < KIT_MAX_QUEUES; i++) {
		if (is_running(c, i))
			drain(c, i);
	}
	while (kit_core_shm_answer(c))
		;
	while (kit_core_in_flight(c))
		assert_true(kit_core_step(c, KIT_PATIENCE_MS));
	for (unsigned i = 0; i < KIT_MAX_QUEUES; i++) {
		if (is_running(c, i))
			c->queue[i].base = vq_stop(c->queue[i].q);
	}
	for (unsigned i = 0; i < KIT_MAX_QUEUES; i++)
		kit_services_stopped(c, i);
	c->stopping = false;
}

void kit_core_restart(struct kit_core *c)
{
	g_autoptr(GError) error = NULL;

	kit_core_stop(c);
	close_device(c);
	kit_shm_drop(&c->shm);
	kit_options_parse_again(c);
	if (!open_device(c, &error))
		fail_msg("%s", error->message);
	kit_core_resume(c);
}

void kit_core_reset(struct kit_core *c)
{
	kit_core_stop(c);
	if (virtio_device_ops.reset)
		virtio_device_ops.reset(&c->device);
	kit_shm_drop(&c->shm);
	free_driver(c);
	g_clear_pointer(&c->broken, g_free);
	make_driver(c);
	kit_core_resume(c);
}

void kit_core_kick(struct kit_core *c, unsigned i)
{
	driver_ring_publish(c->queue[i].ring);
	c->queue[i].ready = true;
	kit_core_begin(c, c->queue[i].q);
	kit_core_end(c, c->queue[i].q);
}

bool kit_core_step(struct kit_core *c, int timeout_ms)
{
	return kit_services_step(c, timeout_ms);
}

bool kit_core_reap(struct kit_core *c, unsigned i, void **token, uint32_t *len)
{
	int r = driver_ring_reap(c->queue[i].ring, token, len);

	assert_true(r >= 0);
	return r == 1;
}

unsigned kit_core_in_flight(const struct kit_core *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < KIT_MAX_QUEUES; i++)
		n += is_running(c, i) ? vq_in_flight(c->queue[i].q) : 0;
	return n;
}

uint64_t kit_core_alloc(struct kit_core *c, uint64_t len, uint8_t fill)
{
	uint64_t addr = driver_mem_alloc(c->mem, len, 16);

	assert_int_not_equal(addr, 0);
	memset(driver_mem_host(c->mem, addr, len), fill, len);
	return addr;
}

void *kit_core_host(struct kit_core *c, uint64_t addr)
{
	return driver_mem_host(c->mem, addr, 1);
}

int kit_core_teardown(void **state)
{
	struct kit_core *c = *state;
	unsigned fds = c->fds;

	kit_core_stop(c);
	if (c->is_open)
		kit_core_close(c);
	for (unsigned i = 0; i < KIT_MAX_QUEUES; i++)
		g_clear_pointer(&c->queue[i].q, vq_free);
	g_clear_pointer(&c->guest, guest_mem_free);
	kit_shm_drop(&c->shm);
	free_driver(c);
	kit_services_close(c);
	log_set_sink(NULL, NULL);
	g_free(c->log);
	g_free(c->broken);
	g_free(c);
	return count_fds() == fds ? 0 : -1;
}
