/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of virtiod-kvm. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "priv/sandbox.h"

typedef struct kvm_options kvm_options; /* for g_auto */
struct kvm_options {
	uint64_t memory; /* bytes */
	unsigned cpus;
	char *kernel, *initrd, *append;
	bool selftest; /* the built-in guest instead of a kernel */
	GPtrArray *devices; /* of struct device_spec *, owned */
	char **folders; /* of discovery files; NULL: the conventional ones */
	bool no_reboot; /* end when the guest restarts */
	unsigned n_spare; /* slots for devices that are added later */
	char *control; /* path of the control socket; NULL: none */
	char *plug_dir; /* folder of those devices' sockets; NULL: none */
	char *terminal_file; /* NULL: standard input and output */
	enum sandbox_mode sandbox;
	enum log_level log_level;
	bool version;
};

/* Returns false, with an error that names option and value. --help prints and exits. */
bool kvm_options_parse(struct kvm_options *o, int argc, char **argv, GError **error);
/* Frees what kvm_options_parse() allocated, whether or not it succeeded. */
void kvm_options_clear(struct kvm_options *o);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(kvm_options, kvm_options_clear)
