/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of both Xen memory types share. */
#pragma once

#include "fake_xen.h"
#include "mem_test.h"

static struct guest_mem *memory;
static struct mem_borrower borrower;

static inline int xen_setup(void **state)
{
	*state = GUINT_TO_POINTER(count_fds());
	fake_xen_start();
	memory = guest_mem_new();
	borrower = (struct mem_borrower){ .mem = memory };
	return 0;
}

static inline int xen_teardown(void **state)
{
	assert_int_equal(borrower.mappings_out, 0);
	guest_mem_free(memory);
	fake_xen_stop();
	return leak_teardown(state);
}

static inline void add_region(struct mem_region_desc desc)
{
	GError *error = NULL;

	if (!guest_mem_add(memory, &desc, fake_xen.device, &error))
		fail_msg("%s", error->message);
}

static inline void assert_not_added(struct mem_region_desc desc, const char *says)
{
	GError *error = NULL;

	assert_false(guest_mem_add(memory, &desc, fake_xen.device, &error));
	assert_error_has(&error, says);
	assert_int_equal(guest_mem_regions(memory), 0);
}
