/* SPDX-License-Identifier: Apache-2.0 */
/* Becoming another user for good. */
#pragma once

#include <sys/types.h>

/*
 * Makes the process, all its threads, that user in that group and no other, without capabilities,
 * and checks that there is no way back. Returns NULL, or what failed ("cannot change the user") and
 * errno (0: every call succeeded, but privileges are left); the process is then in an undefined
 * state and must exit.
 */
const char *user_become(uid_t uid, gid_t gid);
