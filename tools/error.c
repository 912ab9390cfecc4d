/* SPDX-License-Identifier: Apache-2.0 */
/* The tool's own errors. */
#include "virtioctl.h"

G_DEFINE_QUARK(virtioctl_error, ctl_error)
