/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of virtioctl bench. */
#include <string.h>

#include "virtio/probe.h"
#include "tools/bench/bench.h"
#include "tools/text.h"
#include "tools/virtioctl.h"

#define MAX_BLOCK_SIZE (16u << 20)
#define MAX_QUEUE_SIZE 32768

static const char *const rw_names[] = {
	[BENCH_RANDREAD] = "randread",
	[BENCH_RANDWRITE] = "randwrite",
	[BENCH_READ] = "read",
	[BENCH_WRITE] = "write",
	[BENCH_MIXED] = "mixed",
	NULL,
};
static const char *const mode_names[] = { "blocking", "polling", NULL };

typedef struct arguments arguments; /* for g_auto */

/* As GOption has them. */
struct arguments {
	char *rw, *block_size, *offset, *length, *packed, *indirect, *event_idx, *inflight, *mode;
	int read_percent, depth, queues, threads, queue_size, flush_every, timeout;
	int64_t requests, rate, seed;
	double seconds, warmup;
	gboolean verify, json;
};

static void arguments_clear(struct arguments *a)
{
	g_free(a->rw);
	g_free(a->block_size);
	g_free(a->offset);
	g_free(a->length);
	g_free(a->packed);
	g_free(a->indirect);
	g_free(a->event_idx);
	g_free(a->inflight);
	g_free(a->mode);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(arguments, arguments_clear)

const char *bench_rw_name(enum bench_rw rw)
{
	return rw_names[rw];
}

bool bench_writes(const struct bench_options *o)
{
	return o->rw != BENCH_RANDREAD && o->rw != BENCH_READ;
}

static bool usage(GError **error, const char *option, const char *what)
{
	g_set_error(error, CTL_ERROR, CTL_ERROR_USAGE, "%s: %s", option, what);
	return false;
}

static bool in_range(const char *option, double value, double min, double max, GError **error)
{
	if (value >= min && value <= max)
		return true;
	g_set_error(error, CTL_ERROR, CTL_ERROR_USAGE, "%s: %.15g is not between %.15g and %.15g",
		option, value, min, max);
	return false;
}

/* Which of these names; text NULL: *value stays. */
static bool parse_name(const char *option, const char *text, const char *const *names,
	unsigned *value, GError **error)
{
	g_autofree char *all = NULL;

	for (unsigned i = 0; text && names[i]; i++) {
		if (!strcmp(text, names[i])) {
			*value = i;
			return true;
		}
	}
	if (!text)
		return true;
	all = g_strjoinv(", ", (char **)names);
	g_set_error(error, CTL_ERROR, CTL_ERROR_USAGE, "%s: '%s' is none of %s", option, text, all);
	return false;
}

static bool parse_names(const struct arguments *a, struct bench_options *o, GError **error)
{
	unsigned rw = a->verify ? BENCH_MIXED : BENCH_RANDREAD, polling = 0;
	unsigned packed = CHOICE_AUTO, indirect = CHOICE_AUTO, event_idx = CHOICE_AUTO;
	unsigned inflight = CHOICE_AUTO;

	if (!parse_name("--rw", a->rw, rw_names, &rw, error) ||
		!parse_name("--mode", a->mode, mode_names, &polling, error) ||
		!parse_name("--packed", a->packed, choice_words, &packed, error) ||
		!parse_name("--indirect", a->indirect, choice_words, &indirect, error) ||
		!parse_name("--event-idx", a->event_idx, choice_words, &event_idx, error) ||
		!parse_name("--inflight", a->inflight, choice_words, &inflight, error))
		return false;
	o->rw = rw;
	o->polling = polling;
	o->packed = packed;
	o->indirect = indirect;
	o->event_idx = event_idx;
	o->inflight = inflight;
	return true;
}

static bool parse_sizes(const struct arguments *a, struct bench_options *o, GError **error)
{
	uint64_t block_size = 4096;

	if (a->block_size && !text_parse_size(a->block_size, "--block-size", &block_size, error))
		return false;
	if (block_size < 512 || block_size > MAX_BLOCK_SIZE || block_size % 512)
		return usage(error, "--block-size", "not a multiple of 512 up to 16M");
	o->block_size = (uint32_t)block_size;
	if (a->offset && !text_parse_size(a->offset, "--offset", &o->offset, error))
		return false;
	if (a->length && !text_parse_size(a->length, "--length", &o->length, error))
		return false;
	if (a->length && o->length < o->block_size)
		return usage(error, "--length", "not even one block");
	return true;
}

static bool check_numbers(const struct arguments *a, GError **error)
{
	if (a->queue_size & (a->queue_size - 1))
		return usage(error, "--queue-size", "not a power of two");
	if (a->threads > a->queues)
		return usage(error, "--threads", "there are not so many queues");
	return in_range("--read-percent", a->read_percent, 0, 100, error) &&
		in_range("--depth", a->depth, 1, MAX_QUEUE_SIZE, error) &&
		in_range("--queues", a->queues, 1, VIRTIO_MAX_QUEUES, error) &&
		in_range("--threads", a->threads, 1, VIRTIO_MAX_QUEUES, error) &&
		in_range("--queue-size", a->queue_size, 0, MAX_QUEUE_SIZE, error) &&
		in_range("--seconds", a->seconds, 0.001, 1e6, error) &&
		in_range("--warmup", a->warmup < 0 ? 0 : a->warmup, 0, 1e6, error) &&
		in_range("--requests", (double)a->requests, 0, 1e15, error) &&
		in_range("--rate", (double)a->rate, 0, 1e9, error) &&
		in_range("--flush-every", a->flush_every, 0, G_MAXINT, error) &&
		in_range("--timeout", a->timeout, 1, 86400, error);
}

static bool convert(const struct arguments *a, struct bench_options *o, GError **error)
{
	if (!check_numbers(a, error) || !parse_names(a, o, error) || !parse_sizes(a, o, error))
		return false;
	o->read_percent = (unsigned)a->read_percent;
	o->depth = (unsigned)a->depth;
	o->queues = (unsigned)a->queues;
	o->threads = (unsigned)a->threads;
	o->queue_size = (unsigned)a->queue_size;
	o->seconds = a->seconds;
	o->requests = (uint64_t)a->requests;
	/* A given number of requests is meant to be all of them. */
	o->warmup = a->warmup >= 0 ? a->warmup : a->requests ? 0 : 1;
	o->rate = (uint64_t)a->rate;
	o->seed = (uint64_t)a->seed;
	o->flush_every = (unsigned)a->flush_every;
	o->timeout_ms = (unsigned)a->timeout * 1000;
	o->verify = a->verify;
	o->json = a->json;
	return true;
}

/* The entries are a table: it is long because the options are many. */
static bool parse_entries(int *argc, char ***argv, struct arguments *a,
	struct connect_options *connect, GError **error)
{
	const GOptionEntry entries[] = {
		{ "rw", 0, 0, G_OPTION_ARG_STRING, &a->rw,
			"randread, randwrite, read, write, mixed (randread; with --verify mixed)",
			"HOW" },
		{ "read-percent", 0, 0, G_OPTION_ARG_INT, &a->read_percent,
			"Reads among mixed requests (70)", "N" },
		{ "block-size", 0, 0, G_OPTION_ARG_STRING, &a->block_size,
			"Bytes of a request (4K)", "BYTES" },
		{ "depth", 0, 0, G_OPTION_ARG_INT, &a->depth,
			"Requests at a time in each queue (32)", "N" },
		{ "queues", 0, 0, G_OPTION_ARG_INT, &a->queues, "How many virtqueues (1)", "N" },
		{ "threads", 0, 0, G_OPTION_ARG_INT, &a->threads, "Threads that drive them (1)",
			"N" },
		{ "queue-size", 0, 0, G_OPTION_ARG_INT, &a->queue_size,
			"Size of each queue (128, or what --depth needs)", "N" },
		{ "seconds", 0, 0, G_OPTION_ARG_DOUBLE, &a->seconds, "How long to measure (5)",
			"S" },
		{ "warmup", 0, 0, G_OPTION_ARG_DOUBLE, &a->warmup,
			"How long to run before that (1; with --requests 0)", "S" },
		{ "requests", 0, 0, G_OPTION_ARG_INT64, &a->requests,
			"Measure so many requests, no time", "N" },
		{ "rate", 0, 0, G_OPTION_ARG_INT64, &a->rate,
			"Requests a second (as many as possible)", "IOPS" },
		{ "mode", 0, 0, G_OPTION_ARG_STRING, &a->mode,
			"Wait for completions: blocking, polling (blocking)", "HOW" },
		{ "packed", 0, 0, G_OPTION_ARG_STRING, &a->packed,
			"Packed virtqueues: auto (if offered), on, off", "HOW" },
		{ "indirect", 0, 0, G_OPTION_ARG_STRING, &a->indirect,
			"Indirect descriptors, likewise", "HOW" },
		{ "event-idx", 0, 0, G_OPTION_ARG_STRING, &a->event_idx, "EVENT_IDX, likewise",
			"HOW" },
		{ "inflight", 0, 0, G_OPTION_ARG_STRING, &a->inflight,
			"Have requests in flight recorded, likewise", "HOW" },
		{ "offset", 0, 0, G_OPTION_ARG_STRING, &a->offset,
			"Where on the device (K, M, G: 0)", "BYTES" },
		{ "length", 0, 0, G_OPTION_ARG_STRING, &a->length, "How much of it (up to its end)",
			"BYTES" },
		{ "seed", 0, 0, G_OPTION_ARG_INT64, &a->seed, "Of the random numbers (1)", "N" },
		{ "flush-every", 0, 0, G_OPTION_ARG_INT, &a->flush_every,
			"Flush after so many writes of a queue (0: never)", "N" },
		{ "verify", 0, 0, G_OPTION_ARG_NONE, &a->verify,
			"Check all data; without --rw: read and write it", NULL },
		{ "timeout", 0, 0, G_OPTION_ARG_INT, &a->timeout,
			"Give up when nothing completes for so long (30)", "SECONDS" },
		{ "json", 0, 0, G_OPTION_ARG_NONE, &a->json, "Print JSON", NULL },
		{ NULL },
	};

	return connect_parse(argc, argv, entries, connect, "SOCKET",
		"Measures a block device's speed and what it costs. Writes only with an --rw that "
		"says so, or with --verify alone.",
		1, 1, error);
}

bool bench_parse(int argc, char **argv, struct bench_options *o, struct connect_options *connect,
	GError **error)
{
	g_auto(arguments) a = {
		.read_percent = 70,
		.depth = 32,
		.queues = 1,
		.threads = 1,
		.seconds = 5,
		.warmup = -1,
		.seed = 1,
		.timeout = 30,
	};

	*o = (struct bench_options){ 0 };
	if (!parse_entries(&argc, &argv, &a, connect, error) || !convert(&a, o, error))
		return false;
	o->socket = argv[1];
	return true;
}
