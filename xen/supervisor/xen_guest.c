/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a guest's devices and worker. A device is PRESENT, then LEAVING; it has left when the
 * worker sends REMOVED, or when the worker is dead.
 *
 *	others stay		REMOVE -> worker -> REMOVED -> broker_remove(), removed()
 *	none stays		QUIT -> worker ends -> broker_free(), removed() each, ended()
 *	timeout			the worker is killed
 *	the worker died		those LEAVING have left; if others stay, a successor starts
 */
#include "xen/supervisor/xen_guest.h"

#include <string.h>

#include "base/log.h"
#include "base/loop.h"
#include "xen/supervisor/worker_process.h"

#define LEAVE_TICK_MS 50
/* After two shorter lives in a row, successors start with a delay. */
#define SHORT_LIFE_MS 1000
#define FIRST_DELAY_MS 100
#define LAST_DELAY_MS 1000

struct xen_guest {
	struct xen_guest_config config;
	const struct xen_guest_events *events;
	void *opaque;
	char *root, *who;
	struct broker *broker; /* NULL: ended */
	struct worker_process *worker; /* NULL: none is running */
	bool quitting; /* QUIT was sent */
	int64_t started; /* the worker, µs */
	unsigned starts, short_lives, delay_ms; /* short_lives: in a row */
	struct loop_watch *soon, *delay, *leave;
	struct {
		enum { ABSENT, PRESENT, LEAVING } state;
		bool empty; /* unknown to the worker */
		bool given_up; /* reported */
		int64_t deadline; /* of LEAVING */
	} device[IPC_MAX_DEVICES];
};

static bool has(const struct xen_guest *g, int state)
{
	for (unsigned i = 0; i < IPC_MAX_DEVICES; i++) {
		if ((int)g->device[i].state == state)
			return true;
	}
	return false;
}

static void left(struct xen_guest *g, unsigned device)
{
	if (g->broker)
		broker_remove(g->broker, device);
	g->device[device].state = ABSENT;
	g->events->removed(g->opaque, device);
}

static void all_left(struct xen_guest *g)
{
	for (unsigned i = 0; i < IPC_MAX_DEVICES; i++) {
		if (g->device[i].state == LEAVING)
			left(g, i);
	}
}

static void tell_device(struct xen_guest *g, unsigned device)
{
	struct ipc_command command;
	int fds[IPC_MAX_FDS];
	unsigned n_fds = 0;

	if (g->device[device].state == PRESENT &&
		broker_describe_device(g->broker, device, &command, fds, &n_fds))
		worker_process_send(g->worker, &command, fds, n_fds);
}

static void tell_guest(struct xen_guest *g)
{
	struct ipc_command command;
	int fds[IPC_MAX_FDS];
	unsigned n_fds = 0;

	broker_describe_guest(g->broker, &command, fds, &n_fds);
	command.guest.sandbox = g->config.sandbox;
	if (g->config.uid_base) {
		command.guest.uid = g->config.uid_base + g->config.broker.domid;
		command.guest.gid = command.guest.uid;
	}
	g_strlcpy(command.guest.root, g->root, sizeof(command.guest.root));
	worker_process_send(g->worker, &command, fds, n_fds);
	for (unsigned i = 0; i < IPC_MAX_DEVICES; i++)
		tell_device(g, i);
}

static void start_worker(struct xen_guest *g);

static void on_delay(void *opaque)
{
	struct xen_guest *g = opaque;

	g_clear_pointer(&g->delay, loop_watch_free);
	start_worker(g);
}

static void start_later(struct xen_guest *g)
{
	log_debug(g->who, "the next worker process starts in %u ms", g->delay_ms);
	g->delay = loop_watch_timer(g->delay_ms, on_delay, g);
	g->delay_ms = MIN(2 * g->delay_ms, LAST_DELAY_MS);
}

/*
 * Goes on without a worker: completes LEAVING devices, starts a worker if others are PRESENT,
 * else ends.
 */
static void go_on(struct xen_guest *g)
{
	g->quitting = false;
	if (has(g, PRESENT)) {
		all_left(g);
		if (!g->delay && g->delay_ms)
			start_later(g);
		else if (!g->delay)
			start_worker(g);
		return;
	}
	g_clear_pointer(&g->leave, loop_watch_free);
	g_clear_pointer(&g->delay, loop_watch_free);
	/* The range must be unmapped before the toolstack sees the device closed. */
	g_clear_pointer(&g->broker, broker_free);
	all_left(g);
	g->events->ended(g->opaque); /* which may free g */
}

static void on_given_up(struct xen_guest *g, uint32_t device)
{
	/* It may have been removed meanwhile; and each worker may tell of it. */
	if (device >= IPC_MAX_DEVICES || g->device[device].state != PRESENT ||
		g->device[device].given_up)
		return;
	g->device[device].given_up = true;
	g->events->given_up(g->opaque, device);
}

static void on_event(void *opaque, const struct ipc_event *event)
{
	struct xen_guest *g = opaque;

	if (event->type == IPC_READY)
		log_debug(g->who, "worker process %d serves it", worker_process_id(g->worker));
	else if (event->type == IPC_GIVEN_UP)
		on_given_up(g, event->device);
	else if (event->device >= IPC_MAX_DEVICES || g->device[event->device].state != LEAVING)
		worker_process_kill(g->worker, "it sent REMOVED for a device that is not leaving");
	else if (!g->quitting)
		left(g, event->device); /* otherwise all when it has ended */
}

static bool on_request(void *opaque, const struct ipc_request *request, struct ipc_reply *reply,
	int fds[IPC_MAX_FDS], unsigned *n_fds)
{
	struct xen_guest *g = opaque;

	return broker_answer(g->broker, request, reply, fds, n_fds);
}

static void on_ended(void *opaque, const char *how)
{
	struct xen_guest *g = opaque;
	int64_t lived = g_get_monotonic_time() - g->started;

	if (!g->quitting)
		log_warning(g->who, "worker process %d %s%s", worker_process_id(g->worker), how,
			has(g, PRESENT) ? "; a successor starts" : "");
	g_clear_pointer(&g->worker, worker_process_free);
	if (lived >= SHORT_LIFE_MS * G_TIME_SPAN_MILLISECOND)
		g->short_lives = g->delay_ms = 0;
	else if (++g->short_lives > 1 && !g->delay_ms)
		g->delay_ms = FIRST_DELAY_MS;
	go_on(g);
}

static void start_worker(struct xen_guest *g)
{
	static const struct worker_process_events events = {
		.event = on_event,
		.request = on_request,
		.ended = on_ended,
	};
	g_autoptr(GError) error = NULL;

	g->started = g_get_monotonic_time();
	g->worker = worker_process_start(g->who, &events, g, &error);
	if (!g->worker) {
		log_error(g->who, "cannot start a worker process: %s", error->message);
		g->delay_ms = MAX(g->delay_ms, FIRST_DELAY_MS);
		start_later(g);
		return;
	}
	g->starts++;
	log_info(g->who, "worker process %d", worker_process_id(g->worker));
	tell_guest(g);
}

struct xen_guest *xen_guest_new(const struct xen_guest_config *config,
	const struct xen_guest_events *events, void *opaque, GError **error)
{
	struct broker *b = broker_new(&config->broker, error);
	struct xen_guest *g;

	if (!b)
		return NULL;
	g = g_new0(struct xen_guest, 1);
	g->config = *config;
	g->events = events;
	g->opaque = opaque;
	g->broker = b;
	g->root = g_strdup(config->root);
	g->who = g_strdup_printf("domain %s (%u)", config->broker.name, config->broker.domid);
	return g;
}

void xen_guest_free(struct xen_guest *g)
{
	if (!g)
		return;
	loop_watch_free(g->soon);
	loop_watch_free(g->delay);
	loop_watch_free(g->leave);
	worker_process_free(g->worker);
	broker_free(g->broker);
	g_free(g->root);
	g_free(g->who);
	g_free(g);
}

static void came(struct xen_guest *g, unsigned device, bool empty)
{
	g->device[device].state = PRESENT;
	g->device[device].empty = empty;
	g->device[device].given_up = false;
	if (g->worker && !g->quitting)
		tell_device(g, device);
	else if (!g->worker && !g->delay && !g->soon)
		start_worker(g);
}

bool xen_guest_add(struct xen_guest *g, const struct broker_device_config *config,
	struct backend_process *backend, unsigned *device, GError **error)
{
	if (!broker_add(g->broker, config, backend, device, error))
		return false;
	came(g, *device, false);
	return true;
}

bool xen_guest_add_empty(struct xen_guest *g, uint64_t base, unsigned *device, GError **error)
{
	if (!broker_add_empty(g->broker, base, device, error))
		return false;
	came(g, *device, true);
	return true;
}

static void on_leave(void *opaque)
{
	struct xen_guest *g = opaque;
	int64_t now = g_get_monotonic_time();
	bool late = false;

	for (unsigned i = 0; i < IPC_MAX_DEVICES; i++)
		late |= g->device[i].state == LEAVING && now >= g->device[i].deadline;
	if (late && g->worker)
		worker_process_kill(g->worker, "it did not release a device in time");
	if (late || !has(g, LEAVING))
		g_clear_pointer(&g->leave, loop_watch_free);
}

/* Completes LEAVING devices that no worker has. */
static void on_soon(void *opaque)
{
	struct xen_guest *g = opaque;

	g_clear_pointer(&g->soon, loop_watch_free);
	for (unsigned i = 0; i < IPC_MAX_DEVICES && g->worker && !g->quitting; i++) {
		if (g->device[i].state == LEAVING && g->device[i].empty)
			left(g, i);
	}
	if (!g->worker)
		go_on(g);
}

static void tell_leaving(struct xen_guest *g, unsigned device)
{
	struct ipc_command command = { .type = IPC_REMOVE, .device = device };

	if (!has(g, PRESENT)) {
		command.type = IPC_QUIT;
		g->quitting = true;
	}
	worker_process_send(g->worker, &command, NULL, 0);
}

void xen_guest_remove(struct xen_guest *g, unsigned device)
{
	unsigned ms = g->config.leave_ms ? g->config.leave_ms : XEN_GUEST_LEAVE_MS;

	g->device[device].state = LEAVING;
	g->device[device].deadline = g_get_monotonic_time() + ms * G_TIME_SPAN_MILLISECOND;
	if (!g->leave)
		g->leave = loop_watch_timer(LEAVE_TICK_MS, on_leave, g);
	if (g->quitting)
		return;
	if (g->worker && (!g->device[device].empty || !has(g, PRESENT)))
		tell_leaving(g, device);
	else if (!g->soon)
		g->soon = loop_watch_soon(on_soon, g);
}

const char *xen_guest_who(const struct xen_guest *g)
{
	return g->who;
}

void xen_guest_log_counters(struct xen_guest *g)
{
	const struct ipc_command command = { .type = IPC_COUNTERS };
	unsigned devices = 0;

	for (unsigned i = 0; i < IPC_MAX_DEVICES; i++)
		devices += g->device[i].state != ABSENT;
	log_info(g->who, "%u devices; worker process %d, the %u. one; %u eventfds in the kernel",
		devices, g->worker ? worker_process_id(g->worker) : 0, g->starts,
		broker_assigned(g->broker));
	if (g->worker)
		worker_process_send(g->worker, &command, NULL, 0);
}
