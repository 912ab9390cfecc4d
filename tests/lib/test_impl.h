/* SPDX-License-Identifier: Apache-2.0 */
/* Between the sources of tests/lib: collecting log lines. */
#pragma once

void test_log_begin(void);
void test_log_end(void);
