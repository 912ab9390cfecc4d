/* SPDX-License-Identifier: Apache-2.0 */
/* Options of virtiod-kvm, named as QEMU's or the back-ends' where these have the same. */
#include "kvm-stub/options.h"

#include "base/option.h"
#include "kvm-stub/layout.h"
#include "kvm-stub/machine/device_spec.h"

/* Indices of the words of --guest. */
enum { GUEST_SELFTEST, GUEST_NONE };

struct kvm_texts {
	char **devices;
	unsigned guest, sandbox;
};

/* Parses the arguments of --device, in order. */
static bool parse_devices(GPtrArray *devices, char **texts, GError **error)
{
	for (char **text = texts; text && *text; text++) {
		struct device_spec *spec = device_spec_parse(*text, error);

		if (!spec)
			return false;
		g_ptr_array_add(devices, spec);
	}
	return devices->len <= MAX_SLOTS ||
		option_bad(error, "too many --device options: %u (this machine has %u slots)",
			devices->len, MAX_SLOTS);
}

/* Requires what devices in spare slots need. */
static bool check_slots(struct kvm_options *o, GError **error)
{
	if (!o->n_spare)
		return true;
	if (o->devices->len + o->n_spare > MAX_SLOTS)
		return option_bad(error,
			"--slots=%u and %u --device options: this machine has %u slots", o->n_spare,
			o->devices->len, MAX_SLOTS);
	if (!o->control || !o->plug_dir)
		return option_bad(error,
			"--slots=%u needs --control=PATH, to fill them by, and --plug-dir=DIR, "
			"where the sockets are",
			o->n_spare);
	return true;
}

/* Requires either a kernel or the built-in guest. */
static bool check_guest(const struct kvm_options *o, GError **error)
{
	if (!o->kernel && !o->selftest)
		return option_bad(
			error, "one of --kernel=FILE and --guest=selftest is needed (try --help)");
	return true;
}

static bool parse(struct kvm_options *o, struct kvm_texts *texts, char ***argv, GError **error)
{
	static const char *const guests[] = { "selftest", NULL };
	const struct option_entry entries[] = {
		{ "memory", "SIZE", "the guest's RAM, in MiB without a suffix", "256M", 'm',
			.bytes = &o->memory, .shift = 20, .min = 1 },
		{ "cpus", "N", "the number of vCPUs", "1", .number = &o->cpus, .min = 1,
			.max = MAX_CPUS },
		{ "kernel", "FILE", "the kernel: bzImage or vmlinux (x86), Image (arm64)",
			.path = &o->kernel },
		{ "initrd", "FILE", "the kernel's initial RAM file system", .path = &o->initrd },
		{ "append", "TEXT", "the kernel's command line (default: console=ttyS0)",
			.string = &o->append },
		{ "guest", "selftest", "run this built-in guest instead of a kernel",
			.word = &texts->guest, .words = guests,
			.excludes = { "kernel", "initrd", "append" } },
		{ "device", "KEYS",
			"a device, by its back-end: socket=PATH,... or type=NAME,OPTION=VALUE,...",
			.paths = &texts->devices },
		{ "slots", "N", "slots for devices that are added while the guest runs", "0",
			.number = &o->n_spare, .max = MAX_SLOTS },
		{ "plug-dir", "DIR", "the folder where the sockets of these are",
			.path = &o->plug_dir },
		{ "control", "PATH", "a socket for the machine's operator (virtioctl call)",
			.path = &o->control },
		{ "discovery-dir", "DIR",
			"look for back-ends' discovery files here only; may be repeated",
			.paths = &o->folders },
		{ "no-reboot", NULL, "end when the guest restarts", .flag = &o->no_reboot },
		{ "console", "FILE", "write the serial port's output to this file",
			.path = &o->terminal_file },
		{ "sandbox", .word = &texts->sandbox, .words = sandbox_words,
			.initial = SANDBOX_DEFAULT,
			.help = "give up what the machine does not need: what this host permits, "
				"or all, or nothing" },
		OPTION_LOG_LEVEL(&o->log_level),
		{ "version", NULL, "print the version and exit", .flag = &o->version },
		{ NULL },
	};
	const struct option_syntax syntax = {
		.summary = "Boots a guest under KVM, with virtio devices that come from vhost-user "
			   "back-ends.",
		.tables = { entries },
	};

	return option_parse(&syntax, argv, error);
}

bool kvm_options_parse(struct kvm_options *o, int argc, char **argv, GError **error)
{
	g_auto(GStrv) args = g_strdupv(argv);
	struct kvm_texts texts = { .guest = GUEST_NONE };
	bool ok;

	*o = (struct kvm_options){
		.devices = g_ptr_array_new_with_free_func((GDestroyNotify)device_spec_free),
	};
	ok = parse(o, &texts, &args, error);
	o->sandbox = texts.sandbox;
	o->selftest = texts.guest == GUEST_SELFTEST;
	if (ok && !o->version)
		ok = check_guest(o, error) && parse_devices(o->devices, texts.devices, error) &&
			check_slots(o, error);
	g_strfreev(texts.devices);
	return ok;
}

void kvm_options_clear(struct kvm_options *o)
{
	g_clear_pointer(&o->kernel, g_free);
	g_clear_pointer(&o->initrd, g_free);
	g_clear_pointer(&o->append, g_free);
	g_clear_pointer(&o->devices, g_ptr_array_unref);
	g_clear_pointer(&o->folders, g_strfreev);
	g_clear_pointer(&o->control, g_free);
	g_clear_pointer(&o->plug_dir, g_free);
	g_clear_pointer(&o->terminal_file, g_free);
}
