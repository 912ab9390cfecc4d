/* SPDX-License-Identifier: Apache-2.0 */
/* Superseded by tests/lib/test.h. */
#pragma once

unsigned count_fds(void);
