/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of virtioctl bench. */
#include <inttypes.h>

#include "base/number.h"
#include "virtio/probe.h"
#include "tools/bench/bench.h"
#include "tools/virtioctl.h"

#define MAX_BLOCK_SIZE (16u << 20)
#define MAX_QUEUE_SIZE 32768
#define MAX_REQUESTS UINT64_C(1000000000000000)
#define MAX_SECONDS 1e6
#define NO_LENGTH UINT64_MAX

static const char *const rw_names[] = {
	[BENCH_RANDREAD] = "randread",
	[BENCH_RANDWRITE] = "randwrite",
	[BENCH_READ] = "read",
	[BENCH_WRITE] = "write",
	[BENCH_MIXED] = "mixed",
	NULL,
};
static const char *const mode_names[] = { "blocking", "polling", NULL };

#define RW_DEFAULT G_N_ELEMENTS(rw_names) /* not given */
#define WARMUP_DEFAULT (-1.)

/* Where the table puts values that struct bench_options does not take as they are. */
static struct bench_options parsed;
static struct {
	uint64_t block_size;
	unsigned rw, polling, timeout_s;
} raw;

const char *bench_rw_name(enum bench_rw rw)
{
	return rw_names[rw];
}

bool bench_writes(const struct bench_options *o)
{
	return o->rw != BENCH_RANDREAD && o->rw != BENCH_READ;
}

/* Parses --warmup; -1 means the default. */
static bool parse_warmup(const char *text, GError **error)
{
	double value = WARMUP_DEFAULT;

	if (!g_str_equal(text, "-1") && !(number_parse_real(text, &value) && value <= MAX_SECONDS))
		return option_bad(error, "from 0 to %g seconds", MAX_SECONDS);
	parsed.warmup = value;
	return true;
}

/* Parses --seed, the only number that may have a sign: any one of 64 bits. */
static bool parse_seed(const char *text, GError **error)
{
	bool negative = *text == '-';
	uint64_t n;

	if (!number_parse(text + negative, 0, UINT64_MAX, &n))
		return option_bad(error, "a number of 64 bits");
	parsed.seed = negative ? -n : n;
	return true;
}

static const struct option_entry load_options[] = {
	{ "rw", "HOW", .word = &raw.rw, .words = rw_names,
		.help = "randread, randwrite, read, write, mixed (default: randread; with --verify "
			"mixed)" },
	{ "read-percent", .number = &parsed.read_percent, .max = 100, .initial = "70",
		.help = "Reads among mixed requests" },
	{ "block-size", .bytes = &raw.block_size, .min = 512, .max = MAX_BLOCK_SIZE,
		.initial = "4K", .help = "Bytes of a request" },
	{ "depth", .number = &parsed.depth, .min = 1, .max = MAX_QUEUE_SIZE, .initial = "32",
		.help = "Requests at a time in each queue" },
	{ "queues", .number = &parsed.queues, .min = 1, .max = VIRTIO_MAX_QUEUES, .initial = "1",
		.help = "How many virtqueues" },
	{ "threads", .number = &parsed.threads, .min = 1, .max = VIRTIO_MAX_QUEUES, .initial = "1",
		.help = "Threads that drive them" },
	{ "queue-size", .number = &parsed.queue_size, .max = MAX_QUEUE_SIZE, .power_of_two = true,
		.help = "Size of each queue (default: 128, or what --depth needs)" },
	{ "seconds", "S", .real = &parsed.seconds, .initial = "5", .excludes = { "requests" },
		.help = "How long to measure" },
	{ "warmup", "S", .parse = parse_warmup,
		.help = "How long to run before that (default: 1; with --requests 0)" },
	{ "requests", .number64 = &parsed.requests, .max = MAX_REQUESTS,
		.help = "Measure so many requests, no time" },
	{ "rate", "IOPS", .number64 = &parsed.rate, .max = 1000000000,
		.help = "Requests a second (default: as many as possible)" },
	{ "mode", "HOW", .word = &raw.polling, .words = mode_names, .initial = "blocking",
		.help = "Wait for completions: blocking or polling" },
	{ NULL },
};

static const struct option_entry feature_options[] = {
	{ "packed", "HOW", .word = &parsed.packed, .words = choice_words, .initial = "auto",
		.help = "Packed virtqueues: auto (if offered), on, off" },
	{ "indirect", "HOW", .word = &parsed.indirect, .words = choice_words, .initial = "auto",
		.help = "Indirect descriptors, likewise" },
	{ "event-idx", "HOW", .word = &parsed.event_idx, .words = choice_words, .initial = "auto",
		.help = "EVENT_IDX, likewise" },
	{ "inflight", "HOW", .word = &parsed.inflight, .words = choice_words, .initial = "auto",
		.help = "Track requests in flight, likewise" },
	{ "offset", .bytes = &parsed.offset, .initial = "0", .help = "Where on the device" },
	{ "length", .bytes = &parsed.length, .help = "How much of it (default: up to its end)" },
	{ "seed", "N", .parse = parse_seed, .initial = "1", .help = "Of the random numbers" },
	{ "flush-every", .number = &parsed.flush_every, .max = G_MAXINT,
		.help = "Flush after so many writes of a queue (default: never)" },
	{ "verify", .flag = &parsed.verify,
		.help = "Check all data; without --rw: read and write it" },
	{ "survive", .flag = &parsed.survive,
		.help = "Wait for a back-end that has gone, and go on with the next one" },
	{ "timeout", "SECONDS", .number = &raw.timeout_s, .min = 1, .max = 86400, .initial = "30",
		.help = "Give up when nothing completes for so long" },
	{ "strict", .flag = &parsed.strict, .help = "A used length that is too large is an error" },
	{ "json", .flag = &parsed.json, .help = "Print JSON" },
	{ "echo", .flag = &parsed.echo,
		.help = "Wait until what was sent comes back (of consoles and the like)" },
	{ NULL },
};

static bool check(const struct bench_options *o, bool has_length, GError **error)
{
	if (o->threads > o->queues)
		return option_bad(error,
			"invalid --threads=%u: at most one per queue (--queues=%u)", o->threads,
			o->queues);
	if (raw.block_size % 512)
		return option_bad(error,
			"invalid --block-size=%" PRIu64 ": a multiple of 512 up to 16M",
			raw.block_size);
	if (has_length && o->length < raw.block_size)
		return option_bad(error,
			"invalid --length=%" PRIu64 ": at least one block of %" PRIu64 " bytes",
			o->length, raw.block_size);
	if (o->seconds < 0.001 || o->seconds > MAX_SECONDS)
		return option_bad(
			error, "invalid --seconds=%g: from 0.001 to %g", o->seconds, MAX_SECONDS);
	if (o->survive && o->inflight == CHOICE_OFF)
		return option_bad(error,
			"--survive needs --inflight: which requests a lost back-end had taken");
	return true;
}

/* Derives what is not said from what is. */
static void complete(struct bench_options *o)
{
	o->rw = raw.rw != RW_DEFAULT ? raw.rw : o->verify ? BENCH_MIXED : BENCH_RANDREAD;
	o->polling = raw.polling;
	if (o->survive)
		o->inflight = CHOICE_ON;
	o->block_size = (uint32_t)raw.block_size;
	o->timeout_ms = raw.timeout_s * 1000;
	/* A given number of requests is meant to be all of them. */
	if (o->warmup < 0)
		o->warmup = o->requests ? 0 : 1;
}

bool bench_parse(
	char **argv, struct bench_options *o, struct connect_options *connect, GError **error)
{
	const struct option_syntax syntax = {
		.summary = "Measures a block device's speed and what it costs. Writes only with an "
			   "--rw that says so, or with --verify alone. Of some other devices it "
			   "measures round trips, one after the other.",
		.arguments = "SOCKET",
		.min_arguments = 1,
		.max_arguments = 1,
		.tables = { load_options, feature_options },
	};
	g_auto(GStrv) args = NULL;
	bool has_length;

	parsed = (struct bench_options){ .length = NO_LENGTH, .warmup = WARMUP_DEFAULT };
	raw.rw = RW_DEFAULT;
	args = connect_parse(argv, syntax, connect, error);
	if (!args)
		return false;
	has_length = parsed.length != NO_LENGTH;
	if (!check(&parsed, has_length, error))
		return false;
	complete(&parsed);
	*o = parsed;
	o->length = has_length ? parsed.length : 0;
	o->socket = g_strdup(args[1]);
	return true;
}
