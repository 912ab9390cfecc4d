/* SPDX-License-Identifier: Apache-2.0 */
/* Looks a number up in the table that syscall_names.sh makes. */
#include "priv/syscall_name.h"

#include <stddef.h>

const char *syscall_name(int number)
{
	for (const struct syscall_name *n = syscall_names; n->number >= 0; n++)
		if (n->number == number)
			return n->name;
	return NULL;
}
