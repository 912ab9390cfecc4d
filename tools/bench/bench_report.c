/* SPDX-License-Identifier: Apache-2.0 */
/* What was measured, for people and for programs. */
#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "tools/bench/bench.h"
#include "tools/text.h"

static const struct {
	const char *key, *name;
	double part;
} percentiles[] = {
	{ "p50", "50%", 0.5 },
	{ "p90", "90%", 0.9 },
	{ "p99", "99%", 0.99 },
	{ "p999", "99.9%", 0.999 },
};

static double per_request(const struct bench_result *r, double amount)
{
	return r->requests ? amount / (double)r->requests : 0;
}

static double per_second(const struct bench_result *r, double amount)
{
	return r->seconds > 0 ? amount / r->seconds : 0;
}

static double cpu_percent(const struct bench_result *r)
{
	return per_second(r, (double)r->backend.cpu_ns / 1e7);
}

/* Returns microseconds. */
static double us(double ns)
{
	return ns / 1000;
}

static double mb_per_s(const struct bench_options *o, const struct bench_result *r)
{
	return per_second(r, (double)r->requests * o->block_size / 1e6);
}

static void print_head(const struct bench_options *o, const struct bench_result *r)
{
	g_autofree char *size = text_size(o->block_size);

	printf("%s of %s, depth %u, %u queue%s of %u (%s%s%s%s), %u thread%s, %s: %" PRIu64
	       " requests in %.3f s\n",
		bench_rw_name(o->rw), size, o->depth, o->queues, o->queues == 1 ? "" : "s",
		r->queue_size, r->packed ? "packed" : "split", r->indirect ? ", indirect" : "",
		r->event_idx ? ", event idx" : "", r->inflight ? ", in-flight area" : "",
		o->threads, o->threads == 1 ? "" : "s", o->polling ? "polling" : "blocking",
		r->requests, r->seconds);
}

static void print_memory(const struct bench_usage *u)
{
	if (u->rss_kib >= 0)
		printf(", RSS %" PRId64 " KiB", u->rss_kib);
	if (u->pss_kib >= 0)
		printf(", Pss %" PRId64 " KiB, private dirty %" PRId64 " KiB", u->pss_kib,
			u->private_dirty_kib);
}

/* Prints what a request takes. */
static void print_cost(const struct bench_result *r)
{
	printf("  %-14s min %.1f, mean %.1f", "latency in µs", us((double)r->latency.min),
		us(bench_hist_mean(&r->latency)));
	for (size_t i = 0; i < G_N_ELEMENTS(percentiles); i++)
		printf(", %s %.1f", percentiles[i].name,
			us((double)bench_hist_percentile(&r->latency, percentiles[i].part)));
	printf(", max %.1f\n", us((double)r->latency.max));
	printf("  %-14s %.4f kicks, %.4f calls\n", "each request", per_request(r, (double)r->kicks),
		per_request(r, (double)r->calls));
	printf("  %-14s ", "back-end");
	if (r->backend.cpu_ns >= 0)
		printf("CPU %.3f µs a request, %.1f %%",
			us(per_request(r, (double)r->backend.cpu_ns)), cpu_percent(r));
	else
		printf("CPU not known");
	print_memory(&r->backend);
	printf("\n  %-14s CPU %.3f µs a request\n", "front-end",
		us(per_request(r, (double)r->frontend.cpu_ns)));
}

static void print_text(const struct bench_options *o, const struct bench_result *r)
{
	print_head(o, r);
	printf("  %-14s %.0f IOPS, %.1f MB/s\n", "throughput", per_second(r, (double)r->requests),
		mb_per_s(o, r));
	print_cost(r);
	if (o->survive)
		printf("  %-14s %u reconnects, longest stall %.1f ms\n", "survived", r->reconnects,
			(double)r->stall_ns / 1e6);
	if (o->verify)
		printf("  %-14s %s%s\n", "data", r->verified ? "verified" : "not verified",
			r->verified && o->survive ? ": 0 lost, 0 corrupted" : "");
	if (r->errors)
		printf("  %-14s %" PRIu64 "\n", "errors", r->errors);
}

static void json_known(struct json *j, const char *key, int64_t value)
{
	if (value >= 0)
		json_uint(j, key, (uint64_t)value);
	else
		json_null(j, key);
}

static void json_latency(struct json *j, const struct bench_hist *h)
{
	json_open_object(j, "latency_us");
	json_double(j, "min", us((double)h->min));
	json_double(j, "mean", us(bench_hist_mean(h)));
	for (size_t i = 0; i < G_N_ELEMENTS(percentiles); i++)
		json_double(j, percentiles[i].key,
			us((double)bench_hist_percentile(h, percentiles[i].part)));
	json_double(j, "max", us((double)h->max));
	json_close_object(j);
}

static void json_backend(struct json *j, const struct bench_result *r)
{
	json_open_object(j, "backend");
	json_known(j, "pid", r->backend_pid > 0 ? r->backend_pid : BENCH_UNKNOWN);
	if (r->backend.cpu_ns >= 0) {
		json_double(j, "cpu_us_per_request", us(per_request(r, (double)r->backend.cpu_ns)));
		json_double(j, "cpu_percent", cpu_percent(r));
	} else {
		json_null(j, "cpu_us_per_request");
		json_null(j, "cpu_percent");
	}
	json_known(j, "rss_kib", r->backend.rss_kib);
	json_known(j, "pss_kib", r->backend.pss_kib);
	json_known(j, "private_dirty_kib", r->backend.private_dirty_kib);
	json_close_object(j);
}

static void json_run(struct json *j, const struct bench_options *o, const struct bench_result *r)
{
	json_uint(j, "queue_size", r->queue_size);
	json_bool(j, "packed", r->packed);
	json_bool(j, "indirect", r->indirect);
	json_bool(j, "event_idx", r->event_idx);
	json_string(j, "mode", o->polling ? "polling" : "blocking");
	json_double(j, "seconds", r->seconds);
	json_uint(j, "requests", r->requests);
}

static void json_cost(struct json *j, const struct bench_result *r)
{
	json_latency(j, &r->latency);
	json_double(j, "kicks_per_request", per_request(r, (double)r->kicks));
	json_double(j, "calls_per_request", per_request(r, (double)r->calls));
	json_backend(j, r);
	json_open_object(j, "frontend");
	json_double(j, "cpu_us_per_request", us(per_request(r, (double)r->frontend.cpu_ns)));
	json_close_object(j);
}

static void print_json(const struct bench_options *o, const struct bench_result *r)
{
	g_autoptr(GString) out = g_string_new(NULL);
	struct json j = { .out = out };

	json_open_object(&j, NULL);
	json_string(&j, "rw", bench_rw_name(o->rw));
	json_uint(&j, "block_size", o->block_size);
	json_uint(&j, "depth", o->depth);
	json_uint(&j, "queues", o->queues);
	json_uint(&j, "threads", o->threads);
	json_bool(&j, "inflight", r->inflight);
	json_run(&j, o, r);
	json_uint(&j, "errors", r->errors);
	json_double(&j, "iops", per_second(r, (double)r->requests));
	json_double(&j, "mb_per_s", mb_per_s(o, r));
	json_cost(&j, r);
	if (o->verify)
		json_bool(&j, "verified", r->verified);
	else
		json_null(&j, "verified");
	if (o->survive) {
		json_uint(&j, "reconnects", r->reconnects);
		json_double(&j, "longest_stall_ms", (double)r->stall_ns / 1e6);
	} else {
		json_null(&j, "reconnects");
		json_null(&j, "longest_stall_ms");
	}
	json_close_object(&j);
	puts(out->str);
}

void bench_report(const struct bench_options *o, const struct bench_result *r)
{
	if (o->json)
		print_json(o, r);
	else
		print_text(o, r);
}

void bench_report_trips(
	const struct bench_options *o, const char *what, const struct bench_result *r)
{
	g_autoptr(GString) out = g_string_new(NULL);
	struct json j = { .out = out };

	if (!o->json) {
		printf("%s%s, queue of %u (%s%s%s), %s: %" PRIu64 " round trips in %.3f s\n", what,
			o->echo ? " and back" : "", r->queue_size, r->packed ? "packed" : "split",
			r->indirect ? ", indirect" : "", r->event_idx ? ", event idx" : "",
			o->polling ? "polling" : "blocking", r->requests, r->seconds);
		print_cost(r);
		return;
	}
	json_open_object(&j, NULL);
	json_string(&j, "request", what);
	json_bool(&j, "echo", o->echo);
	json_run(&j, o, r);
	json_cost(&j, r);
	json_close_object(&j);
	puts(out->str);
}
