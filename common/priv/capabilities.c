/* SPDX-License-Identifier: Apache-2.0 */
/* See capabilities.h. */
#include "priv/capabilities.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

static struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

void capabilities_unbind(void)
{
	/* Up to the last one that this kernel knows. */
	for (int i = 0; prctl(PR_CAPBSET_DROP, i, 0, 0, 0) == 0;)
		i++;
}

/* Reads those of the calling thread. */
static bool get(struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3])
{
	return syscall(SYS_capget, &header, data) == 0;
}

static bool set(const struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3])
{
	/* Fails where the kernel has none (Linux before 4.3). */
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &header, data) == 0;
}

bool capabilities_drop(GError **error)
{
	static const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];

	if (set(none) && !capabilities_left())
		return true;
	return error_errno(error, errno, "cannot give up capabilities");
}

bool capabilities_keep(unsigned cap, GError **error)
{
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	if (!get(data))
		return error_errno(error, errno, "cannot read capabilities");
	for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		data[i].permitted &= i == cap / 32 ? 1u << cap % 32 : 0;
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return set(data) || error_errno(error, errno, "cannot give up capabilities");
}

bool capabilities_left(void)
{
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	if (!get(data))
		return true;
	for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		if (data[i].effective || data[i].permitted)
			return true;
	return false;
}
