/* SPDX-License-Identifier: Apache-2.0 */
/* Errors for the user, and their exit statuses. */
#include "base/log.h"
#include "tools/block/cancel.h"
#include "vhost-user/front/vu_front.h"
#include "virtioctl.h"

int ctl_report(const GError *error)
{
	log_print("virtioctl: %s\n", error->message);
	if (error->domain == VU_FRONT_ERROR && error->code == VU_FRONT_ERROR_BUSY)
		return CTL_BUSY;
	if (error->domain == CTL_ERROR && error->code == CTL_ERROR_CANCELLED)
		return CTL_SIGNALLED + cancel_signal();
	if (error->domain == G_OPTION_ERROR ||
		(error->domain == CTL_ERROR && error->code == CTL_ERROR_USAGE)) {
		log_print("Try 'virtioctl --help'\n");
		return CTL_USAGE;
	}
	return CTL_FAILED;
}
