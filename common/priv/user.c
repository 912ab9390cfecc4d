/* SPDX-License-Identifier: Apache-2.0 */
/* Becoming another user: see user.h. */
#include "priv/user.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <unistd.h>

#include "priv/capabilities.h"

static bool is_only(uid_t wanted_uid, gid_t wanted_gid)
{
	uid_t uid[3];
	gid_t gid[3];

	if (getresuid(&uid[0], &uid[1], &uid[2]) < 0 || getresgid(&gid[0], &gid[1], &gid[2]) < 0)
		return false;
	for (unsigned i = 0; i < 3; i++)
		if (uid[i] != wanted_uid || gid[i] != wanted_gid)
			return false;
	return getgroups(0, NULL) == 0;
}

const char *user_become(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) < 0)
		return "cannot leave the other groups";
	if (setresgid(gid, gid, gid) < 0)
		return "cannot change the group";
	if (setresuid(uid, uid, uid) < 0)
		return "cannot change the user";
	/* Those of a user who is not root outlive the change. */
	if (capabilities_drop(NULL) && is_only(uid, gid) && setuid(0) < 0)
		return NULL;
	errno = 0;
	return "privileges are left";
}
