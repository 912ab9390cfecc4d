/* SPDX-License-Identifier: Apache-2.0 */
/* See past.h. */
#include "tools/supervisor/past.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "launch/device_set.h"

#define END_MS 2000
#define LOOK_MS 10
#define MAX_BYTES (1u << 20)

void past_state_clear(struct past_state *p)
{
	g_clear_pointer(&p->units, g_array_unref);
}

char *past_fingerprint(const struct device_entry *e)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	g_autofree char *socket =
		g_strdup_printf("%o %u", (unsigned)e->socket_mode, (unsigned)e->socket_group);

	g_checksum_update(sum, (const guchar *)e->type, strlen(e->type) + 1);
	g_checksum_update(sum, (const guchar *)socket, strlen(socket) + 1);
	for (char **o = e->options; *o; o++)
		g_checksum_update(sum, (const guchar *)*o, strlen(*o) + 1);
	return g_strdup(g_checksum_get_string(sum));
}

uint64_t past_birth(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid), *text = NULL;
	const char *behind_name;
	uint64_t birth = 0;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	behind_name = strrchr(text, ')');
	/* The 22nd field. A zombie has ended, and is somebody else's to wait for. */
	if (!behind_name || behind_name[1] != ' ' || behind_name[2] == 'Z' ||
		sscanf(behind_name + 2,
			"%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
			"%*d %" SCNu64,
			&birth) != 1)
		return 0;
	return birth;
}

char *past_text(const struct past_state *p)
{
	GString *text = g_string_new(NULL);

	g_string_append_printf(text, "control %d\n", p->control);
	for (unsigned i = 0; i < p->units->len; i++) {
		const struct unit_past *u = &g_array_index(p->units, struct unit_past, i);

		g_string_append_printf(text, "unit %s %s %s %d %d %d %d %" PRIu64 " %d %u %u\n",
			u->name, u->type, u->fingerprint, u->listener, u->output, u->notify,
			(int)u->pid, u->birth, u->ready, u->delay_ms, u->n_restarts);
	}
	return g_string_free(text, FALSE);
}

static bool parse_unit(GArray *units, const char *line)
{
	struct unit_past u = { 0 };
	int ready = 0;

	if (sscanf(line, "unit %81s %32s %64s %d %d %d %d %" SCNu64 " %d %u %u", u.name, u.type,
		    u.fingerprint, &u.listener, &u.output, &u.notify, &u.pid, &u.birth, &ready,
		    &u.delay_ms, &u.n_restarts) != 11 ||
		device_name_fault(u.name) || u.pid < 0 || units->len == 2 * DEVICE_SET_MAX)
		return false;
	u.ready = ready;
	g_array_append_val(units, u);
	return true;
}

bool past_parse(struct past_state *p, const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	*p = (struct past_state){ .units = g_array_new(FALSE, FALSE, sizeof(struct unit_past)) };
	if (!lines[0] || sscanf(lines[0], "control %d", &p->control) != 1)
		return false;
	for (char **line = lines + 1; *line && **line; line++) {
		if (!parse_unit(p->units, *line))
			return false;
	}
	return true;
}

static char *state_path(const char *run)
{
	return g_build_filename(run, ".state", NULL);
}

void past_save(const struct past_state *p, const char *run)
{
	g_autofree char *path = state_path(run), *text = past_text(p);
	g_autofree char *new = g_strconcat(path, ".new", NULL);
	autofd fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	size_t len = strlen(text);

	/* It is of no use after a crash of the host: nothing waits for a disk. */
	if (fd < 0 || write(fd, text, len) != (ssize_t)len || rename(new, path) < 0)
		log_warning(NULL, "cannot write '%s': %s", path, g_strerror(errno));
}

void past_remove(const char *run)
{
	g_autofree char *path = state_path(run);

	unlink(path);
}

/* Signals those that still run. Returns how many they are. */
static unsigned signal_all(const struct past_state *p, int signum)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->units->len; i++) {
		const struct unit_past *u = &g_array_index(p->units, struct unit_past, i);

		if (!u->pid || !u->birth || past_birth(u->pid) != u->birth)
			continue;
		if (signum)
			kill(u->pid, signum);
		n++;
	}
	return n;
}

/* Returns whether all have ended within END_MS. */
static bool wait_for_all(const struct past_state *p)
{
	int64_t end = g_get_monotonic_time() + END_MS * G_TIME_SPAN_MILLISECOND;

	while (signal_all(p, 0)) {
		if (g_get_monotonic_time() > end)
			return false;
		poll(NULL, 0, LOOK_MS);
	}
	return true;
}

/* Reads a file that only we can have written; NULL: there is none. */
static char *read_own(const char *path)
{
	autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	g_autofree char *text = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
		st.st_size > MAX_BYTES)
		return NULL;
	text = g_malloc0(st.st_size + 1);
	return read(fd, text, st.st_size) == st.st_size ? g_steal_pointer(&text) : NULL;
}

void past_end_processes(const char *run)
{
	g_autofree char *path = state_path(run), *text = read_own(path);
	g_auto(past_state) p = { 0 };
	unsigned n;

	if (!text)
		return;
	if (!past_parse(&p, text)) {
		log_warning(NULL, "'%s' cannot be read: no process of before is ended", path);
		return;
	}
	n = signal_all(&p, SIGTERM);
	if (n)
		log_warning(NULL, "virtiod was killed: ending %u processes that it left", n);
	if (!wait_for_all(&p)) {
		signal_all(&p, SIGKILL);
		wait_for_all(&p);
	}
}

/* Calls f for each fd that there is. */
static void for_each_fd(const struct past_state *p, void (*f)(int fd, void *opaque), void *opaque)
{
	if (p->control >= 0)
		f(p->control, opaque);
	for (unsigned i = 0; i < p->units->len; i++) {
		const struct unit_past *u = &g_array_index(p->units, struct unit_past, i);
		const int fds[] = { u->listener, u->output, u->notify };

		for (unsigned k = 0; k < G_N_ELEMENTS(fds); k++) {
			if (fds[k] >= 0)
				f(fds[k], opaque);
		}
	}
}

static void set_inherited(int fd, void *opaque)
{
	fcntl(fd, F_SETFD, *(const bool *)opaque ? 0 : FD_CLOEXEC);
}

void past_set_inherited(const struct past_state *p, bool inherited)
{
	for_each_fd(p, set_inherited, &inherited);
}

int past_hand_over(const struct past_state *p, GError **error)
{
	g_autofree char *text = past_text(p);
	size_t len = strlen(text);
	autofd fd = memfd_create("virtiod", 0);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) < 0) {
		error_errno(error, errno, "cannot hand over");
		return -1;
	}
	past_set_inherited(p, true);
	return fd_steal(&fd);
}

static void add_fd(int fd, void *opaque)
{
	g_array_append_val((GArray *)opaque, fd);
}

int *past_fds(const struct past_state *p)
{
	GArray *fds = g_array_new(FALSE, FALSE, sizeof(int));

	for_each_fd(p, add_fd, fds);
	add_fd(-1, fds);
	return (int *)(void *)g_array_free(fds, FALSE);
}

bool past_take_over(struct past_state *p, int from, GError **error)
{
	autofd fd = from;
	g_autofree char *text = NULL;
	struct stat st;

	*p = (struct past_state){ .control = -1 };
	if (fstat(fd, &st) < 0 || st.st_size > MAX_BYTES)
		return error_set(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"invalid --adopt=%d: not what virtiod hands over", from);
	text = g_malloc0(st.st_size + 1);
	if (read(fd, text, st.st_size) != st.st_size || !past_parse(p, text))
		return error_set(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"invalid --adopt=%d: not what virtiod hands over", from);
	past_set_inherited(p, false);
	return true;
}
