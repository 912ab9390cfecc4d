/* SPDX-License-Identifier: Apache-2.0 */
/* Results as TAP 13, JSON and JUnit XML. */
#include "tools/check/report.h"

#include <stdio.h>

#include "base/json.h"

char *check_repeat(const struct check *k)
{
	if (k->options->frontend)
		return g_strdup_printf(
			"%s --frontend=%s", k->options->repeat, k->options->quoted_socket);
	return g_strdup_printf("%s --case=%s%s%s %s", k->options->repeat, k->c->name,
		k->c->needs & CHECK_HOSTILE ? " --hostile" : "",
		k->c->needs & CHECK_WRITE ? " --write" : "", k->options->quoted_socket);
}

/* Prints one line, or more than one, of TAP's YAML, each indented. */
static void print_block(const char *key, const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	printf("  %s: |\n", key);
	for (char **line = lines; *line; line++) {
		if (**line)
			printf("    %s\n", *line);
	}
}

static void tap_begin(struct check_report *r)
{
	printf("TAP version 13\n1..%u\n", r->cases->len);
}

static void tap_result(struct check_report *r, enum check_result result, uint64_t elapsed_us)
{
	const struct check *k = r->k;
	g_autofree char *repeat = NULL;

	printf("%sok %u - %s", result == CHECK_FAILED ? "not " : "", r->done, k->c->name);
	if (result == CHECK_SKIPPED)
		printf(" # SKIP %s", k->skip);
	printf("\n");
	if (result != CHECK_FAILED)
		return;
	repeat = check_repeat(k);
	printf("  ---\n");
	print_block("message", k->failure);
	print_block("section", k->c->section);
	print_block("repeat", repeat);
	print_block("record", k->record->str);
	printf("  ...\n");
	fflush(stdout);
}

static void tap_end(struct check_report *r, const char *why)
{
	if (why)
		printf("Bail out! %s\n", why);
	printf("# %u passed, %u failed, %u skipped\n", r->done - r->failed - r->skipped, r->failed,
		r->skipped);
}

const struct check_format check_tap = { tap_begin, tap_result, tap_end };

static struct json writer;

static void json_begin(struct check_report *r)
{
	writer = (struct json){ .out = r->body };
	json_open_object(&writer, NULL);
	json_string(&writer, "socket", r->k->options->socket);
	json_hex64(&writer, "features", r->k->peer.features);
	json_hex64(&writer, "protocol_features", r->k->peer.protocol);
	json_uint(&writer, "device_id", r->k->peer.device);
	json_open_array(&writer, "cases");
}

static void json_result(struct check_report *r, enum check_result result, uint64_t elapsed_us)
{
	static const char *const words[] = { "pass", "fail", "skip" };
	const struct check *k = r->k;
	g_autofree char *repeat = check_repeat(k);

	json_open_object(&writer, NULL);
	json_string(&writer, "name", k->c->name);
	json_string(&writer, "section", k->c->section);
	json_string(&writer, "result", words[result]);
	json_uint(&writer, "microseconds", elapsed_us);
	if (result == CHECK_SKIPPED)
		json_string(&writer, "reason", k->skip);
	if (result == CHECK_FAILED) {
		json_string(&writer, "message", k->failure);
		json_string(&writer, "record", k->record->str);
		json_string(&writer, "repeat", repeat);
	}
	json_close_object(&writer);
}

static void json_end(struct check_report *r, const char *why)
{
	json_close_array(&writer);
	json_uint(&writer, "passed", r->done - r->failed - r->skipped);
	json_uint(&writer, "failed", r->failed);
	json_uint(&writer, "skipped", r->skipped);
	json_string(&writer, "ended_by", why);
	json_close_object(&writer);
	printf("%s\n", r->body->str);
}

const struct check_format check_json = { json_begin, json_result, json_end };

static void junit_begin(struct check_report *r)
{
}

static void junit_result(struct check_report *r, enum check_result result, uint64_t elapsed_us)
{
	const struct check *k = r->k;
	g_autofree char *start = g_markup_printf_escaped(
		"  <testcase classname=\"virtioctl.check\" name=\"%s\" time=\"%.6f\">", k->c->name,
		(double)elapsed_us / 1e6);
	g_autofree char *repeat = check_repeat(k);
	g_autofree char *inside = NULL;

	if (result == CHECK_SKIPPED)
		inside = g_markup_printf_escaped("\n    <skipped message=\"%s\"/>\n  ", k->skip);
	else if (result == CHECK_FAILED)
		inside = g_markup_printf_escaped(
			"\n    <failure message=\"%s\" type=\"%s\">%s\n%s</failure>\n  ",
			k->failure, k->c->section, repeat, k->record->str);
	g_string_append_printf(r->body, "%s%s</testcase>\n", start, inside ? inside : "");
}

static void junit_end(struct check_report *r, const char *why)
{
	g_autofree char *error =
		why ? g_markup_printf_escaped("  <system-err>%s</system-err>\n", why) : NULL;

	printf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	       "<testsuite name=\"virtioctl check\" tests=\"%u\" failures=\"%u\" errors=\"%u\" "
	       "skipped=\"%u\">\n%s%s</testsuite>\n",
		r->done, r->failed, why ? 1 : 0, r->skipped, r->body->str, error ? error : "");
}

const struct check_format check_junit = { junit_begin, junit_result, junit_end };
