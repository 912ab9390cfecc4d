/* SPDX-License-Identifier: Apache-2.0 */
/* See kit_process.h. */
#include "tests/lib/test.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/lib/kit_process.h"

/* Becomes the program in the child: it ends with the test. */
static void become_program(struct kit_process *p, int fd)
{
	g_autofree char *fd_arg = g_strdup_printf("--fd=%d", fd);
	unsigned n = g_strv_length(p->argv);
	char **argv = g_renew(char *, p->argv, n + 2);

	argv[n] = fd_arg;
	argv[n + 1] = NULL;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(p->log, STDERR_FILENO);
	fcntl(fd, F_SETFD, 0);
	execv(argv[0], argv);
	_exit(127);
}

int kit_process_spawn(struct kit_process *p)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0)
		become_program(p, pair[1]);
	close(pair[1]);
	return pair[0];
}

pid_t kit_pid(struct kit *k)
{
	const struct kit_process *p = k->data;

	return kit_core(k) ? getpid() : p->pid;
}

int kit_process_reap(struct kit_process *p)
{
	int status = 0;

	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	p->pid = 0;
	return status;
}

void kit_process_options(struct kit *k, va_list options)
{
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	struct kit_process *p = k->data;
	const char *arg;

	g_strv_builder_add(builder, k->program);
	while ((arg = va_arg(options, const char *)))
		g_strv_builder_add(builder, arg);
	if (kit_is_packed(k))
		g_strv_builder_add(builder, "--packed=on");
	if (virtio_device_ops.methods) {
		g_autofree char *option = NULL;

		p->control = kit_path(k, "control");
		option = g_strconcat("--control=", p->control, NULL);
		g_strv_builder_add(builder, option);
	}
	p->argv = g_strv_builder_end(builder);
}

const char *kit_process_log(struct kit *k)
{
	struct kit_process *p = k->data;
	off_t size = lseek(p->log, 0, SEEK_END);

	g_free(p->log_text);
	p->log_text = g_malloc0(size + 1);
	assert_int_equal(pread(p->log, p->log_text, size, 0), size);
	return p->log_text;
}
