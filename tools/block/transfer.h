/* SPDX-License-Identifier: Apache-2.0 */
/* What read and write share: options, the session with the back-end, and byte streams. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/output.h"
#include "tools/block/blkio.h"
#include "tools/block/progress.h"

struct transfer {
	const char *verb; /* "read", "wrote" */
	char **args; /* owned by transfer_main() */
	const char *socket; /* of args */
	const char *file; /* likewise; NULL: not named; "-": standard input or output */
	int fd; /* of the file; -1 until the subcommand opens it */
	bool fd_is_ours;
	const struct transfer_ops *ops;
	struct output output; /* fd's, for transfer_output() */
	bool verbose;
	uint64_t offset; /* on the device */
	uint64_t length; /* bytes to move, if has_length */
	bool has_length;
	uint64_t done; /* bytes moved */
	struct blkio *io;
	struct progress progress;
};

/* What read and write do themselves. */
struct transfer_ops {
	const char *summary;
	/* Once connected, before the sandbox: opens t->file. */
	bool (*open)(struct transfer *t, GError **error);
	bool (*run)(struct transfer *t, GError **error); /* with io ready */
};

/* The whole life of a read or write, from argv on. Returns an exit status. */
int transfer_main(char **argv, struct transfer *t, const struct transfer_ops *ops);

/* Waits until r is done, and for its success. */
bool transfer_wait(struct transfer *t, struct blkio_request *r, GError **error);
/* Bytes of the device from t->offset on. */
uint64_t transfer_room(const struct transfer *t);
/* len rounded up to whole blocks, but not beyond the device's end; position is on the device. */
uint32_t transfer_whole_blocks(const struct transfer *t, uint64_t position, uint32_t len);
/* Reads until size bytes, the end of the input, or a signal (an error). */
bool transfer_input(struct transfer *t, void *to, uint32_t size, uint32_t *got, GError **error);
bool transfer_output(struct transfer *t, const void *from, uint32_t size, GError **error);
