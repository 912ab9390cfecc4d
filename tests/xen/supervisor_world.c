/* SPDX-License-Identifier: Apache-2.0 */
/* See supervisor_world.h. */
#include "tests/lib/test.h"

#include "base/log.h"
#include "supervisor_world.h"

int world_setup(void **state)
{
	struct supervisor_test *w = g_new0(struct supervisor_test, 1);

	fake_xen_reset();
	test_begin(&w->test);
	w->run = test_path(&w->test, "run");
	w->record = test_path(&w->test, "record");
	w->mode = test_path(&w->test, "mode");
	g_setenv("FAKE_WORKER_RECORD", w->record, TRUE);
	g_setenv("FAKE_WORKER_MODE", w->mode, TRUE);
	w->options = (struct supervisor_options){
		.config = "/nonexistent/config",
		.defaults = "/nonexistent/defaults",
		.run = w->run,
		.wait_ms = 10000,
		/* Workers of a loaded machine are not deaf. */
		.leave_ms = TEST_WAIT_MS * test_patience(),
		.eventfds = true,
		.uid_base = 1000,
	};
	assert_true(supervisor_init(&w->supervisor, &w->options, NULL));
	*state = w;
	return 0;
}

void world_start(struct supervisor_test *w)
{
	struct supervisor *s = &w->supervisor;

	s->rules = backend_rules_read(w->options.config, w->options.defaults, w->run, 0, NULL);
	assert_non_null(s->rules);
	s->store = xenstore_open(nodes_changed, s, NULL);
	assert_true(nodes_watch(s, NULL));
	WAIT_IN_LOOP(fake_xenstore_pending() == 0);
}

int world_teardown(void **state)
{
	struct supervisor_test *w = *state;

	supervisor_clear(&w->supervisor);
	fake_xenstore_clear();
	assert_true(fake_xen_is_empty());
	fake_xen_reset();
	test_end(&w->test);
	g_free(w);
	return 0;
}

void world_add_domain(unsigned domid, const char *name)
{
	g_autofree char *path = g_strdup_printf("/local/domain/%u/name", domid);
	g_autofree char *memory = g_strdup_printf("/local/domain/%u/memory/static-max", domid);

	fake_xenstore_set(path, name);
	fake_xenstore_set(memory, "131072");
}

void world_set(unsigned domid, unsigned devid, const char *key, const char *value)
{
	g_autofree char *path = g_strdup_printf("backend/virtio/%u/%u/%s", domid, devid, key);

	fake_xenstore_set(path, value);
}

void world_add_node(unsigned domid, unsigned devid)
{
	g_autofree char *base = g_strdup_printf("0x%x", 0x2000000 + 0x200 * devid);
	g_autofree char *irq = g_strdup_printf("%u", 33 + devid);

	world_set(domid, devid, "base", base);
	world_set(domid, devid, "irq", irq);
	world_set(domid, devid, "type", "virtio,device");
	world_set(domid, devid, "transport", "mmio");
	world_set(domid, devid, "grant_usage", devid % 2 ? "1" : "0");
	/* As if it were one transaction: we look at it when it is complete. */
	world_set(domid, devid, "state", "1");
}

bool world_state_is(unsigned domid, unsigned devid, const char *state)
{
	g_autofree char *path = g_strdup_printf("backend/virtio/%u/%u/state", domid, devid);

	return g_strcmp0(fake_xenstore_get(path), state) == 0;
}

void world_set_mode(struct supervisor_test *w, const char *mode)
{
	assert_true(g_file_set_contents(w->mode, mode, -1, NULL));
}

static unsigned count(const char *in, const char *text)
{
	unsigned n = 0;

	while (in && (in = strstr(in, text))) {
		in += strlen(text);
		n++;
	}
	return n;
}

unsigned world_recorded(struct supervisor_test *w, const char *text)
{
	g_autofree char *record = NULL;

	g_file_get_contents(w->record, &record, NULL, NULL);
	return count(record, text);
}

unsigned world_logged(struct supervisor_test *w, const char *text)
{
	g_autofree char *log = test_log();

	return count(log, text);
}

int world_worker(struct supervisor_test *w)
{
	g_autofree char *record = NULL;

	assert_true(g_file_get_contents(w->record, &record, NULL, NULL));
	return atoi(g_strrstr(record, "START ") + strlen("START "));
}
