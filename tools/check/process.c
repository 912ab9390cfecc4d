/* SPDX-License-Identifier: Apache-2.0 */
/* A back-end that is started when none listens: many serve one connection and end. */
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tools/check/wire.h"

/* How often its end is looked for, and how long SIGTERM may take. */
#define LOOK_US 2000
#define TERM_US 2000000

/* Notes how it ended. By its exit status it may refuse what no front-end should send. */
static void note_end(struct check *k, int status)
{
	bool may_refuse = k->c && k->c->needs & CHECK_HOSTILE;

	g_clear_pointer(&k->child_end, g_free);
	if (WIFSIGNALED(status))
		k->child_end = g_strdup_printf("the back-end was ended by signal %d (%s)",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) && !may_refuse)
		k->child_end =
			g_strdup_printf("the back-end ended with status %d", WEXITSTATUS(status));
	k->child = 0;
}

bool check_process_ended(struct check *k, uint64_t wait_us)
{
	int64_t until = g_get_monotonic_time() + (int64_t)wait_us;
	int status;

	while (k->child) {
		if (waitpid(k->child, &status, WNOHANG) == k->child)
			note_end(k, status);
		else if (g_get_monotonic_time() >= until)
			return false;
		else
			g_usleep(LOOK_US);
	}
	return true;
}

/* Makes the child end with us, also if we are killed. */
static void set_up_child(gpointer data)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
}

bool check_process_start(struct check *k)
{
	g_autofree char *command = NULL;
	char *argv[] = { (char[]){ "/bin/sh" }, (char[]){ "-c" }, NULL, NULL };
	g_autoptr(GError) error = NULL;

	if (!k->options->start)
		return false;
	if (!check_process_ended(k, 0))
		return true;
	if (k->child_end) {
		check_fail(k, "%s", k->child_end);
		return false;
	}
	/* The process that listens is the one that is waited for. */
	argv[2] = command = g_strdup_printf("exec %s", k->options->start);
	if (g_spawn_async(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL,
		    set_up_child, NULL, &k->child, &error))
		return true;
	check_fail(k, "%s: %s", k->options->start, error->message);
	return false;
}

void check_process_stop(struct check *k)
{
	if (k->child)
		kill(k->child, SIGTERM);
	if (!check_process_ended(k, TERM_US)) {
		kill(k->child, SIGKILL);
		check_process_ended(k, UINT32_MAX);
	}
	g_clear_pointer(&k->child_end, g_free);
}
