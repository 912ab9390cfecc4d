/* SPDX-License-Identifier: Apache-2.0 */
/* virtioctl bench: how fast a block back-end is, and what that costs. */
#include "base/sock.h"
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

/* Opens what tells of the back-end's memory. */
static bool open_usage(void *opaque, int fd, GError **error)
{
	bench_usage_keep(sock_peer_pid(fd));
	return true;
}

static int connect_and_run(const struct bench_options *o, const struct connect_options *connect)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(bench_session) s = NULL;
	struct vu_front *f;
	int status = CTL_OK;

	cancel_on_signals();
	f = connect_socket(o->socket, connect, &status);
	if (!f)
		return status;
	s = bench_session_new(f, o, connect, &error);
	if (s)
		status = run(s, &error);
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
