/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod: options, the files, what another virtiod left, and then the loop. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/log.h"
#include "base/option.h"
#include "base/service.h"
#include "base/sock.h"
#include "base/start.h"
#include "base/util.h"
#include "launch/device_set.h"
#include "tools/supervisor/check.h"
#include "tools/supervisor/control.h"
#include "tools/supervisor/virtiod.h"

/* Where the table puts values. */
static struct {
	char *folder, *run, *programs;
	bool check, version;
	enum log_level log_level;
	int adopt;
} options = { .adopt = -1 };
static struct metrics_process metrics;

static bool parse_metrics(const char *text, GError **error)
{
	g_free(metrics.text);
	metrics.text = g_strdup(text);
	return tcp_address_parse(text, &metrics.address, error);
}

static const struct option_entry entries[] = {
	{ "config-dir", "DIR", .path = &options.folder,
		.initial = VIRTIOD_SYSCONFDIR "/virtiod/devices.d",
		.help = "Read the *.conf files of this folder" },
	{ "run-dir", "DIR", .path = &options.run, .initial = "/run/virtiod",
		.help = "Make the sockets in this folder: DIR/GUEST/DEVICE.sock" },
	{ "programs", "DIR", .path = &options.programs, .initial = VIRTIOD_BINDIR,
		.help = "Find the devices' programs, virtiod-TYPE, in this folder" },
	{ "metrics", "ADDRESS:PORT", .parse = parse_metrics,
		.help = "Serve what the devices count at this address of this host, by HTTP: "
			"127.0.0.1:9464, [::1]:9464" },
	{ "check-config", .flag = &options.check,
		.help = "Tell whether the files are right, and exit" },
	OPTION_LOG_LEVEL(&options.log_level),
	{ "version", .flag = &options.version, .help = "Print the version and exit" },
	{ "adopt", .fd = &options.adopt, .hidden = true, .help = "Used by virtiod itself" },
	{ NULL },
};

static const struct option_syntax syntax = {
	.summary = "Runs the devices that the files of a folder describe, and keeps them running.",
	.tables = { entries },
};

static bool check_config(const GPtrArray *devices, GError **error)
{
	unsigned n = check_entries(devices, options.programs);

	if (n)
		return error_set(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
			"%u of %u devices cannot be started", n, devices->len);
	printf("%u devices\n", devices->len);
	return true;
}

/* Makes the folder of sockets, in which nobody else may put anything. */
static bool make_run(const char *run, GError **error)
{
	struct stat st;

	if (g_mkdir_with_parents(run, 0755) < 0 || stat(run, &st) < 0)
		return error_errno(error, errno, "cannot make '%s'", run);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & S_IWOTH)
		return error_set(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
			"cannot use '%s': it is not a folder of ours that no other user may write",
			run);
	return true;
}

/* Returns the control socket, with which no other virtiod can use this folder; -1: an error. */
static int listen_for_control(const char *run, GError **error)
{
	g_autofree char *path = g_build_filename(run, SUPERVISOR_CONTROL, NULL);

	return sock_listen(path, 0600, (gid_t)-1, error);
}

/* Takes as many files as may be open: each device has four. Programs have limits of their own. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* Makes the socket of --metrics. A virtiod that takes devices over goes on without. */
static bool listen_for_metrics(bool takes_over, GError **error)
{
	g_autoptr(GError) why = NULL;

	if (metrics_process_listen(&metrics, options.programs, &why))
		return true;
	if (!takes_over) {
		g_propagate_error(error, g_steal_pointer(&why));
		return false;
	}
	log_error(NULL, "%s", why->message);
	return true;
}

static bool run(
	struct virtiod *v, GPtrArray *devices, const struct past_state *past, GError **error)
{
	g_autofree char *control_path = g_build_filename(options.run, SUPERVISOR_CONTROL, NULL);
	int control = past ? past->control : -1;

	bool ok;

	if (!past) {
		if (!make_run(options.run, error))
			return false;
		control = listen_for_control(options.run, error);
		if (control < 0)
			return false;
	}
	ok = listen_for_metrics(past, error);
	if (ok) {
		if (!past)
			past_end_processes(options.run);
		raise_limit();
		virtiod_run(v, g_ptr_array_ref(devices), control, past);
	}
	unlink(control_path);
	return ok;
}

/* Does all that needs the files. */
static bool start(char **argv, GError **error)
{
	g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
	g_autoptr(GPtrArray) devices = NULL;
	g_auto(past_state) past = { 0 };
	g_autofree int *keep = NULL;
	struct virtiod v = { .folder = options.folder,
		.argv = argv,
		.self = self,
		.metrics = &metrics,
		.place = { .run = options.run, .programs = options.programs } };

	service_listen_fds(); /* it takes none */
	if (options.adopt >= 0) {
		if (!past_take_over(&past, options.adopt, error))
			return false;
		keep = past_fds(&past);
	}
	start_close_fds(argv, keep);
	log_set_level(options.log_level);
	devices = device_set_read(options.folder, error);
	if (!devices)
		return false;
	if (options.check)
		return check_config(devices, error);
	return run(&v, devices, options.adopt >= 0 ? &past : NULL, error);
}

int main(int argc, char **argv)
{
	g_auto(GStrv) args = g_strdupv(argv);
	g_autoptr(GError) error = NULL;
	bool ok;

	start_program("virtiod", (const int[]){ SIGHUP, SIGTERM, SIGUSR2, 0 });
	signal(SIGPIPE, SIG_IGN);
	ok = option_parse(&syntax, &args, &error);
	if (ok && options.version)
		printf("virtiod %s\n", VIRTIOD_VERSION);
	else if (ok)
		ok = start(argv, &error);
	if (!ok)
		log_error(NULL, "%s", error->message);
	option_clear(entries);
	return option_exit_status(error);
}
