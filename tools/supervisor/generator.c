/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-generator: systemd runs it at boot and at each daemon-reload (systemd.generator(7)). */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/log.h"
#include "base/option.h"
#include "base/start.h"
#include "base/util.h"
#include "launch/device_set.h"
#include "tools/supervisor/units.h"

static char *folder, *run, *programs, *templates;
static bool version;

static const struct option_entry entries[] = {
	{ "config-dir", "DIR", .path = &folder, .initial = VIRTIOD_SYSCONFDIR "/virtiod/devices.d",
		.help = "Read the *.conf files of this folder" },
	{ "run-dir", "DIR", .path = &run, .initial = "/run/virtiod",
		.help = "The sockets are in this folder" },
	{ "programs", "DIR", .path = &programs, .initial = VIRTIOD_BINDIR,
		.help = "The devices' programs are in this folder" },
	{ "unit-dir", "DIR", .path = &templates, .initial = VIRTIOD_UNITDIR,
		.help = "The templates of units are in this folder" },
	{ "version", .flag = &version, .help = "Print the version and exit" },
	{ NULL },
};

static const struct option_syntax syntax = {
	.summary = "Makes units of systemd of the devices that the files of a folder describe.",
	.arguments = "NORMAL-DIR [EARLY-DIR LATE-DIR]",
	.max_arguments = 3,
	.tables = { entries },
};

static bool generate(const char *to, GError **error)
{
	g_autoptr(GPtrArray) devices = device_set_read(folder, error);

	return devices && units_write(devices, to, templates, run, programs, error);
}

/*
 * Makes errors known: systemd gives its generators /dev/null as standard error, but the journal has
 * what the kernel's log has (systemd.generator(7)).
 */
static void log_to_kernel(void)
{
	autofd fd = -1;
	struct stat st;

	if (fstat(STDERR_FILENO, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return;
	fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (fd >= 0 && dup2(fd, STDERR_FILENO) == STDERR_FILENO)
		log_set_program("<3>virtiod-generator");
}

int main(int argc, char **argv)
{
	g_auto(GStrv) args = g_strdupv(argv);
	g_autoptr(GError) error = NULL;

	start_program("virtiod-generator", NULL);
	log_to_kernel();
	start_close_fds(argv, NULL);
	if (option_parse(&syntax, &args, &error)) {
		if (version)
			printf("virtiod-generator %s\n", VIRTIOD_VERSION);
		else if (!args[1])
			option_bad(&error, "a folder to write to is needed (try --help)");
		else
			generate(args[1], &error);
	}
	if (error)
		log_error(NULL, "%s", error->message);
	option_clear(entries);
	return option_exit_status(error);
}
