/* SPDX-License-Identifier: Apache-2.0 */
/* virtioctl bench: how fast a back-end is, and what that costs. */
#include "base/sock.h"
#include "tools/bench/bench_device.h"
#include "tools/bench/bench_session.h"
#include "tools/bench/bench_usage.h"
#include "tools/block/cancel.h"
#include "tools/virtioctl.h"

static int run(struct bench_session *s, GError **error)
{
	g_autofree struct bench_result *r = g_new0(struct bench_result, 1);
	bool ok = bench_session_run(s, r, error);
	const char *first = bench_session_request_error(s);

	if (!s->options->strict)
		bench_session_warn(s);
	if (r->requests || (ok && !cancel_signal()))
		bench_report(s->options, r);
	if (ok && first) {
		g_set_error(
			error, CTL_ERROR, CTL_ERROR_FAILED, "requests failed, for one: %s", first);
		return CTL_FAILED;
	}
	return cancel_signal() ? CTL_SIGNALLED + cancel_signal() : CTL_OK;
}

/* Measures a disk; f is the session's, or freed. */
static int run_disk(struct vu_front *f, const struct bench_options *o,
	const struct connect_options *connect, GError **error)
{
	g_autoptr(bench_session) s = bench_session_new(f, o, connect, error);

	return s ? run(s, error) : CTL_OK;
}

static int run_device(struct vu_front *f, const struct bench_options *o,
	const struct bench_trip *trip, GError **error)
{
	g_autofree struct bench_result *r = g_new0(struct bench_result, 1);

	if (o->verify || o->survive || o->rate)
		return option_bad(error, "--%s is for disks",
			o->verify	     ? "verify"
				: o->survive ? "survive"
					     : "rate");
	if (o->echo && !trip->answer_len)
		return option_bad(error, "--echo: such a device sends nothing back");
	bench_device_run(f, o, trip, r, error);
	if (r->requests)
		bench_report_trips(o, trip->what, r);
	return cancel_signal() ? CTL_SIGNALLED + cancel_signal() : CTL_OK;
}

/* Opens what tells of the back-end's memory. */
static bool open_usage(void *opaque, int fd, GError **error)
{
	bench_usage_keep(sock_peer_pid(fd));
	return true;
}

static int connect_and_run(const struct bench_options *o, const struct connect_options *connect)
{
	g_autoptr(GError) error = NULL;
	const struct bench_trip *trip;
	struct vu_front *f;
	int status = CTL_OK;

	cancel_on_signals();
	f = connect_socket(o->socket, connect, &status);
	if (!f)
		return status;
	trip = bench_trip(vu_front_properties(f)->probe.device_id);
	status = trip ? run_device(f, o, trip, &error) : run_disk(f, o, connect, &error);
	if (trip)
		vu_front_free(f);
	if (!error)
		return status;
	if (error->domain == CTL_ERROR)
		g_prefix_error(&error, "%s: ", o->socket);
	return ctl_report(error);
}

int bench_run(int argc, char **argv)
{
	struct connect_options connect = CONNECT_OPTIONS_INIT;
	g_autoptr(GError) error = NULL;
	struct bench_options o;
	int status;

	if (!bench_parse(argv, &o, &connect, &error))
		return ctl_report(error);
	connect.open_files = connect_is_confined(&connect) ? open_usage : NULL;
	connect.inflight = o.inflight != CHOICE_OFF;
	status = connect_and_run(&o, &connect);
	g_free(o.socket);
	return status;
}
