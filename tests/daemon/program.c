/* SPDX-License-Identifier: Apache-2.0 */
/* See program.h. */
#include "tests/daemon/program.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/sock.h"
#include "base/util.h"
#include "vhost-user/wire/vu_proto.h"

const char *program;
char *dir, *path, *path_option;

int program_setup(void **state)
{
	dir = g_dir_make_tmp("virtiod-XXXXXX", NULL);
	path = g_build_filename(dir, "socket", NULL);
	path_option = g_strconcat("--socket-path=", path, NULL);
	return 0;
}

int program_teardown(void **state)
{
	assert_int_equal(rmdir(dir), 0); /* empty: sockets were removed */
	g_free(dir);
	g_free(path);
	g_free(path_option);
	return 0;
}

struct running start(int fd, const char *env, const char *const *options)
{
	int out[2], err[2];
	struct running c;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	c = (struct running){ .pid = fork(), .out = out[0], .err = err[0] };
	assert_true(c.pid >= 0);
	if (c.pid == 0) {
		const char *argv[16] = { program };
		g_autofree char *pid = g_strdup_printf("%d", getpid());

		for (unsigned i = 0; options[i]; i++)
			argv[i + 1] = options[i];
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves no process behind */
		signal(SIGHUP, SIG_DFL); /* the tests may run under nohup */
		dup2(out[1], 1);
		dup2(err[1], 2);
		if (fd == 3)
			fcntl(fd, F_SETFD, 0);
		else if (fd >= 0)
			dup2(fd, 3);
		g_setenv("LISTEN_PID", pid, TRUE);
		if (env)
			putenv((char *)env);
		execv(program, (char **)argv);
		_exit(127);
	}
	close(out[1]);
	close(err[1]);
	return c;
}

/* Reads all that comes until the program has closed it. */
static char *read_all(int fd)
{
	GString *text = g_string_new(NULL);
	char bytes[512];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		g_string_append_len(text, bytes, n);
	close(fd);
	return g_string_free(text, FALSE);
}

int end(struct running *c, char **out, char **err)
{
	g_autofree char *text_out = read_all(c->out), *text_err = read_all(c->err);
	int status;

	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	assert_true(WIFEXITED(status));
	if (out)
		*out = g_steal_pointer(&text_out);
	if (err)
		*err = g_steal_pointer(&text_err);
	return WEXITSTATUS(status);
}

int dial(void)
{
	int fd = -1;

	WAIT_UNTIL((fd = sock_connect(path, NULL)) >= 0);
	return fd;
}

int is_served(int fd)
{
	const struct vu_header ask = { VU_GET_FEATURES, VU_VERSION, 0 };
	uint8_t reply[20];

	send(fd, &ask, sizeof(ask), MSG_NOSIGNAL);
	return recv(fd, reply, sizeof(reply), MSG_WAITALL) == sizeof(reply);
}

void assert_ends(struct running *c, int want, const char *message)
{
	g_autofree char *err = NULL;
	int status = end(c, NULL, &err);

	if (status != want || !strstr(err, message))
		fail_msg("status %d, and not \"%s\" but: %s", status, message, err);
}
