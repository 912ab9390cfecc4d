/* SPDX-License-Identifier: Apache-2.0 */
/* The machine: RAM, vCPUs, serial port, power button, device slots; from power-on to the end. */
#pragma once

#include <glib.h>

#include "base/option.h"
#include "kvm-stub/options.h"

/* Exit statuses of the program; the man page lists them. */
enum exit_status {
	EXIT_STATUS_OK = 0, /* the guest powered off, or the user ended the machine */
	EXIT_STATUS_FAILED = 1,
	EXIT_STATUS_BAD_OPTIONS = EXIT_USAGE,
	EXIT_STATUS_NO_KVM = 3,
	EXIT_STATUS_NO_BACK_END = 4,
	EXIT_STATUS_CRASHED = 5,
	EXIT_STATUS_GUEST_FAILED = 6, /* the built-in guest found a fault */
};

/* Runs until the guest ends or SIGTERM, SIGINT or SIGHUP arrives. Sets error for 1 to 4 only. */
enum exit_status machine_run(const struct kvm_options *o, GError **error);
