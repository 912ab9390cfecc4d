/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of virtiod-kvm. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

typedef struct kvm_options kvm_options; /* for g_auto */
struct kvm_options {
	uint64_t memory; /* bytes */
	unsigned cpus;
	char *kernel, *initrd, *append;
	bool selftest; /* no kernel, the built-in guest */
	GPtrArray *devices; /* of struct dev_spec *, owned */
	char **folders; /* of discovery files; NULL: the conventional ones */
	char *terminal_file; /* NULL: standard input and output */
	enum log_level log_level;
	bool version;
};

/* False, with an error that names the option and its value. --help does not return. */
bool kvm_options_parse(struct kvm_options *o, int argc, char **argv, GError **error);
/* Also after kvm_options_parse() has failed. */
void kvm_options_clear(struct kvm_options *o);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(kvm_options, kvm_options_clear)
