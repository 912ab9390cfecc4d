/* SPDX-License-Identifier: Apache-2.0 */
/* virtioctl bench: how fast a block back-end is, and what that costs. */
#include <inttypes.h>
#include <stdio.h>

#include "bench_session.h"
#include "cancel.h"
#include "virtioctl.h"

/* Requests that failed: all are counted, the first is told. */
static int report_errors(const struct bench_session *s)
{
	for (unsigned i = 0; i < s->options->queues; i++) {
		if (s->queues[i].first_error) {
			fprintf(stderr, "virtioctl: %s: requests failed; one of them: %s\n",
				s->options->socket, s->queues[i].first_error);
			return CTL_FAILED;
		}
	}
	return CTL_OK;
}

static int run(struct bench_session *s, GError **error)
{
	g_autofree struct bench_result *r = g_new0(struct bench_result, 1);
	bool ok = bench_session_run(s, r, error);
	int status;

	if (r->requests)
		bench_report(s->options, r);
	if (!ok)
		return CTL_FAILED;
	status = report_errors(s);
	if (status == CTL_OK && cancel_signal())
		status = CTL_SIGNALLED + cancel_signal();
	return status;
}

int bench_run(int argc, char **argv)
{
	g_auto(connect_options) connect = CONNECT_OPTIONS_INIT;
	g_autoptr(GError) error = NULL;
	g_autoptr(vu_front) f = NULL;
	g_autoptr(bench_session) s = NULL;
	struct bench_options o;
	int status = CTL_OK;

	connect.own_queues = true;
	if (!bench_parse(argc, argv, &o, &connect, &error))
		return ctl_report(error);
	connect.inflight = o.inflight != BENCH_OFF;
	cancel_on_signals();
	f = connect_socket(o.socket, &connect, &status);
	if (!f)
		return status;
	s = bench_session_new(f, &o, &error);
	if (s)
		status = run(s, &error);
	if (!error)
		return status;
	if (error->domain == CTL_ERROR)
		g_prefix_error(&error, "%s: ", o.socket);
	return ctl_report(error);
}
