/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rights that a daemon needs to open its host side and its socket, and gives up for good before it
 * reads the first byte of a front-end: --run-as and --chroot.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

struct rights {
	char *run_as; /* UID[:GID], names or numbers; NULL: stay who we are */
	char *chroot; /* NULL: keep the root directory. Only with run_as: root could leave it */
	/* rights_prepare() */
	uid_t uid;
	gid_t gid;
	int root; /* the directory of that name; -1 */
};

/*
 * Looks the names up and opens the directory, while both can be seen. Before any thread is made:
 * no program that is executed gives rights back, and threads inherit that.
 */
bool rights_prepare(struct rights *r, GError **error);
/*
 * From now on the process, all its threads, is that user in that group and no other, sees nothing
 * outside the new root, and cannot be traced; it is checked that there is no way back. An error
 * leaves it somewhere in between: to be ended.
 */
bool rights_drop(struct rights *r, GError **error);
void rights_clear(struct rights *r);
