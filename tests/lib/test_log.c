/* SPDX-License-Identifier: Apache-2.0 */
/* Collects the lines of base/log.h. */
#include "base/log.h"
#include "tests/lib/test.h"
#include "tests/lib/test_impl.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GString *lines;
static unsigned n_lines;

static void keep_line(enum log_level level, const char *line, void *opaque)
{
	pthread_mutex_lock(&lock);
	if (lines)
		g_string_append_printf(lines, "%s\n", line);
	n_lines++;
	pthread_mutex_unlock(&lock);
	if (g_getenv("VIRTIOD_TEST_LOG"))
		fprintf(stderr, "%s\n", line);
}

void test_log_begin(void)
{
	pthread_mutex_lock(&lock);
	if (!lines)
		lines = g_string_new(NULL);
	g_string_truncate(lines, 0);
	n_lines = 0;
	pthread_mutex_unlock(&lock);
	log_set_sink(keep_line, NULL);
}

void test_log_end(void)
{
	log_set_sink(NULL, NULL);
	pthread_mutex_lock(&lock);
	if (lines)
		g_string_free(lines, TRUE);
	lines = NULL;
	pthread_mutex_unlock(&lock);
}

void test_log_discard(void)
{
	log_set_sink(keep_line, NULL);
}

bool test_logged(const char *words)
{
	g_autofree char *text = test_log();

	return strstr(text, words) != NULL;
}

unsigned test_log_lines(void)
{
	unsigned n;

	pthread_mutex_lock(&lock);
	n = n_lines;
	pthread_mutex_unlock(&lock);
	return n;
}

char *test_log(void)
{
	char *copy;

	pthread_mutex_lock(&lock);
	copy = g_strdup(lines ? lines->str : "");
	pthread_mutex_unlock(&lock);
	return copy;
}

void test_log_clear(void)
{
	pthread_mutex_lock(&lock);
	if (lines)
		g_string_truncate(lines, 0);
	n_lines = 0;
	pthread_mutex_unlock(&lock);
}
