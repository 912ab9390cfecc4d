/* SPDX-License-Identifier: Apache-2.0 */
/* See connect.h. */
#include "connect.h"

#include <stdio.h>
#include <string.h>

#include "tools/names.h"
#include "virtioctl.h"

void connect_options_clear(struct connect_options *o)
{
	g_clear_pointer(&o->probe, g_free);
	g_clear_pointer(&o->type, g_free);
}

static void add_connect_entries(GOptionContext *context, struct connect_options *o)
{
	const GOptionEntry entries[] = {
		{ "probe", 0, 0, G_OPTION_ARG_STRING, &o->probe,
			"Ask by PROBE: auto (if offered with STATUS), force, off", "HOW" },
		{ "type", 0, 0, G_OPTION_ARG_STRING, &o->type,
			"Device type, for a back-end without PROBE (block, 2, ...)", "TYPE" },
		{ "config-size", 0, 0, G_OPTION_ARG_INT, &o->config_size,
			"Size of its configuration space", "BYTES" },
		{ NULL },
	};
	const GOptionEntry queues[] = {
		{ "queues", 0, 0, G_OPTION_ARG_INT, &o->queues, "Its number of virtqueues", "N" },
		{ NULL },
	};

	g_option_context_add_main_entries(context, entries, NULL);
	if (!o->own_queues)
		g_option_context_add_main_entries(context, queues, NULL);
}

bool connect_parse(int *argc, char ***argv, const GOptionEntry *entries, struct connect_options *o,
	const char *arguments, const char *summary, int min, int max, GError **error)
{
	g_autoptr(GOptionContext) context = g_option_context_new(arguments);

	g_option_context_set_summary(context, summary);
	g_option_context_add_main_entries(context, entries, NULL);
	add_connect_entries(context, o);
	if (!g_option_context_parse(context, argc, argv, error))
		return false;
	/* GOption leaves a "--" in place. */
	if (*argc > 1 && !strcmp((*argv)[1], "--")) {
		(*argv)++;
		(*argc)--;
	}
	if (*argc - 1 < min || *argc - 1 > max) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_USAGE, "the usage is: %s %s",
			g_get_prgname(), arguments);
		return false;
	}
	return true;
}

static bool parse_probe_mode(const char *text, enum vu_probe_mode *mode, GError **error)
{
	static const struct {
		const char *name;
		enum vu_probe_mode mode;
	} modes[] = {
		{ "auto", VU_PROBE_AUTO },
		{ "force", VU_PROBE_FORCE },
		{ "off", VU_PROBE_OFF },
	};

	*mode = VU_PROBE_AUTO;
	if (!text)
		return true;
	for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
		if (!strcmp(text, modes[i].name)) {
			*mode = modes[i].mode;
			return true;
		}
	}
	g_set_error(error, CTL_ERROR, CTL_ERROR_USAGE, "--probe: '%s' is none of auto, force, off",
		text);
	return false;
}

static bool front_options(
	const struct connect_options *o, struct vu_front_options *front, GError **error)
{
	*front =
		(struct vu_front_options){ .config_size = o->config_size, .inflight = o->inflight };
	if (!parse_probe_mode(o->probe, &front->probe, error))
		return false;
	if (o->type && !names_parse_device(o->type, "--type", &front->device_id, error))
		return false;
	if (o->config_size < -1 || o->config_size > VIRTIO_MAX_CONFIG) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_USAGE,
			"--config-size: %d is not between 0 and %d", o->config_size,
			VIRTIO_MAX_CONFIG);
		return false;
	}
	if (o->queues < 0 || o->queues > VIRTIO_MAX_QUEUES) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_USAGE,
			"--queues: %d is not between 1 and %d", o->queues, VIRTIO_MAX_QUEUES);
		return false;
	}
	front->queues = (uint32_t)o->queues;
	return true;
}

struct vu_front *connect_socket(const char *path, const struct connect_options *o, int *status)
{
	g_autoptr(GError) error = NULL;
	struct vu_front_options options;
	struct vu_front *f = NULL;

	if (front_options(o, &options, &error))
		f = vu_front_connect(path, &options, &error);
	if (f)
		return f;
	*status = ctl_report(error);
	if (error->domain == G_FILE_ERROR) /* the connect() itself */
		*status = CTL_ABSENT;
	return NULL;
}
