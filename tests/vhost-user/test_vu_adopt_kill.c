/* SPDX-License-Identifier: Apache-2.0 */
/* Front-ends that are killed at any moment: who comes next goes on. */
#include "kept.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 200
#define LONGEST_US 2000

/* Works in a child: never returns, and ends itself only if something is wrong. */
static void work(void)
{
	uint8_t config[60], status;

	f = vu_front_adopt(
		&(struct vu_front_sockets){ kept.fd, kept.channel, -1 }, "peer", &options, NULL);
	if (!f)
		_exit(1);
	for (unsigned i = 0;; i++) {
		if (!vu_front_get_config(f, 0, config, sizeof(config), NULL) ||
			memcmp(config + 1, b->config + 1, sizeof(config) - 1) != 0)
			_exit(2);
		/* Meanwhile the back-end waits for an answer on the channel. */
		if (!vu_front_get_status(f, &status, NULL) || status != 0x4f)
			_exit(3);
		if (!vu_front_set_config(f, 0, &(uint8_t){ i }, 1, NULL))
			_exit(4);
		if (!vu_front_backend_event(f, &kept_events, NULL))
			_exit(5);
	}
}

static void run_and_kill(void)
{
	pid_t pid = fork();
	int how;

	assert_true(pid >= 0);
	if (pid == 0)
		work();
	test_pause(g_random_int_range(0, LONGEST_US));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &how, 0), pid);
	if (!WIFSIGNALED(how))
		fail_msg("the child ended itself with %d", WEXITSTATUS(how));
}

static void test_killed(void **state)
{
	b->quirk[VU_GET_STATUS] = FAKE_CHANNEL_FIRST;
	kept_connect();
	for (unsigned i = 0; i < ROUNDS; i++) {
		run_and_kill();
		/* Some die while they are about to go on. */
		if (i % 3 == 0)
			continue;
		kept_adopt();
		kept_check();
		g_clear_pointer(&f, vu_front_free);
	}
	kept_finish();
	assert_int_equal(b->connections, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(kept, test_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
