/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run of a test against the device's program: forked, and driven over vhost-user. Its log is in
 * a memfd.
 */
#include "tests/lib/test.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/lib/kit_process.h"
#include "tests/lib/kit_wire.h"

#define DRIVER (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)

static void check(bool ok, GError *error)
{
	if (!ok)
		fail_msg("%s", error->message);
}
/* Calls a function of vu_front.h, which must succeed. */
#define CALL(function, ...)                                    \
	do {                                                   \
		g_autoptr(GError) error_ = NULL;               \
		check(function(__VA_ARGS__, &error_), error_); \
	} while (0)

static void process_setup(struct kit *k)
{
	struct kit_process *p = k->data = g_new0(struct kit_process, 1);

	p->fds = count_fds();
	p->area.fd = -1;
	p->log = memfd_create("log", MFD_CLOEXEC);
	for (unsigned i = 0; i < KIT_MAX_QUEUES; i++)
		p->kick[i] = p->call[i] = p->err[i] = -1;
}

/* Acks what vu_front does not use: the features of device-specific messages. */
static void ack_messages(struct kit_process *p)
{
	const struct vu_properties *properties = vu_front_properties(p->front);
	uint64_t features = properties->protocol_features &
		(VU_BIT(VU_F_RARP) | VU_BIT(VU_F_MTU) | VU_BIT(VU_F_CRYPTO_SESSION) |
			VU_BIT(VU_F_DEVICE_STATE));
	struct vu_msg msg;

	if (!features)
		return;
	vu_msg_init(&msg, VU_SET_PROTOCOL_FEATURES);
	vu_msg_set_u64(&msg, properties->protocol_acked | features);
	assert_true(kit_socket_message(vu_front_fd(p->front), &msg));
}

static void connect_front(struct kit *k)
{
	static const struct vu_front_shm_ops shm = { kit_shm_map, kit_shm_unmap };
	struct kit_process *p = k->data;
	struct vu_front_options options = {
		.packed = k->features & 1ull << VIRTIO_F_RING_PACKED ? CHOICE_ON : CHOICE_OFF,
		.deadline_ms = KIT_PATIENCE_MS,
		.config_size = -1,
		.inflight = !k->no_area,
		.shm = p->shm.absent ? NULL : &shm,
		.shm_opaque = &p->shm,
	};
	g_autoptr(GError) error = NULL;

	p->front = vu_front_new(kit_process_spawn(p), "the device", &options, &error);
	if (!p->front)
		fail_msg("%s\n%s", error->message, kit_process_log(k));
	ack_messages(p);
	CALL(vu_front_set_status, p->front, DRIVER & ~VIRTIO_CONFIG_S_FEATURES_OK);
}

static void start_ring(struct kit *k, unsigned i)
{
	struct kit_process *p = k->data;
	struct vu_ring_setup setup = {
		.size = driver_ring_size(k->ring[i]),
		.base = p->base[i],
		.kick = p->kick[i],
		.call = p->call[i],
		.err = p->err[i],
	};

	driver_ring_addresses(k->ring[i], &setup.desc, &setup.avail, &setup.used);
	CALL(vu_front_setup_ring, p->front, i, &setup);
	CALL(vu_front_enable_ring, p->front, i, true);
}

static void set_area(struct kit *k)
{
	struct kit_process *p = k->data;

	if (p->area.fd < 0)
		CALL(vu_front_get_inflight, p->front, k->n_queues, driver_ring_size(k->ring[0]),
			&p->area);
	assert_true(p->area.fd >= 0);
	CALL(vu_front_set_inflight, p->front, &p->area);
}

/* Features, memory, in-flight area and rings, as they are now; on each connection. */
static void start_device(struct kit *k)
{
	struct kit_process *p = k->data;
	struct mem_region_desc desc;
	int fd;

	CALL(vu_front_set_features, p->front, p->features);
	CALL(vu_front_set_status, p->front, DRIVER);
	driver_mem_describe(k->mem, &desc, &fd);
	CALL(vu_front_set_memory, p->front, &desc, &fd, 1);
	if (!k->no_area)
		set_area(k);
	for (unsigned i = 0; i < k->n_queues; i++)
		start_ring(k, i);
	CALL(vu_front_set_status, p->front, DRIVER | VIRTIO_CONFIG_S_DRIVER_OK);
}

static void make_rings(struct kit *k)
{
	struct kit_process *p = k->data;
	const struct vu_properties *properties = vu_front_properties(p->front);

	p->features = properties->features & (k->features | 1ull << VIRTIO_F_VERSION_1);
	k->n_queues = MIN(properties->probe.max_queues, KIT_MAX_QUEUES);
	k->mem = driver_mem_new(KIT_MEMORY, NULL);
	for (unsigned i = 0; i < k->n_queues; i++) {
		k->ring[i] = driver_ring_new(k->mem, 128, p->features, NULL);
		assert_non_null(k->ring[i]);
		p->base[i] = driver_ring_initial_base(k->ring[i]);
		p->kick[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		p->call[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		p->err[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
}

static void free_rings(struct kit *k)
{
	struct kit_process *p = k->data;

	for (unsigned i = 0; i < KIT_MAX_QUEUES; i++) {
		g_clear_pointer(&k->ring[i], driver_ring_free);
		fd_close(&p->kick[i]);
		fd_close(&p->call[i]);
		fd_close(&p->err[i]);
	}
	g_clear_pointer(&k->mem, driver_mem_free);
	fd_close(&p->area.fd);
	p->is_broken = false;
}

static void process_start(struct kit *k, va_list options)
{
	kit_process_options(k, options);
	connect_front(k);
	make_rings(k);
	start_device(k);
}

static void process_start_fails(struct kit *k, const char *text, va_list options)
{
	struct kit_process *p = k->data;
	int fd, status;

	kit_process_options(k, options);
	fd = kit_process_spawn(p);
	status = kit_process_reap(p);
	close(fd);
	g_clear_pointer(&p->argv, g_strfreev);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == EXIT_FAILURE || WEXITSTATUS(status) == EXIT_USAGE);
	if (!strstr(kit_process_log(k), text))
		fail_msg("'%s' does not contain '%s'", p->log_text, text);
}

static void process_kick(struct kit *k, unsigned queue)
{
	struct kit_process *p = k->data;

	if (driver_ring_publish(k->ring[queue]))
		eventfd_write(p->kick[queue], 1);
}

static void on_config_changed(void *opaque)
{
	((struct kit_process *)opaque)->config_changes++;
}

static bool take(int fd)
{
	eventfd_t count;

	return eventfd_read(fd, &count) == 0;
}

static bool process_step(struct kit *k, int timeout_ms)
{
	static const struct vu_front_events events = { .config_changed = on_config_changed };
	struct kit_process *p = k->data;
	struct pollfd fds[2 * KIT_MAX_QUEUES + 2];
	unsigned n = 0;

	for (unsigned i = 0; i < k->n_queues; i++) {
		if (driver_ring_arm(k->ring[i]))
			return true;
		fds[n++] = (struct pollfd){ p->call[i], POLLIN };
		fds[n++] = (struct pollfd){ p->err[i], POLLIN };
	}
	fds[n++] = (struct pollfd){ vu_front_backend_fd(p->front), POLLIN };
	fds[n++] = (struct pollfd){ vu_front_fd(p->front), POLLIN };
	if (poll(fds, n, timeout_ms) <= 0)
		return false;
	if (fds[n - 1].revents)
		fail_msg("the device's process has ended\n%s", kit_process_log(k));
	for (unsigned i = 0; i < k->n_queues; i++) {
		take(p->call[i]);
		p->is_broken |= take(p->err[i]);
	}
	if (fds[n - 2].revents)
		assert_true(vu_front_backend_event(p->front, &events, p));
	return true;
}

static void stop_rings(struct kit *k)
{
	struct kit_process *p = k->data;

	for (unsigned i = 0; i < k->n_queues; i++)
		CALL(vu_front_stop_ring, p->front, i, &p->base[i]);
}

static void process_pause(struct kit *k)
{
	stop_rings(k);
	for (unsigned i = 0; i < k->n_queues; i++)
		start_ring(k, i);
}

static void process_reset(struct kit *k)
{
	struct kit_process *p = k->data;

	stop_rings(k);
	CALL(vu_front_reset, p->front);
	free_rings(k);
	CALL(vu_front_set_status, p->front, DRIVER & ~VIRTIO_CONFIG_S_FEATURES_OK);
	make_rings(k);
	start_device(k);
}

static void process_kill(struct kit *k)
{
	struct kit_process *p = k->data;

	kill(p->pid, SIGKILL);
	kit_process_reap(p);
	g_clear_pointer(&p->front, vu_front_free);
	connect_front(k);
	start_device(k);
}

static void process_leave(struct kit *k)
{
	struct kit_process *p = k->data;

	g_clear_pointer(&p->front, vu_front_free);
	assert_int_equal(kit_process_reap(p), 0);
	connect_front(k);
	start_device(k);
}

static bool process_message(struct kit *k, struct vu_msg *msg)
{
	return kit_socket_message(vu_front_fd(((struct kit_process *)k->data)->front), msg);
}

static bool process_state(struct kit *k, GByteArray *state, bool load)
{
	struct kit_process *p = k->data;
	bool ok;

	stop_rings(k);
	ok = kit_socket_state(vu_front_fd(p->front), state, load);
	for (unsigned i = 0; i < k->n_queues; i++)
		start_ring(k, i);
	return ok;
}

static struct kit_shm *process_shm(struct kit *k)
{
	return &((struct kit_process *)k->data)->shm;
}

static void process_config_read(struct kit *k, uint32_t offset, void *to, uint32_t size)
{
	struct kit_process *p = k->data;

	CALL(vu_front_get_config, p->front, offset, to, size);
}

static void process_config_write(struct kit *k, uint32_t offset, const void *from, uint32_t size)
{
	struct kit_process *p = k->data;

	CALL(vu_front_set_config, p->front, offset, from, size);
}

static unsigned process_config_changes(struct kit *k)
{
	return ((struct kit_process *)k->data)->config_changes;
}

static bool process_is_broken(struct kit *k)
{
	return ((struct kit_process *)k->data)->is_broken;
}

/* Ends the program: one that is asked to end does so, and well. */
static int process_teardown(struct kit *k)
{
	struct kit_process *p = k->data;
	unsigned fds = p->fds;
	int status = 0;

	if (p->pid) {
		kill(p->pid, SIGTERM);
		status = kit_process_reap(p);
	}
	g_clear_pointer(&p->front, vu_front_free);
	free_rings(k);
	kit_shm_drop(&p->shm);
	fd_close(&p->log);
	g_free(p->log_text);
	g_strfreev(p->argv);
	g_free(p);
	return status == 0 && count_fds() == fds ? 0 : -1;
}

const struct kit_world kit_world_process = {
	.setup = process_setup,
	.teardown = process_teardown,
	.start = process_start,
	.start_fails = process_start_fails,
	.kick = process_kick,
	.step = process_step,
	.pause = process_pause,
	.reset = process_reset,
	.kill = process_kill,
	.leave = process_leave,
	.message = process_message,
	.state = process_state,
	.call = kit_process_call,
	.shm = process_shm,
	.config_read = process_config_read,
	.config_write = process_config_write,
	.config_changes = process_config_changes,
	.is_broken = process_is_broken,
	.log = kit_process_log,
};
