/* SPDX-License-Identifier: Apache-2.0 */
/* The main thread of a measurement: phases, the watch over back-end and threads, the sum. */
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/sock.h"
#include "tools/bench/bench_survive.h"
#include "tools/block/cancel.h"
#include "tools/block/progress.h"
#include "tools/virtioctl.h"

#define NS_PER_S 1000000000.0
#define WATCH_MS 500
#define REDRAW_MS 100
#define DIAL_MS 5

struct run {
	struct bench_session *s;
	struct progress progress;
	uint64_t completed; /* as of the last look … */
	uint64_t changed_ns; /* … and when it was not the same */
};

static uint64_t completed(const struct bench_session *s)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < s->options->threads; i++)
		n += __atomic_load_n(&s->threads[i].completed, __ATOMIC_RELAXED);
	return n;
}

static bool all_finished(const struct bench_session *s, enum bench_phase phase)
{
	for (unsigned i = 0; i < s->options->threads; i++) {
		if (__atomic_load_n(&s->threads[i].finished, __ATOMIC_ACQUIRE) != phase)
			return false;
	}
	return true;
}

static bool fail(GError **error, const char *why)
{
	g_set_error_literal(error, CTL_ERROR, CTL_ERROR_FAILED, why);
	return false;
}

static bool check_threads(const struct bench_session *s, GError **error)
{
	for (unsigned i = 0; i < s->options->threads; i++) {
		const struct bench_thread *t = &s->threads[i];

		if (!__atomic_load_n(&t->failed, __ATOMIC_ACQUIRE))
			continue;
		for (unsigned k = 0; k < t->n_queues; k++) {
			if (t->queues[k]->failure)
				return fail(error, t->queues[k]->failure);
		}
	}
	return true;
}

static bool serve_channel(struct bench_session *s, GError **error)
{
	g_autoptr(GError) why = NULL;

	if (blk_driver_serve(s->f, &why))
		return true;
	/* The channel may be closed before the connection. */
	if ((!vu_front_is_alive(s->f) || vu_front_backend_fd(s->f) < 0) && bench_survive_loss(s))
		return true;
	g_propagate_error(error, g_steal_pointer(&why));
	return false;
}

/* Sleeps until something may have happened, at most timeout_ms. */
static bool watch(struct run *r, int timeout_ms, GError **error)
{
	struct bench_session *s = r->s;
	struct pollfd fds[] = {
		{ .fd = s->control.done, .events = POLLIN },
		{ .fd = s->f ? vu_front_fd(s->f) : -1, .events = POLLIN },
		{ .fd = s->f ? vu_front_backend_fd(s->f) : -1, .events = POLLIN },
		{ .fd = cancel_signal() ? -1 : cancel_fd(), .events = POLLIN },
	};
	bool ready = poll(fds, G_N_ELEMENTS(fds), s->f ? timeout_ms : DIAL_MS) > 0;
	eventfd_t value;

	if (ready && fds[0].revents)
		eventfd_read(s->control.done, &value);
	if (!check_threads(s, error))
		return false;
	if (!s->f)
		return bench_survive_dial(s, error);
	if (!ready)
		return true;
	if (fds[1].revents)
		return bench_survive_loss(s) || fail(error, "the back-end has gone");
	return !fds[2].revents || serve_channel(s, error);
}

/* Fails if the back-end completes nothing, though there is something that it could. */
static bool check_progress(struct run *r, uint64_t now, GError **error)
{
	const struct bench_options *o = r->s->options;
	uint64_t n = completed(r->s), patience = o->timeout_ms * UINT64_C(1000000);

	if (o->rate)
		patience += 2 * o->queues * UINT64_C(1000000000) / o->rate;
	if (n != r->completed || r->changed_ns == 0) {
		r->completed = n;
		r->changed_ns = now;
	}
	if (now - r->changed_ns < patience)
		return true;
	if (r->s->f)
		return fail(error, "the back-end completes nothing");
	return error_set(error, CTL_ERROR, CTL_ERROR_FAILED, "the back-end has gone: %s",
		r->s->away ?: "none came back");
}

static void draw(struct run *r, enum bench_phase phase, uint64_t elapsed_ns, uint64_t before)
{
	static const char *const names[] = {
		[BENCH_WARMUP] = "warming up",
		[BENCH_MEASURE] = "measuring",
		[BENCH_DRAIN] = "waiting for the rest",
		[BENCH_READ_BACK] = "reading back",
	};
	double seconds = MAX((double)elapsed_ns / NS_PER_S, 1e-9);
	double rate = (double)(completed(r->s) - before) / seconds;
	char line[100];

	snprintf(line, sizeof(line), "%s: %.1f s  %.1f kIOPS  %.0f MB/s", names[phase], seconds,
		rate / 1000, rate * r->s->options->block_size / 1e6);
	progress_show(&r->progress, line);
}

/* Runs a phase of all threads, until they have finished it, a signal came, or the time is over. */
static bool run_phase(struct run *r, enum bench_phase phase, double seconds, GError **error)
{
	struct bench_session *s = r->s;
	uint64_t start = clock_now_ns(), before = completed(s);

	__atomic_store_n(&s->control.phase, phase, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < s->options->threads; i++)
		bench_thread_wake(&s->threads[i]);
	while (!all_finished(s, phase)) {
		uint64_t now = clock_now_ns();
		double left_ms = seconds * 1000 - (double)(now - start) / 1e6;
		int most_ms = r->progress.shown ? REDRAW_MS : WATCH_MS;

		/* What is in flight is waited for; a second signal kills. */
		if (left_ms <= 0 || (cancel_signal() && phase != BENCH_DRAIN))
			break;
		if (!check_progress(r, now, error) ||
			!watch(r, (int)MIN(left_ms + 1, most_ms), error))
			return false;
		draw(r, phase, clock_now_ns() - start, before);
	}
	return check_threads(s, error);
}

const char *bench_session_request_error(const struct bench_session *s)
{
	for (unsigned i = 0; i < s->options->queues; i++) {
		if (s->queues[i].first_error)
			return s->queues[i].first_error;
	}
	return NULL;
}

static void add_up(const struct bench_session *s, struct bench_result *r)
{
	uint64_t start = UINT64_MAX, end = 0;

	for (unsigned i = 0; i < s->options->queues; i++)
		r->stall_ns = MAX(r->stall_ns, s->queues[i].stall_ns);
	for (unsigned i = 0; i < s->options->threads; i++) {
		const struct bench_thread *t = &s->threads[i];

		r->requests += t->measured.requests;
		r->errors += t->measured.errors;
		r->kicks += t->measured.kicks;
		r->calls += t->measured.calls;
		bench_hist_merge(&r->latency, &t->measured.latency);
		if (t->start_ns && t->end_ns) {
			start = MIN(start, t->start_ns);
			end = MAX(end, t->end_ns);
		}
	}
	if (end > start)
		r->seconds = (double)(end - start) / NS_PER_S;
}

static bool measure(struct run *run, struct bench_result *r, GError **error)
{
	const struct bench_options *o = run->s->options;
	int64_t backend = bench_usage_cpu(r->backend_pid), frontend = bench_usage_cpu(getpid());
	bool ok = run_phase(run, BENCH_MEASURE, o->requests ? 1e9 : o->seconds, error);

	/* Of several back-ends it is not known. */
	r->backend.cpu_ns =
		run->s->reconnects ? BENCH_UNKNOWN : bench_usage_since(r->backend_pid, backend);
	r->frontend.cpu_ns = bench_usage_since(getpid(), frontend);
	return ok;
}

static bool run_phases(struct run *run, struct bench_result *r, GError **error)
{
	const struct bench_options *o = run->s->options;
	bool ok = o->warmup == 0 || run_phase(run, BENCH_WARMUP, o->warmup, error);

	if (!ok || (cancel_signal() && o->warmup > 0)) /* nothing was measured */
		return ok;
	if (!measure(run, r, error))
		return false;
	if (!run_phase(run, BENCH_DRAIN, 1e9, error))
		return false;
	if (o->verify && bench_writes(o) && !cancel_signal() &&
		!run_phase(run, BENCH_READ_BACK, 1e9, error))
		return false;
	r->verified = o->verify && !cancel_signal() && !bench_session_request_error(run->s);
	return true;
}

bool bench_session_run(struct bench_session *s, struct bench_result *r, GError **error)
{
	struct run run = { .s = s };
	bool ok;

	*r = (struct bench_result){
		.queue_size = s->layout.size,
		.packed = s->layout.features >> VIRTIO_F_RING_PACKED & 1,
		.indirect = s->layout.features >> VIRTIO_RING_F_INDIRECT_DESC & 1,
		.event_idx = s->layout.features >> VIRTIO_RING_F_EVENT_IDX & 1,
		.inflight = s->inflight.fd >= 0,
		.backend_pid = sock_peer_pid(vu_front_fd(s->f)),
	};
	progress_start(&run.progress, 0);
	for (unsigned i = 0; i < s->options->threads; i++)
		bench_thread_start(&s->threads[i]);
	ok = run_phases(&run, r, error);
	r->reconnects = s->reconnects;
	if (s->reconnects)
		r->backend_pid = s->f ? sock_peer_pid(vu_front_fd(s->f)) : 0;
	bench_usage_memory(r->backend_pid, &r->backend);
	__atomic_store_n(&s->control.phase, BENCH_QUIT, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < s->options->threads; i++) {
		bench_thread_wake(&s->threads[i]);
		bench_thread_join(&s->threads[i]);
	}
	progress_end(&run.progress, 0, NULL, false);
	add_up(s, r);
	return ok;
}
