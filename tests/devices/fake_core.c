/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_core.h. */
#include "fake_core.h"

#include <linux/virtio_config.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/lib/leak.h"

static struct core *core_of(struct virtio_device *d)
{
	return container_of(d, struct core, device);
}

static struct core *running; /* virtio_queue_watch() gets no device */

struct vq *virtio_device_queue(struct virtio_device *d, unsigned i)
{
	return i == 0 ? core_of(d)->q : NULL;
}

void virtio_queue_watch(struct vq *q, int fd, uint32_t events,
	void (*cb)(struct virtio_device *d, struct vq *q, uint32_t revents))
{
	struct core_watch *free = NULL, *w = running->watch;

	for (unsigned i = 0; i < G_N_ELEMENTS(running->watch); i++) {
		if (w[i].events && w[i].fd == fd) {
			free = &w[i];
			break;
		}
		if (!w[i].events)
			free = &w[i];
	}
	assert_non_null(free);
	*free = (struct core_watch){ fd, events, cb };
}

void virtio_device_config_changed(struct virtio_device *d)
{
	core_of(d)->config_changes++;
}

static void keep_line(enum log_level level, const char *line, void *opaque)
{
	struct core *c = opaque;
	char *log = g_strconcat(c->log, line, "\n", NULL);

	g_free(c->log);
	c->log = log;
}

int core_setup(void **state)
{
	struct core *c = g_new0(struct core, 1);

	c->fds = count_fds();
	c->log = g_strdup("");
	log_set_sink(keep_line, c);
	*state = running = c;
	return 0;
}

int core_teardown(void **state)
{
	struct core *c = *state;
	unsigned fds = c->fds;

	if (c->q && vq_is_started(c->q))
		core_stop(c);
	if (c->device.data)
		core_close(c);
	g_clear_pointer(&c->q, vq_free);
	g_clear_pointer(&c->guest, guest_mem_free);
	g_clear_pointer(&c->ring, driver_ring_free);
	g_clear_pointer(&c->mem, driver_mem_free);
	log_set_sink(NULL, NULL);
	g_free(c->log);
	g_free(c->broken);
	g_free(c);
	running = NULL;
	return count_fds() == fds ? 0 : -1;
}

/* A program has its options parsed once; here every device is to start with the defaults. */
static size_t option_size(const GOptionEntry *e)
{
	switch (e->arg) {
	case G_OPTION_ARG_NONE:
	case G_OPTION_ARG_INT:
		return sizeof(int);
	case G_OPTION_ARG_INT64:
		return sizeof(gint64);
	case G_OPTION_ARG_STRING:
	case G_OPTION_ARG_FILENAME:
		return sizeof(char *);
	default:
		fail_msg("option --%s is of a kind unknown here", e->long_name);
		return 0;
	}
}

static void save_options(struct core *c)
{
	c->saved_options = g_array_new(FALSE, TRUE, 1);
	for (const GOptionEntry *e = virtio_device_ops.options; e->long_name; e++)
		g_array_append_vals(c->saved_options, e->arg_data, option_size(e));
}

static void restore_options(struct core *c)
{
	const char *from = c->saved_options->data;

	for (const GOptionEntry *e = virtio_device_ops.options; e->long_name; e++) {
		memcpy(e->arg_data, from, option_size(e));
		from += option_size(e);
	}
	g_array_free(g_steal_pointer(&c->saved_options), TRUE);
}

static bool core_openv(struct core *c, va_list ap, GError **error)
{
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	g_auto(GStrv) argv = NULL;
	const char *arg;

	/* As main() does; cmocka takes the signal over for each test, and for its setup. */
	guest_mem_catch_sigbus();
	g_strv_builder_add(builder, "program");
	while ((arg = va_arg(ap, const char *)))
		g_strv_builder_add(builder, arg);
	argv = g_strv_builder_end(builder);
	save_options(c);
	g_option_context_add_main_entries(context, virtio_device_ops.options, NULL);
	assert_true(g_option_context_parse_strv(context, &argv, NULL));

	c->device = (struct virtio_device){
		.ops = &virtio_device_ops,
		.features = virtio_device_ops.probe.features,
		.num_queues = virtio_device_ops.probe.max_queues,
		.config_size = virtio_device_ops.probe.config_size,
		.workers = CORE_WORKERS,
	};
	if (virtio_device_ops.open(&c->device, error))
		return true;
	core_close(c);
	return false;
}

bool core_open(struct core *c, GError **error, ...)
{
	va_list ap;
	bool ok;

	va_start(ap, error);
	ok = core_openv(c, ap, error);
	va_end(ap);
	return ok;
}

void core_open_fails(struct core *c, const char *text, ...)
{
	g_autoptr(GError) error = NULL;
	va_list ap;

	va_start(ap, text);
	assert_false(core_openv(c, ap, &error));
	va_end(ap);
	assert_non_null(error);
	if (!strstr(error->message, text))
		fail_msg("'%s' does not contain '%s'", error->message, text);
}

void core_close(struct core *c)
{
	virtio_device_ops.close(&c->device);
	assert_null(c->device.data);
	restore_options(c);
}

static void hook_call(void *opaque)
{
}

static void hook_broken(void *opaque, const char *reason)
{
	struct core *c = opaque;

	c->broken = g_strdup(reason);
}

static const struct vq_hooks hooks = { hook_call, hook_broken };

void core_start(struct core *c, uint64_t driver_features)
{
	struct mem_region_desc desc;
	int fd;

	c->device.driver_features = driver_features | 1ull << VIRTIO_F_VERSION_1;
	c->mem = driver_mem_new(CORE_MEMORY, NULL);
	assert_non_null(c->mem);
	c->ring = driver_ring_new(
		c->mem, c->ring_size ? c->ring_size : 128, c->device.driver_features, NULL);
	assert_non_null(c->ring);
	c->guest = guest_mem_new();
	driver_mem_describe(c->mem, &desc, &fd);
	assert_true(guest_mem_set(c->guest, &desc, &fd, 1, NULL));
	c->q = vq_new(0, c->guest, &hooks, c);
	core_resume(c);
}

void core_resume(struct core *c)
{
	struct vq_setup setup = {
		.size = driver_ring_size(c->ring),
		.features = c->device.driver_features,
		.base = c->base,
	};
	g_autoptr(GError) error = NULL;

	driver_ring_addresses(c->ring, &setup.desc, &setup.avail, &setup.used);
	if (!vq_start(c->q, &setup, &error))
		fail_msg("%s", error->message);
	if (virtio_device_ops.queue_start)
		virtio_device_ops.queue_start(&c->device, c->q);
}

void core_stop(struct core *c)
{
	vq_drain(c->q);
	if (virtio_device_ops.queue_stop)
		virtio_device_ops.queue_stop(&c->device, c->q);
	while (vq_in_flight(c->q))
		assert_true(core_wait(c, 30000));
	c->base = vq_stop(c->q);
	memset(c->watch, 0, sizeof(c->watch));
}

void core_kick(struct core *c)
{
	unsigned bursts = 0;

	driver_ring_publish(c->ring);
	do {
		assert_true(bursts++ < 1000); /* a device that spins */
		vq_burst_begin(c->q);
		virtio_device_ops.kick(&c->device, c->q);
	} while (vq_burst_end(c->q) == VQ_MORE);
}

bool core_wait(struct core *c, int timeout_ms)
{
	struct pollfd fds[G_N_ELEMENTS(c->watch)];
	enum vq_more more;

	for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++)
		fds[i] = (struct pollfd){ c->watch[i].events ? c->watch[i].fd : -1,
			(short)c->watch[i].events };
	if (poll(fds, G_N_ELEMENTS(fds), timeout_ms) <= 0)
		return false;
	for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++) {
		if (!fds[i].revents)
			continue;
		vq_burst_begin(c->q);
		c->watch[i].cb(&c->device, c->q, fds[i].revents);
		more = vq_burst_end(c->q);
		if (more == VQ_MORE)
			core_kick(c);
	}
	return true;
}

bool core_reap(struct core *c, void **token, uint32_t *len)
{
	int r = driver_ring_reap(c->ring, token, len);

	assert_true(r >= 0);
	return r == 1;
}

uint64_t core_alloc(struct core *c, uint64_t len, uint8_t fill)
{
	uint64_t addr = driver_mem_alloc(c->mem, len, 16);

	assert_int_not_equal(addr, 0);
	memset(driver_mem_host(c->mem, addr, len), fill, len);
	return addr;
}

void *core_host(struct core *c, uint64_t addr)
{
	return driver_mem_host(c->mem, addr, 1);
}
