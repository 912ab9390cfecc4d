/* SPDX-License-Identifier: Apache-2.0 */
/* See landlock.h. The constants are linux/landlock.h's, which may be older than the kernel. */
#include "priv/landlock.h"

#include <errno.h>
#include <glib.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/util.h"

#define SYS_CREATE_RULESET 444
#define SYS_ADD_RULE 445
#define SYS_RESTRICT_SELF 446
#define CREATE_VERSION 1
#define RULE_PATH_BENEATH 1

#define FS_WRITE_FILE (1u << 1)
#define FS_READ_FILE (1u << 2)
#define FS_READ_DIR (1u << 3)
#define FS_REMOVE_FILE (1u << 5)

#define SCOPED_ABSTRACT_SOCKET UINT64_C(1)
#define SCOPED_SIGNAL UINT64_C(2)

struct ruleset {
	uint64_t fs, net, scoped;
};

struct path_beneath {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

/* By version: all that can be restricted then. */
static const struct {
	unsigned size;
	struct ruleset all;
} versions[] = {
	{ 8, { .fs = 0x1fff } },
	{ 8, { .fs = 0x3fff } },
	{ 8, { .fs = 0x7fff } },
	{ 16, { .fs = 0x7fff, .net = 3 } },
	{ 16, { .fs = 0xffff, .net = 3 } },
	{ 24, { .fs = 0xffff, .net = 3, .scoped = 3 } },
};

static uint64_t allowed(const struct landlock_path *path)
{
	return (path->use & LANDLOCK_READ ? FS_READ_FILE | FS_READ_DIR : 0) |
		(path->use & LANDLOCK_WRITE ? FS_WRITE_FILE : 0) |
		(path->use & LANDLOCK_REMOVE ? FS_REMOVE_FILE : 0);
}

static int add_paths(int ruleset, const struct landlock_path *paths)
{
	for (; paths && paths->use; paths++) {
		const struct path_beneath rule = { allowed(paths), paths->fd };

		if (syscall(SYS_ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0) < 0)
			return -errno;
	}
	return 0;
}

/* Returns the version of Landlock, or -errno. */
static int get_version(void)
{
	long version = syscall(SYS_CREATE_RULESET, NULL, 0, CREATE_VERSION);

	return version > 0 ? (int)version : version < 0 ? -errno : -ENOSYS;
}

bool landlock_is_there(void)
{
	return get_version() > 0;
}

int landlock_enter(const struct landlock_path *paths, unsigned keep)
{
	int version = get_version();
	struct ruleset rules;
	autofd ruleset = -1;
	unsigned known;
	int err;

	if (version < 0)
		return version;
	known = MIN(version, (int)G_N_ELEMENTS(versions)) - 1;
	rules = versions[known].all;
	if (keep & LANDLOCK_NETWORK) {
		rules.net = 0;
		rules.scoped &= ~SCOPED_ABSTRACT_SOCKET;
	}
	if (keep & LANDLOCK_SIGNALS)
		rules.scoped &= ~SCOPED_SIGNAL;
	ruleset = (int)syscall(SYS_CREATE_RULESET, &rules, versions[known].size, 0);
	if (ruleset < 0)
		return -errno;
	err = add_paths(ruleset, paths);
	if (!err && syscall(SYS_RESTRICT_SELF, ruleset, 0) < 0)
		err = -errno;
	return err;
}
