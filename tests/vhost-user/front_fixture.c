/* SPDX-License-Identifier: Apache-2.0 */
/* See front_fixture.h. */
#include "front_fixture.h"

#include <glib/gstdio.h>

#include "base/log.h"

struct fake_backend *b;
struct vu_front *f;
struct vu_front_options options;
char *path;
static char *dir;
static unsigned fds_before;

struct fake_backend *full_backend(void)
{
	struct fake_backend *full = fake_new(path);

	full->features = VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES) | VU_BIT(32) | VU_BIT(5);
	full->protocol |= VU_BIT(VU_F_CONFIGURE_MEM_SLOTS);
	full->queues = 4;
	full->min_queues = 2;
	full->config_size = 60;
	full->status_bits = 0x4f;
	full->selector = false;
	for (unsigned i = 0; i < sizeof(full->config); i++)
		full->config[i] = i;
	return full;
}

int front_setup(void **state)
{
	log_set_level(LOG_LEVEL_ERROR);
	fds_before = count_fds();
	options = (struct vu_front_options){ .config_size = -1, .deadline_ms = 60000 };
	dir = g_dir_make_tmp("virtiod-XXXXXX", NULL);
	path = g_build_filename(dir, "socket", NULL);
	b = full_backend();
	return 0;
}

int front_teardown(void **state)
{
	fake_free(b);
	g_unlink(path);
	g_rmdir(dir);
	g_free(path);
	g_free(dir);
	return count_fds() == fds_before ? 0 : -1;
}

void connect_pair(void)
{
	g_autoptr(GError) error = NULL;

	f = vu_front_new(fake_pair(b), "peer", &options, &error);
	if (!f)
		fail_msg("%s", error->message);
}

void connect_path(void)
{
	g_autoptr(GError) error = NULL;

	fake_up(b);
	f = vu_front_connect(path, &options, &error);
	if (!f)
		fail_msg("%s", error->message);
}

void finish(void)
{
	g_clear_pointer(&f, vu_front_free);
	fake_finish(b);
}

void expect_failure(enum vu_front_error code, const char *part)
{
	g_autoptr(GError) error = NULL;

	assert_null(vu_front_new(fake_pair(b), "peer", &options, &error));
	fake_finish(b);
	assert_true(g_str_has_prefix(error->message, "peer: "));
	if (!strstr(error->message, part) || !g_error_matches(error, VU_FRONT_ERROR, code))
		fail_msg("%d: %s", error->code, error->message);
}

void expect_order(const uint32_t *requests, unsigned n)
{
	assert_true(b->n_notes >= n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(b->notes[b->n_notes - n + i].request, requests[i]);
}

void expect_error(GError **error, enum vu_front_error code, const char *part)
{
	assert_non_null(*error);
	if (!strstr((*error)->message, part) || !g_error_matches(*error, VU_FRONT_ERROR, code))
		fail_msg("%d: %s", (*error)->code, (*error)->message);
	g_clear_error(error);
}

void connect_fresh(void)
{
	connect_pair();
	b->n_notes = 0;
}
