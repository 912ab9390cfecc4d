/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of the front-end share: a fake back-end, a front-end, and that nothing leaks. */
#pragma once

#include "tests/lib/test.h"

#include "tests/lib/fake_backend.h"
#include "vhost-user/front/vu_front.h"

extern struct fake_backend *b;
extern struct vu_front *f;
extern struct vu_front_options options;
extern char *path; /* of a socket that is not there yet */

/* As front_setup() makes b: with every protocol feature that the front-end acks by itself. */
struct fake_backend *full_backend(void);

int front_setup(void **state);
int front_teardown(void **state);

/* Front-end and back-end are there; finish() ends both, and b's notes stay. */
void connect_pair(void);
void connect_path(void);
/* Then forgets what negotiation looked like; its last request was acknowledged. */
void connect_fresh(void);
void finish(void);
/* That there is no front-end with this back-end, and why. */
void expect_failure(enum vu_front_error code, const char *part);
/* That these are the last requests that the back-end saw. */
void expect_order(const uint32_t *requests, unsigned n);
/* That *error is this one; clears it. */
void expect_error(GError **error, enum vu_front_error code, const char *part);
