/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the supervisor, handles signals, ends it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/service.h"
#include "base/util.h"
#include "xen/supervisor/supervisor_impl.h"

#define CAPABILITIES "/proc/xen/capabilities"

static bool is_no_dom0(void)
{
	g_autofree char *text = NULL;

	return g_file_get_contents(CAPABILITIES, &text, NULL, NULL) && !strstr(text, "control_d");
}

bool supervisor_check(GError **error)
{
	static const char *const devices[] = { "/dev/xen/privcmd", "/dev/xen/evtchn",
		"/dev/xen/gntdev" };

	if (geteuid() != 0) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_PERM,
			"must be run by root, in Xen's dom0");
		return false;
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(devices); i++) {
		if (access(devices[i], R_OK | W_OK) == 0)
			continue;
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
			"%s: %s: this is no dom0 of Xen, or modules are missing (xen-privcmd, "
			"xen-evtchn, xen-gntdev)",
			devices[i], g_strerror(errno));
		return false;
	}
	if (is_no_dom0()) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_PERM,
			CAPABILITIES ": no control_d: this domain of Xen is not its dom0");
		return false;
	}
	return true;
}

/* Raises the limit of open files: the supervisor owns all guests' eventfds. */
static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static bool make_folder(const char *path, GError **error)
{
	if (g_mkdir_with_parents(path, 0755) == 0)
		return true;
	error_errno(error, errno, "%s", path);
	return false;
}

/* Creates the workers' root, which only this user may be able to write to or replace. */
static bool make_root(const char *path, GError **error)
{
	struct stat st;

	if (!make_folder(path, error))
		return false;
	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
		!(st.st_mode & (S_IWGRP | S_IWOTH)))
		return true;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_PERM,
		"%s: must be a folder that this user owns and no other can write to", path);
	return false;
}

/* Takes the lock: a second instance would serve the same nodes. */
static int lock(const char *run, GError **error)
{
	g_autofree char *path = g_strdup_printf("%s/xen.lock", run);
	autofd fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd_steal(&fd);
	if (errno == EWOULDBLOCK)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_EXIST,
			"%s: another virtiod-xen is running", path);
	else
		error_errno(error, errno, "%s", path);
	return -1;
}

bool supervisor_init(struct supervisor *s, const struct supervisor_options *o, GError **error)
{
	*s = (struct supervisor){
		.options = o,
		.root = g_strdup_printf("%s/empty", o->run),
		.domains = g_hash_table_new(NULL, NULL),
		.devices = g_hash_table_new(g_str_hash, g_str_equal),
		.loop = g_main_loop_new(NULL, FALSE),
	};
	raise_limits();
	return make_root(s->root, error);
}

void supervisor_clear(struct supervisor *s)
{
	g_autoptr(GList) domains = g_hash_table_get_values(s->domains);
	g_autoptr(GList) devices = g_hash_table_get_values(s->devices);

	for (const GList *l = domains; l; l = l->next)
		domain_free(l->data);
	for (const GList *l = devices; l; l = l->next)
		guest_device_free(l->data);
	g_hash_table_unref(s->domains);
	g_hash_table_unref(s->devices);
	backend_rules_free(s->rules);
	xenstore_free(s->store);
	g_main_loop_unref(s->loop);
	g_free(s->root);
}

void supervisor_end(struct supervisor *s)
{
	GHashTableIter iter;
	gpointer domain;

	/* Asked a second time: end immediately. */
	if (s->ending || g_hash_table_size(s->domains) == 0)
		g_main_loop_quit(s->loop);
	s->ending = true;
	g_hash_table_iter_init(&iter, s->domains);
	while (g_hash_table_iter_next(&iter, NULL, &domain))
		log_warning(xen_guest_who(((struct domain *)domain)->guest),
			"loses its devices: virtiod-xen ends");
	guest_device_leave_all(s, NULL);
}

static void on_end(void *opaque)
{
	supervisor_end(opaque);
}

static void on_counters(void *opaque)
{
	struct supervisor *s = opaque;
	GHashTableIter iter;
	gpointer domain;

	g_hash_table_iter_init(&iter, s->domains);
	while (g_hash_table_iter_next(&iter, NULL, &domain))
		xen_guest_log_counters(((struct domain *)domain)->guest);
}

/* Lets a signal end the program: freeing a guest waits for its worker to die. */
static void let_signals_end(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

void supervisor_loop(struct supervisor *s)
{
	struct loop_watch *watches[] = {
		loop_watch_signal(SIGTERM, on_end, s),
		loop_watch_signal(SIGINT, on_end, s),
		/* The terminal closes: assignments in the kernel must be undone then, too. */
		loop_watch_signal(SIGHUP, on_end, s),
		loop_watch_signal(SIGUSR1, on_counters, s),
	};

	if (!s->ending)
		g_main_loop_run(s->loop);
	for (unsigned i = 0; i < G_N_ELEMENTS(watches); i++)
		loop_watch_free(watches[i]);
	let_signals_end();
}

static bool run(struct supervisor *s, GError **error)
{
	const struct supervisor_options *o = s->options;

	s->rules = backend_rules_read(o->config, o->defaults, o->run, o->uid_base, error);
	if (!s->rules)
		return false;
	s->store = xenstore_open(nodes_changed, s, error);
	if (!s->store || !nodes_watch(s, error))
		return false;
	service_ready();
	log_info(NULL, "waiting for guests");
	supervisor_loop(s);
	return true;
}

bool supervisor_run(const struct supervisor_options *o, GError **error)
{
	struct supervisor s;
	autofd locked = -1;
	bool ok;

	if (!make_folder(o->run, error))
		return false;
	locked = lock(o->run, error);
	if (locked < 0)
		return false;
	ok = supervisor_init(&s, o, error) && run(&s, error);
	supervisor_clear(&s);
	return ok;
}
