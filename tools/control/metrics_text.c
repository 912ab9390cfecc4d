/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See metrics_text.h. The samples of a family stand together, whichever socket they are of, so all
 * daemons are asked before anything is written.
 */
#include "tools/control/metrics_text.h"

#include <inttypes.h>
#include <string.h>

#include "tools/control/counters.h"

struct target {
	char *socket; /* socket="..." */
	char *labels; /* socket="...",device="..." */
	bool up; /* the rest is valid */
	struct counters c;
	struct counters_type type[COUNTERS_TYPES];
	unsigned n_types;
};

struct metrics {
	GArray *targets; /* of struct target */
	GString *out; /* while it is written */
};

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

static const struct target *target_at(const struct metrics *m, unsigned i)
{
	return &g_array_index(m->targets, struct target, i);
}

static void print_head(
	const struct metrics *m, const char *name, const char *type, const char *help)
{
	g_string_append_printf(m->out, "# TYPE %s %s\n", name, type);
	if (g_str_has_suffix(name, "_seconds"))
		g_string_append_printf(m->out, "# UNIT %s seconds\n", name);
	else if (g_str_has_suffix(name, "_bytes"))
		g_string_append_printf(m->out, "# UNIT %s bytes\n", name);
	g_string_append_printf(m->out, "# HELP %s %s\n", name, help);
}

/* Prints a sample; label NULL: none but those of the target. */
static void print_sample(const struct metrics *m, const struct family *f, const struct target *t,
	const char *label, const char *value, const void *from)
{
	uint64_t n = *(const uint64_t *)((const char *)from + f->offset);

	g_string_append_printf(m->out, "%s%s{%s", f->name, f->gauge ? "" : "_total", t->labels);
	if (label)
		g_string_append_printf(m->out, ",%s=\"%s\"", label, value);
	if (f->scale > 0)
		g_string_append_printf(m->out, "} %.6f\n", (double)n * f->scale);
	else
		g_string_append_printf(m->out, "} %" PRIu64 "\n", n);
}

static void print_family_head(const struct metrics *m, const struct family *f)
{
	print_head(m, f->name, f->gauge ? "gauge" : "counter", f->help);
}

static void print_up(const struct metrics *m)
{
	print_head(m, "virtiod_up", "gauge", "Whether the daemon answered.");
	for (unsigned i = 0; i < m->targets->len; i++)
		g_string_append_printf(m->out, "virtiod_up{%s} %u\n", target_at(m, i)->socket,
			target_at(m, i)->up);
	print_head(m, "virtiod_connected", "gauge", "Whether a front-end is connected.");
	for (unsigned i = 0; i < m->targets->len; i++) {
		if (target_at(m, i)->up)
			g_string_append_printf(m->out, "virtiod_connected{%s} %u\n",
				target_at(m, i)->labels,
				!strcmp(target_at(m, i)->c.front_end, "connected"));
	}
}

static void print_devices(const struct metrics *m, const struct family *f)
{
	print_family_head(m, f);
	for (unsigned i = 0; i < m->targets->len; i++) {
		if (target_at(m, i)->up)
			print_sample(m, f, target_at(m, i), NULL, NULL, &target_at(m, i)->c);
	}
}

static void print_queues(const struct metrics *m, const struct family *f)
{
	print_family_head(m, f);
	for (unsigned i = 0; i < m->targets->len; i++) {
		const struct target *t = target_at(m, i);

		for (unsigned k = 0; t->up && k < t->c.queues->len; k++) {
			const struct counters_queue *q =
				&g_array_index(t->c.queues, struct counters_queue, k);
			char index[24];

			g_snprintf(index, sizeof(index), "%" PRIu64, q->index);
			print_sample(m, f, t, "queue", index, q);
		}
	}
}

static void print_types(const struct metrics *m, const struct family *f)
{
	print_family_head(m, f);
	for (unsigned i = 0; i < m->targets->len; i++) {
		const struct target *t = target_at(m, i);

		for (unsigned k = 0; k < t->n_types; k++)
			print_sample(m, f, t, "type", t->type[k].name, &t->type[k]);
	}
}

static void print_histogram(
	const struct metrics *m, const struct target *t, const struct counters_type *type)
{
	static const char name[] = "virtiod_request_duration_seconds";
	uint64_t n = 0;

	for (unsigned i = 0; i + 1 < COUNTERS_LATENCIES; i++) {
		n += type->latency[i];
		g_string_append_printf(m->out,
			"%s_bucket{%s,type=\"%s\",le=\"%.9g\"} %" PRIu64 "\n", name, t->labels,
			type->name, counters_bound(i) / 1e9, n);
	}
	n += type->latency[COUNTERS_LATENCIES - 1];
	g_string_append_printf(m->out, "%s_bucket{%s,type=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name,
		t->labels, type->name, n);
	g_string_append_printf(m->out, "%s_sum{%s,type=\"%s\"} %.9f\n", name, t->labels, type->name,
		(double)type->latency_ns / 1e9);
	g_string_append_printf(
		m->out, "%s_count{%s,type=\"%s\"} %" PRIu64 "\n", name, t->labels, type->name, n);
}

static void print_all(const struct metrics *m)
{
	print_up(m);
	for (unsigned i = 0; i < G_N_ELEMENTS(device_families); i++)
		print_devices(m, &device_families[i]);
	for (unsigned i = 0; i < G_N_ELEMENTS(queue_families); i++)
		print_queues(m, &queue_families[i]);
	for (unsigned i = 0; i < G_N_ELEMENTS(type_families); i++)
		print_types(m, &type_families[i]);
	print_head(m, "virtiod_request_duration_seconds", "histogram",
		"Time from taking a request to its completion.");
	for (unsigned i = 0; i < m->targets->len; i++) {
		for (unsigned k = 0; k < target_at(m, i)->n_types; k++)
			print_histogram(m, target_at(m, i), &target_at(m, i)->type[k]);
	}
	g_string_append_printf(m->out, "# EOF\n");
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

static void add_target(struct metrics *m, const char *path, struct target *t)
{
	GString *labels = g_string_new(NULL);

	add_label(labels, "socket", path);
	t->socket = g_strdup(labels->str);
	if (t->up)
		add_label(labels, "device", t->c.device);
	t->labels = g_string_free(labels, FALSE);
	g_array_append_vals(m->targets, t, 1);
}

struct metrics *metrics_new(void)
{
	struct metrics *m = g_new0(struct metrics, 1);

	m->targets = g_array_new(FALSE, FALSE, sizeof(struct target));
	return m;
}

void metrics_free(struct metrics *m)
{
	for (unsigned i = 0; i < m->targets->len; i++) {
		struct target *t = &g_array_index(m->targets, struct target, i);

		g_free(t->socket);
		g_free(t->labels);
		counters_clear(&t->c);
	}
	g_array_unref(m->targets);
	g_free(m);
}

bool metrics_add(struct metrics *m, const char *path, const struct json_value *result)
{
	struct target t = { 0 };

	t.up = counters_read(&t.c, result);
	if (!t.up) {
		counters_clear(&t.c);
		return false;
	}
	t.n_types = counters_by_type(&t.c, t.type);
	add_target(m, path, &t);
	return true;
}

void metrics_add_silent(struct metrics *m, const char *path)
{
	add_target(m, path, &(struct target){ 0 });
}

char *metrics_text(struct metrics *m)
{
	m->out = g_string_new(NULL);
	print_all(m);
	return g_string_free(g_steal_pointer(&m->out), FALSE);
}
