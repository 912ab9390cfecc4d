/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration file of devices, /etc/virtiod/devices.d/NAME.conf, as bytes:
 *
 *	# a comment
 *	[GUEST/DEVICE]
 *	device=TYPE		the program virtiod-TYPE; required
 *	user=UID[:GID]		becomes its --run-as
 *	socket-mode=0660	of the socket, which is made for the program
 *	socket-group=kvm
 *	after=OTHER		GUEST/DEVICE, or a DEVICE of the same guest, that has to be ready
 *				before; may be given several times
 *	wait=10			for how many seconds at most
 *	KEY=VALUE		any other key becomes one argument of the program, --KEY=VALUE;
 *				given twice it becomes two. Which ones there are is the program's
 *
 * A value is what follows "=", without blanks at both ends; it is never split. "\s", "\n", "\t",
 * "\r" and "\\" stand for a blank, a newline, a tab, a carriage return and a backslash. Groups and
 * keys are bounded in number and length, so that a wrong file does no harm.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define DEVICE_FILE_MAX_BYTES (256u << 10)
#define DEVICE_FILE_MAX_KEYS 128 /* of a group */
/* Of the names, so that the path of a socket has room for both. */
#define DEVICE_GUEST_MAX 48
#define DEVICE_NAME_MAX 32
#define DEVICE_TYPE_MAX 32 /* of device= */

/* A group of a file. */
struct device_entry {
	char *name; /* "GUEST/DEVICE" */
	char *type; /* device= */
	char **options; /* arguments of the program; NULL-terminated */
	unsigned *option_lines; /* the line of each */
	char **after; /* names; NULL-terminated */
	unsigned after_line; /* of the last one */
	unsigned wait_s;
	mode_t socket_mode;
	gid_t socket_group; /* (gid_t)-1: as created */
	char *path; /* of the file */
	unsigned line, end; /* of it: the group's first line, and the first behind its last key */
};
typedef struct device_entry device_entry; /* for g_autoptr */
void device_entry_free(struct device_entry *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(device_entry, device_entry_free)

/*
 * Returns why the name cannot be a group's; NULL: it can. Both parts are of letters, digits, ".",
 * "_", ":" and "-", and begin with a letter, a digit or "_".
 */
const char *device_name_fault(const char *name);
/* Returns an array of struct device_entry, which frees them. */
GPtrArray *device_entries_new(void);
/*
 * Appends the groups of a text. The error names path, line, group, key and value, and what is
 * right; entries may have grown.
 */
bool device_file_parse(
	GPtrArray *entries, const char *path, const char *text, size_t len, GError **error);
/* Likewise, of a regular file that only its owner and group may write. */
bool device_file_read(GPtrArray *entries, const char *path, GError **error);
/*
 * Returns the whole contents of such a file, NUL-terminated, and their length; NULL: an error. The
 * caller frees.
 */
char *device_file_load(const char *path, size_t *len, GError **error);
