/* SPDX-License-Identifier: Apache-2.0 */
/* Options of virtiod-kvm, named as QEMU's or the back-ends' where these have the same. */
#include "kvm-stub/options.h"

#include <string.h>

#include "base/option.h"
#include "kvm-stub/layout.h"
#include "kvm-stub/machine/spec.h"

#define DEFAULT_MEMORY (UINT64_C(256) << 20)

struct raw {
	char *memory, *guest, *log_level;
	char **devices;
	int cpus;
};

/* As QEMU's -m: MiB, unless a suffix says otherwise. */
static bool parse_memory(const char *text, uint64_t *bytes, GError **error)
{
	static const struct {
		const char *suffix;
		unsigned shift;
	} units[] = { { "", 20 }, { "K", 10 }, { "M", 20 }, { "G", 30 }, { "T", 40 } };
	size_t digits = strspn(text, "0123456789");
	g_autofree char *number = g_strndup(text, digits);
	guint64 n;

	for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
		if (g_ascii_strcasecmp(text + digits, units[i].suffix) == 0 &&
			g_ascii_string_to_unsigned(
				number, 10, 1, UINT64_MAX >> units[i].shift, &n, NULL)) {
			*bytes = n << units[i].shift;
			return true;
		}
	}
	return option_bad(error, "--memory=%s: not a size such as 256M or 4G", text);
}

static bool parse_devices(GPtrArray *devices, char **texts, GError **error)
{
	for (char **text = texts; text && *text; text++) {
		struct dev_spec *spec = dev_spec_parse(*text, error);

		if (!spec)
			return false;
		g_ptr_array_add(devices, spec);
	}
	return devices->len <= MAX_SLOTS ||
		option_bad(error, "%u times --device: this machine has %u slots", devices->len,
			MAX_SLOTS);
}

/* What is to run: a kernel, or the built-in guest. */
static bool parse_guest(struct options *o, const char *guest, GError **error)
{
	o->selftest = g_strcmp0(guest, "selftest") == 0;
	if (guest && !o->selftest)
		return option_bad(
			error, "--guest=%s: there is no such built-in guest, only selftest", guest);
	if (!o->kernel && !o->selftest)
		return option_bad(
			error, "one of --kernel=FILE and --guest=selftest is needed (try --help)");
	if (o->kernel && o->selftest)
		return option_bad(error, "--kernel and --guest exclude each other");
	if (o->selftest && (o->initrd || o->append))
		return option_bad(error, "--initrd and --append are for a kernel, not for --guest");
	return true;
}

static bool parse_raw(struct options *o, const struct raw *raw, GError **error)
{
	if (raw->memory && !parse_memory(raw->memory, &o->memory, error))
		return false;
	if (raw->cpus < 1 || (unsigned)raw->cpus > MAX_CPUS)
		return option_bad(
			error, "--cpus=%d: not a number from 1 to %u", raw->cpus, MAX_CPUS);
	o->cpus = raw->cpus;
	if (!option_log_level(raw->log_level, &o->log_level, error))
		return false;
	return parse_guest(o, raw->guest, error) && parse_devices(o->devices, raw->devices, error);
}

static bool parse_context(struct options *o, struct raw *raw, char ***argv, GError **error)
{
	const GOptionEntry entries[] = {
		{ "memory", 'm', 0, G_OPTION_ARG_STRING, &raw->memory,
			"The guest's RAM (default: 256M)", "SIZE" },
		{ "cpus", 0, 0, G_OPTION_ARG_INT, &raw->cpus, "Number of vCPUs (default: 1)", "N" },
		{ "kernel", 0, 0, G_OPTION_ARG_FILENAME, &o->kernel,
			"Kernel: bzImage or vmlinux (x86), Image (arm64)", "FILE" },
		{ "initrd", 0, 0, G_OPTION_ARG_FILENAME, &o->initrd, "Initial RAM file system",
			"FILE" },
		{ "append", 0, 0, G_OPTION_ARG_STRING, &o->append,
			"The kernel's command line (default: console=ttyS0)", "TEXT" },
		{ "guest", 0, 0, G_OPTION_ARG_STRING, &raw->guest,
			"Run this built-in guest instead of a kernel", "selftest" },
		{ "device", 0, 0, G_OPTION_ARG_STRING_ARRAY, &raw->devices,
			"A device, by its back-end: socket=PATH,... or type=NAME,OPTION=VALUE,...",
			"SPEC" },
		{ "discovery-dir", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o->folders,
			"Look for back-ends' discovery files here only; may be repeated", "DIR" },
		{ "console", 0, 0, G_OPTION_ARG_FILENAME, &o->terminal_file,
			"Write the serial port's output to this file", "FILE" },
		{ "log-level", 0, 0, G_OPTION_ARG_STRING, &raw->log_level,
			"error, warning, info or debug (default: info)", "LEVEL" },
		{ "version", 0, 0, G_OPTION_ARG_NONE, &o->version, "Print the version and exit",
			NULL },
		{ NULL },
	};
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);

	g_option_context_set_summary(context,
		"Boots a guest under KVM, with virtio devices that come from vhost-user "
		"back-ends.");
	g_option_context_add_main_entries(context, entries, NULL);
	return g_option_context_parse_strv(context, argv, error);
}

bool options_parse(struct options *o, int argc, char **argv, GError **error)
{
	g_auto(GStrv) args = g_strdupv(argv);
	struct raw raw = { .cpus = 1 };
	bool ok;

	*o = (struct options){
		.memory = DEFAULT_MEMORY,
		.devices = g_ptr_array_new_with_free_func((GDestroyNotify)dev_spec_free),
		.log_level = LOG_LEVEL_INFO,
	};
	ok = parse_context(o, &raw, &args, error);
	if (ok && args[0] && args[1])
		ok = option_bad(error, "what is '%s'? (try --help)", args[1]);
	ok = ok && (o->version || parse_raw(o, &raw, error));
	g_free(raw.memory);
	g_free(raw.guest);
	g_free(raw.log_level);
	g_strfreev(raw.devices);
	return ok;
}

void options_clear(struct options *o)
{
	g_clear_pointer(&o->kernel, g_free);
	g_clear_pointer(&o->initrd, g_free);
	g_clear_pointer(&o->append, g_free);
	g_clear_pointer(&o->devices, g_ptr_array_unref);
	g_clear_pointer(&o->folders, g_strfreev);
	g_clear_pointer(&o->terminal_file, g_free);
}
