/* SPDX-License-Identifier: Apache-2.0 */
/* See deaf_file.h. The server is a child, with the file system in a mount namespace of its own. */
#include "tests/lib/deaf_file.h"

#include "tests/lib/test.h"

#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/sock.h"
#include "base/util.h"

#define MOUNTED "/tmp" /* of the server alone; sanitizers need /proc for a report */

static void answer(int device, const struct fuse_in_header *to, const void *body, size_t size)
{
	uint8_t bytes[sizeof(struct fuse_out_header) + 256];
	const struct fuse_out_header header = { .len = sizeof(header) + size,
		.unique = to->unique };

	memcpy(bytes, &header, sizeof(header));
	if (size)
		memcpy(bytes + sizeof(header), body, size);
	if (write(device, bytes, header.len) < 0)
		_exit(1);
}

/* Answers until the file is open, and the process that opened it has closed it. */
static bool answer_one(int device)
{
	static uint8_t buffer[1 << 17];
	const struct fuse_in_header *h = (const void *)buffer;
	const struct fuse_init_out init = { .major = 7, .minor = 31, .max_write = 4096 };
	const struct fuse_entry_out entry = { .nodeid = 2,
		.attr = { .ino = 2, .mode = S_IFREG | 0666, .nlink = 1, .size = 1 << 20 } };
	const struct fuse_open_out open = { .fh = 1 };

	if (read(device, buffer, sizeof(buffer)) < (ssize_t)sizeof(*h))
		_exit(1);
	if (h->opcode == FUSE_INIT)
		answer(device, h, &init, sizeof(init));
	else if (h->opcode == FUSE_LOOKUP)
		answer(device, h, &entry, sizeof(entry));
	else if (h->opcode == FUSE_OPEN)
		answer(device, h, &open, sizeof(open));
	else if (h->opcode == FUSE_FLUSH)
		answer(device, h, NULL, 0);
	return h->opcode != FUSE_FLUSH;
}

static int mount_it(void)
{
	g_autofree char *options = NULL;
	int device;

	if ((geteuid() != 0 && unshare(CLONE_NEWUSER) < 0) || unshare(CLONE_NEWNS) < 0 ||
		(geteuid() == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
		return -1;
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	options = g_strdup_printf(
		"fd=%d,rootmode=40000,user_id=%u,group_id=%u", device, getuid(), getgid());
	if (device < 0 || mount("deaf", MOUNTED, "fuse", MS_NODEV | MS_NOSUID, options) < 0)
		return -1;
	return device;
}

/* Opens the file and sends it; its end is the last that the server answers. */
static void send_file(int to)
{
	int fd = open(MOUNTED "/file", O_RDWR | O_CLOEXEC);
	bool sent = fd >= 0 && sock_send(to, "", 1, &fd, 1, -1) == 0;

	_exit(sent ? 0 : 1);
}

static void serve(int to, int deaf)
{
	int device;
	pid_t opener;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	device = mount_it();
	opener = device < 0 ? -1 : fork();
	if (opener == 0) {
		close(device);
		close(deaf);
		send_file(to);
	}
	close(to);
	if (opener < 0)
		_exit(1);
	while (answer_one(device))
		continue;
	close(deaf);
	/* A test that fails hangs over its own copy of the fd as it ends. */
	alarm(60);
	for (;;)
		pause();
}

bool deaf_file_open(struct deaf_file *f)
{
	bool truncated = false;
	unsigned n_fds = 0;
	int pair[2], deaf[2];
	uint8_t byte;

	*f = (struct deaf_file){ .fd = -1 };
	if (test_under_valgrind()) {
		print_message("[  NOTE    ] not tested here: valgrind does not follow\n");
		return false;
	}
	assert_true(sock_pair(pair) && sock_pair(deaf));
	f->server = fork();
	assert_true(f->server >= 0);
	if (f->server == 0) {
		close(pair[0]);
		close(deaf[0]);
		serve(pair[1], deaf[1]);
	}
	close(pair[1]);
	close(deaf[1]);
	test_wait_fd(pair[0], POLLIN);
	sock_recv(pair[0], &byte, 1, &f->fd, 1, &n_fds, &truncated);
	close(pair[0]);
	/* Until the opener has closed it: a child of ours could do so first, and be answered. */
	if (n_fds == 1)
		test_wait_fd(deaf[0], POLLIN);
	close(deaf[0]);
	if (n_fds == 1)
		return true;
	deaf_file_end(f);
	print_message("[  NOTE    ] not tested here: this machine has no FUSE for this user\n");
	return false;
}

void deaf_file_end(struct deaf_file *f)
{
	kill(f->server, SIGKILL);
	waitpid(f->server, NULL, 0);
	fd_close(&f->fd);
}

void deaf_file_check_threads(pid_t pid)
{
	g_autofree char *tasks = g_strdup_printf("/proc/%d/task", pid);
	GDir *d = g_dir_open(tasks, 0, NULL);
	const char *task;

	while ((task = g_dir_read_name(d))) {
		g_autofree char *file = g_strdup_printf("%s/%s/stat", tasks, task);
		g_autofree char *stat = NULL;

		WAIT_UNTIL((g_free(stat), g_file_get_contents(file, &stat, NULL, NULL)) &&
			!strstr(stat, ") D "));
	}
	g_dir_close(d);
}
