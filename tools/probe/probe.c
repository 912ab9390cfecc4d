/* SPDX-License-Identifier: Apache-2.0 */
/* virtioctl probe: connects, asks, shows. */
#include <stdio.h>

#include "tools/connect.h"
#include "tools/probe/properties.h"
#include "tools/virtioctl.h"

static bool gather(const char *path, struct vu_front *front, struct properties *f, GError **error)
{
	f->socket = path;
	f->vu = vu_front_properties(front);
	if (f->vu->probe.config_size == 0)
		return true;
	if (f->vu->probe.config_size > sizeof(f->config)) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"a configuration space of %u bytes is too large", f->vu->probe.config_size);
		return false;
	}
	return vu_front_get_config(front, 0, f->config, f->vu->probe.config_size, error);
}

int probe_run(int argc, char **argv)
{
	struct connect_options options = CONNECT_OPTIONS_INIT;
	bool json = false;
	const struct option_entry entries[] = {
		{ "json", .flag = &json, .help = "Print JSON" },
		{ NULL },
	};
	const struct option_syntax syntax = {
		.summary = "Shows what a back-end says about its device, and by which message.",
		.arguments = "SOCKET",
		.min_arguments = 1,
		.max_arguments = 1,
		.tables = { entries },
	};
	g_auto(GStrv) args = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(vu_front) front = NULL;
	g_autoptr(GString) out = NULL;
	struct properties properties;
	int status = CTL_OK;

	args = connect_parse(argv, syntax, &options, &error);
	if (!args)
		return ctl_report(error);
	front = connect_socket(args[1], &options, &status);
	if (!front)
		return status;
	if (!gather(args[1], front, &properties, &error))
		return ctl_report(error);
	out = json ? properties_json(&properties) : properties_text(&properties);
	fputs(out->str, stdout);
	return CTL_OK;
}
