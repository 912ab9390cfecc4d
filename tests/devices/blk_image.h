/* SPDX-License-Identifier: Apache-2.0 */
/* A disk image in a file, and virtiod-blk on it, for tests. */
#pragma once

#include "blk_driver.h"

#define IMAGE_SIZE (1024u * 1024)

extern char *image_dir, *image_path;
extern char *image_arg; /* the option that names the image */

/*
 * From the command line of a test: an engine, or "direct-" and an engine; NULL: auto. False: this
 * machine has none of that, and the test skips itself (77).
 */
bool image_set_engine(const char *name);
bool image_engine_is(const char *name);

/*
 * cmocka's setup and teardown of a group, and setup of a test: a new image, and kit_core_setup().
 */
int image_make_dir(void **state);
int image_remove_dir(void **state);
int image_setup(void **state);

/*
 * Opens the device on the image with the engine and this option (or NULL), and starts a driver like
 * Linux's.
 */
void image_open(struct kit_core *c, const char *option);
const struct virtio_blk_config *image_config(struct kit_core *c);

/* Makes the file anew; every sector differs from every other. */
void image_fill(size_t size);
void image_read(void *to, uint64_t offset, size_t len);
/* How much of it is there: st_blocks. */
blkcnt_t image_blocks(void);
