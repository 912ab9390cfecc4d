/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket of virtiod, RUN/.control: JSON-RPC 2.0, as that of the daemons. */
#pragma once

#include "tools/supervisor/virtiod.h"

#define SUPERVISOR_CONTROL ".control" /* in the folder of --run-dir */

/* fd listens, and is the control's from now on, until control_server_stop(&v->control). */
void supervisor_control_start(struct virtiod *v, int fd);
