/* SPDX-License-Identifier: Apache-2.0 */
/* A back-end that answers late, on a host that is very busy, is waited for longer each time. */
#include "guest.h"

#define DEADLINE_MS 100
#define WITHIN "no answer to GET_FEATURES within "

static bool was_late(const char *ms)
{
	g_autofree char *text = g_strdup_printf(WITHIN "%s ms", ms);

	return test_logged(text);
}

/* Waits until the deadline has grown as far as it does. */
static void wait_for_growth(void)
{
	WAIT_UNTIL(was_late("100"));
	WAIT_UNTIL(was_late("200"));
	WAIT_UNTIL(was_late("400"));
}

static void test_first(void **state)
{
	struct guest *g = *state;
	unsigned n;

	g->config.front.deadline_ms = DEADLINE_MS;
	fake_quirk(g->backend, VU_GET_FEATURES, FAKE_SILENT);
	guest_new_dev(g);
	wait_for_growth();
	pthread_mutex_lock(&g->backend->lock);
	n = g->backend->connections;
	pthread_mutex_unlock(&g->backend->lock);
	WAIT_UNTIL_LOCKED(&g->backend->lock, g->backend->connections > n + 1);
	assert_false(was_late("800"));
	/* Later than the deadline, and within what it has become. */
	g->backend->late_ms = 3 * DEADLINE_MS / 2;
	fake_quirk(g->backend, VU_GET_FEATURES, FAKE_LATE);
	WAIT_UNTIL(vmm_dev_wait(g->d, 0, NULL));
}

/* After one that succeeded the deadline is as before. */
static void test_then(void **state)
{
	struct guest *g = *state;

	test_first(state);
	test_log_clear();
	fake_down(g->backend);
	fake_quirk(g->backend, VU_GET_FEATURES, FAKE_SILENT);
	fake_up(g->backend);
	wait_for_growth();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST_WITH(guest, test_first),
		TEST_WITH(guest, test_then),
	};

	return cmocka_run_group_tests_name("vmm_patience", tests, NULL, NULL);
}
