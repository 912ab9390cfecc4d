/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtioctl metrics: OpenMetrics 1.0 text. The samples of a family stand together, whichever socket
 * they are of, so all daemons are asked before anything is printed. node_exporter's textfile
 * collector reads it as well: it takes what it does not know for comments.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/control/ask.h"
#include "tools/control/counters.h"
#include "tools/virtioctl.h"

struct target {
	char *socket; /* socket="..." */
	char *labels; /* socket="...",device="..." */
	bool up; /* the rest is valid */
	struct counters c;
	struct counters_type type[COUNTERS_TYPES];
	unsigned n_types;
};

static GArray *targets; /* of struct target */

/* A family of one number of a struct: of a device, a queue or a type. */
struct family {
	const char *name, *help;
	size_t offset; /* of a uint64_t */
	double scale; /* 0: it is an integer */
	bool gauge;
};

static const struct family device_families[] = {
	{ "virtiod_uptime_seconds", "Time since the daemon was started.",
		offsetof(struct counters, uptime_us), 1e-6, true },
	{ "virtiod_cpu_seconds", "CPU time of the daemon.", offsetof(struct counters, cpu_us),
		1e-6 },
	{ "virtiod_connections", "Connections of front-ends.",
		offsetof(struct counters, connections) },
	{ "virtiod_held_requests", "Requests that wait until the host can carry them out.",
		offsetof(struct counters, held), 0, true },
	{ "virtiod_held_seconds", "For how long some have waited.",
		offsetof(struct counters, held_us), 1e-6, true },
	{ "virtiod_xen_pages_mapped", "Pages of Xen guests that are mapped.",
		offsetof(struct counters, pages_mapped), 0, true },
	{ "virtiod_xen_pages", "Pages of Xen guests that were mapped.",
		offsetof(struct counters, pages) },
	{ "virtiod_xen_maps", "Mappings of pages of Xen guests.", offsetof(struct counters, maps) },
	{ "virtiod_xen_unmaps", "Mappings of pages of Xen guests that were undone.",
		offsetof(struct counters, unmaps) },
	{ "virtiod_xen_copies", "Copies from and to pages that Xen guests grant.",
		offsetof(struct counters, copies) },
	{ "virtiod_xen_failures", "Mappings and copies of Xen guests' pages that failed.",
		offsetof(struct counters, failures) },
	{ "virtiod_xen_system_calls", "System calls for Xen guests' pages.",
		offsetof(struct counters, system_calls) },
};

static const struct family queue_families[] = {
	{ "virtiod_queue_requests", "Requests completed.",
		offsetof(struct counters_queue, requests) },
	{ "virtiod_queue_index_updates", "Updates of the used index.",
		offsetof(struct counters_queue, index_updates) },
	{ "virtiod_queue_kicks", "Notifications of the driver that were noticed.",
		offsetof(struct counters_queue, kicks) },
	{ "virtiod_queue_calls", "Notifications of the driver that were sent.",
		offsetof(struct counters_queue, calls) },
	{ "virtiod_queue_breaks", "Times that the driver broke the queue.",
		offsetof(struct counters_queue, breaks) },
	{ "virtiod_queue_in_flight", "Requests in flight.",
		offsetof(struct counters_queue, in_flight), 0, true },
};

static const struct family type_families[] = {
	{ "virtiod_requests", "Requests completed, by type.",
		offsetof(struct counters_type, requests) },
	{ "virtiod_request_bytes", "Bytes of data of requests that did not fail.",
		offsetof(struct counters_type, bytes) },
	{ "virtiod_request_errors", "Requests that failed.",
		offsetof(struct counters_type, errors) },
};

static const struct target *target_at(unsigned i)
{
	return &g_array_index(targets, struct target, i);
}

static void print_head(const char *name, const char *type, const char *help)
{
	printf("# TYPE %s %s\n", name, type);
	if (g_str_has_suffix(name, "_seconds"))
		printf("# UNIT %s seconds\n", name);
	else if (g_str_has_suffix(name, "_bytes"))
		printf("# UNIT %s bytes\n", name);
	printf("# HELP %s %s\n", name, help);
}

/* Prints a sample; label NULL: none but those of the target. */
static void print_sample(const struct family *f, const struct target *t, const char *label,
	const char *value, const void *from)
{
	uint64_t n = *(const uint64_t *)((const char *)from + f->offset);

	printf("%s%s{%s", f->name, f->gauge ? "" : "_total", t->labels);
	if (label)
		printf(",%s=\"%s\"", label, value);
	if (f->scale > 0)
		printf("} %.6f\n", (double)n * f->scale);
	else
		printf("} %" PRIu64 "\n", n);
}

static void print_family_head(const struct family *f)
{
	print_head(f->name, f->gauge ? "gauge" : "counter", f->help);
}

static void print_up(void)
{
	print_head("virtiod_up", "gauge", "Whether the daemon answered.");
	for (unsigned i = 0; i < targets->len; i++)
		printf("virtiod_up{%s} %u\n", target_at(i)->socket, target_at(i)->up);
	print_head("virtiod_connected", "gauge", "Whether a front-end is connected.");
	for (unsigned i = 0; i < targets->len; i++) {
		if (target_at(i)->up)
			printf("virtiod_connected{%s} %u\n", target_at(i)->labels,
				!strcmp(target_at(i)->c.front_end, "connected"));
	}
}

static void print_devices(const struct family *f)
{
	print_family_head(f);
	for (unsigned i = 0; i < targets->len; i++) {
		if (target_at(i)->up)
			print_sample(f, target_at(i), NULL, NULL, &target_at(i)->c);
	}
}

static void print_queues(const struct family *f)
{
	print_family_head(f);
	for (unsigned i = 0; i < targets->len; i++) {
		const struct target *t = target_at(i);

		for (unsigned k = 0; t->up && k < t->c.queues->len; k++) {
			const struct counters_queue *q =
				&g_array_index(t->c.queues, struct counters_queue, k);
			char index[24];

			g_snprintf(index, sizeof(index), "%" PRIu64, q->index);
			print_sample(f, t, "queue", index, q);
		}
	}
}

static void print_types(const struct family *f)
{
	print_family_head(f);
	for (unsigned i = 0; i < targets->len; i++) {
		const struct target *t = target_at(i);

		for (unsigned k = 0; k < t->n_types; k++)
			print_sample(f, t, "type", t->type[k].name, &t->type[k]);
	}
}

static void print_histogram(const struct target *t, const struct counters_type *type)
{
	static const char name[] = "virtiod_request_duration_seconds";
	uint64_t n = 0;

	for (unsigned i = 0; i + 1 < COUNTERS_LATENCIES; i++) {
		n += type->latency[i];
		printf("%s_bucket{%s,type=\"%s\",le=\"%.9g\"} %" PRIu64 "\n", name, t->labels,
			type->name, counters_bound(i) / 1e9, n);
	}
	n += type->latency[COUNTERS_LATENCIES - 1];
	printf("%s_bucket{%s,type=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, t->labels, type->name,
		n);
	printf("%s_sum{%s,type=\"%s\"} %.9f\n", name, t->labels, type->name,
		(double)type->latency_ns / 1e9);
	printf("%s_count{%s,type=\"%s\"} %" PRIu64 "\n", name, t->labels, type->name, n);
}

static void print_all(void)
{
	print_up();
	for (unsigned i = 0; i < G_N_ELEMENTS(device_families); i++)
		print_devices(&device_families[i]);
	for (unsigned i = 0; i < G_N_ELEMENTS(queue_families); i++)
		print_queues(&queue_families[i]);
	for (unsigned i = 0; i < G_N_ELEMENTS(type_families); i++)
		print_types(&type_families[i]);
	print_head("virtiod_request_duration_seconds", "histogram",
		"Time from taking a request to its completion.");
	for (unsigned i = 0; i < targets->len; i++) {
		for (unsigned k = 0; k < target_at(i)->n_types; k++)
			print_histogram(target_at(i), &target_at(i)->type[k]);
	}
	printf("# EOF\n");
}

/* Appends a label, its value escaped; what is not UTF-8 becomes U+FFFD. */
static void add_label(GString *to, const char *name, const char *value)
{
	g_autofree char *text = g_utf8_make_valid(value, -1);

	g_string_append_printf(to, "%s%s=\"", to->len ? "," : "", name);
	for (const char *p = text; *p; p++) {
		if (*p == '\n')
			g_string_append(to, "\\n");
		else if (*p == '"' || *p == '\\')
			g_string_append_printf(to, "\\%c", *p);
		else
			g_string_append_c(to, *p);
	}
	g_string_append_c(to, '"');
}

static void add_target(const char *path, struct target *t)
{
	GString *labels = g_string_new(NULL);

	add_label(labels, "socket", path);
	t->socket = g_strdup(labels->str);
	if (t->up)
		add_label(labels, "device", t->c.device);
	t->labels = g_string_free(labels, FALSE);
	g_array_append_vals(targets, t, 1);
}

static bool answered(const char *path, const struct json_value *result)
{
	struct target t = { 0 };

	t.up = counters_read(&t.c, result);
	if (!t.up) {
		counters_clear(&t.c);
		return false;
	}
	t.n_types = counters_by_type(&t.c, t.type);
	add_target(path, &t);
	return true;
}

static void failed(const char *path)
{
	add_target(path, &(struct target){ 0 });
}

int metrics_run(int argc, char **argv)
{
	const struct ask ask = {
		.summary =
			"Prints what daemons that were started with --control=SOCKET have served "
			"as OpenMetrics text, for node_exporter's textfile collector.",
		.method = "stats",
		.answered = answered,
		.failed = failed,
		.done = print_all,
	};
	int status;

	targets = g_array_new(FALSE, FALSE, sizeof(struct target));
	status = ask_run(&ask, argv);
	for (unsigned i = 0; i < targets->len; i++) {
		g_free(target_at(i)->socket);
		g_free(target_at(i)->labels);
		counters_clear(&g_array_index(targets, struct target, i).c);
	}
	g_array_unref(targets);
	return status;
}
