/* SPDX-License-Identifier: Apache-2.0 */
/* A broker on a fake Xen, and requests to it. */
#include "broker_fixture.h"

#include "base/util.h"

static const char *run;

struct broker *broker_test_make(GError **error)
{
	return broker_new(&(struct broker_config){ .domid = 3,
				  .name = "web",
				  .max_memory = 128 << 20,
				  .eventfds = true,
				  .run = run },
		error);
}

int broker_setup(void **state)
{
	struct broker_test *w = g_new0(struct broker_test, 1);

	fake_xen_reset();
	test_begin(&w->test);
	test_path(&w->test, "xen.ranges");
	run = w->test.dir;
	w->broker = broker_test_make(NULL);
	assert_non_null(w->broker);
	*state = w;
	return 0;
}

void broker_test_close(struct broker_test *w)
{
	while (w->n > 0)
		fd_close(&w->fds[--w->n]);
}

int broker_teardown(void **state)
{
	struct broker_test *w = *state;

	broker_test_close(w);
	broker_free(w->broker);
	assert_true(fake_xen_is_empty());
	fake_xen_reset();
	test_end(&w->test);
	g_free(w);
	return 0;
}

bool broker_test_add(
	struct broker_test *w, uint64_t base, uint32_t irq, bool grants, GError **error)
{
	g_autofree char *name = g_strdup_printf("device at %u", irq);
	const struct broker_device_config config = {
		.name = name,
		.base = base,
		.irq = irq,
		.grants = grants,
		.wait_ms = 1500,
		.queue_size = 64,
		.device_id = 4,
	};
	unsigned device;

	return broker_add(
		w->broker, &config, backend_process_new(NULL, NULL, NULL), &device, error);
}

int broker_test_ask_with(struct broker_test *w, struct ipc_request request, int file)
{
	broker_test_close(w);
	if (file >= 0)
		w->fds[w->n++] = fcntl(file, F_DUPFD_CLOEXEC, 0);
	if (!broker_answer(w->broker, &request, &w->reply, w->fds, &w->n))
		return -1;
	/* An error comes alone, all else with something or without errors. */
	assert_true(w->n == 0 || w->reply.err == 0);
	return w->reply.err;
}

int broker_test_ask(struct broker_test *w, struct ipc_request request)
{
	return broker_test_ask_with(w, request, -1);
}
