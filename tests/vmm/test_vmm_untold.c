/* SPDX-License-Identifier: Apache-2.0 */
/* What a back-end does not tell: an identity is demanded, numbers are assumed and said so. */
#include "guest.h"

#define TOLD(bits) (VU_BIT(VU_F_REPLY_ACK) | VU_BIT(VU_F_CONFIG) | (bits))

static unsigned count(const char *words)
{
	g_autofree char *log = test_log();
	unsigned n = 0;

	for (const char *at = log; (at = strstr(at, words)); at += strlen(words))
		n++;
	return n;
}

/* Changes what the back-end offers, which is not up meanwhile. */
static void offers(struct guest *g, uint64_t protocol)
{
	fake_down(g->backend);
	g->backend->protocol = protocol;
	fake_up(g->backend);
}

static void test_untold_identity(void **state)
{
	static const char *const keys[] = { "dev0: ", "device-id=", "queues=", "config-size=" };
	struct guest *g = *state;
	g_autoptr(GError) error = NULL;

	offers(g, TOLD(VU_BIT(VU_F_MQ)));
	guest_new_dev(g);
	assert_false(vmm_dev_wait(g->d, WAIT_MS, &error));
	/* For good: waiting longer would not help. */
	assert_false(g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN));
	for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++)
		assert_non_null(strstr(error->message, keys[i]));
	vmm_dev_give_up(g->d);
	assert_int_equal(count("device-id="), 1);
	assert_true(test_logged("error: dev0: given up"));
	assert_int_equal(rd32(g, VIRTIO_MMIO_DEVICE_ID), 0);
}

static void test_untold_numbers(void **state)
{
	struct guest *g = *state;

	offers(g, TOLD(0));
	g->config.front.device_id = 42;
	guest_start(g);
	assert_int_equal(rd32(g, VIRTIO_MMIO_DEVICE_ID), 42);
	WAIT_UNTIL(test_logged("assumed"));
	assert_true(test_logged("dev0: assumed, as the back-end does not tell: 1 virtqueue "
				"(queues=N), 16 bytes of configuration space "
				"(config-size=BYTES)"));
	/* Once: not again with the next back-end. */
	fake_down(g->backend);
	fake_up(g->backend);
	WAIT_UNTIL(test_logged("the back-end is back"));
	assert_int_equal(count("assumed"), 1);
}

static void test_told_numbers(void **state)
{
	struct guest *g = *state;

	offers(g, TOLD(0));
	g->config.front.device_id = 42;
	g->config.front.config_size = 16;
	g->config.front.queues = 2;
	guest_start(g);
	assert_int_equal(count("assumed"), 0);
}

/* The same back-end again and again: its peculiarity is said once. */
static void test_same_warning_once(void **state)
{
	struct guest *g = *state;
	struct vmm_dev_counters counters = { 0 };

	fake_quirk(g->backend, VU_GET_DEVICE_ID, FAKE_ECHO);
	g->config.front.device_id = 42;
	g->config.front.config_size = 16;
	guest_start(g);
	for (unsigned i = 1; i <= 3; i++) {
		fake_down(g->backend);
		fake_up(g->backend);
		WAIT_UNTIL((vmm_dev_counters(g->d, &counters), counters.reconnects >= i));
	}
	assert_int_equal(count("does not speak it"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(guest, test_untold_identity),
		TEST_WITH(guest, test_untold_numbers),
		TEST_WITH(guest, test_told_numbers),
		TEST_WITH(guest, test_same_warning_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
