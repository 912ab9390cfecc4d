/* SPDX-License-Identifier: Apache-2.0 */
/* Becoming another user for good, as daemons and workers do before they look at what others sent. */
#pragma once

#include <sys/types.h>

/*
 * From now on the process, all its threads, is that user in that group and no other, without
 * capabilities; it is checked that there is no way back. NULL, or what could not be done ("cannot
 * change the user"), and errno (0: nothing failed, but rights are left); then the process is
 * somewhere in between, and to be ended.
 */
const char *identity_become(uid_t uid, gid_t gid);
